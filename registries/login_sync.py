"""Brings a server's Docker config to what the `Login` rows say: one worker at a time, one login after the other."""

import datetime as dt
import functools
import time
from typing import Any

from django.db import transaction
from django.utils import timezone

from dokreg.backoff import pause
from dokreg.database import patiently
from registries import alarms, kinds, logins, tokens, verdicts
from registries.credentials import DockerLogin
from registries.models import Login, Registry
from servers import docker, docker_config, turns
from servers.docker import Host
from servers.ladder import Ladder, Rung
from servers.models import Server
from servers.stages import TASK_SECONDS, Stage
from servers.testing import climb_all, climb_to_daemon
from servers.verdicts import Verdict

IN_STEPS = (
    ("token", "Token"),
    ("ssh", "SSH"),
    ("cli", "Docker CLI"),
    ("daemon", "Docker daemon"),
    ("config", "Docker config"),
    ("login", "Login"),
    ("kept", "Entry"),
)
OUT_STEPS = (("ssh", "SSH"), ("config", "Docker config"), ("gone", "Entry"))
FIRST_PAUSE, LONGEST_PAUSE = dt.timedelta(seconds=30), dt.timedelta(hours=1)
LONGEST_SECONDS = 30.0  # after that no other login is begun: what is left is due, and handed over anew
# A server that never comes back is not waited for any longer, to be logged out.
GIVE_UP_LEAVING_AFTER = dt.timedelta(days=30)


def sync(server_id: str) -> None:
    """Do what is due on a server; leaves quietly if another worker has its turn."""
    turn = turns.take(server_id)
    if turn is None:
        return
    # It has arrived; from now on the turn alone tells whether somebody is at it.
    patiently(lambda: logins.forget_sent(server_id))
    began = time.monotonic()
    try:
        while time.monotonic() < began + LONGEST_SECONDS:
            # Read anew each time: it may be moved to another host at any moment.
            server = patiently(Server.objects.select_related("ssh_key").filter(pk=server_id).first)
            login = patiently(functools.partial(_next, server)) if server is not None else None
            if server is None or login is None or not turns.prolong(server_id, turn):
                return
            change = _log_out if login.is_leaving else _log_in
            ladder = change(server, login, began + TASK_SECONDS)
            if (rung := ladder.failed_rung) is not None and rung["name"] == ladder.place:
                patiently(functools.partial(_put_off, server, login, ladder, rung))
    finally:
        turns.give_back(server_id, turn)
        patiently(logins.dispatch)


def _next(server: Server) -> Login | None:
    """What is due: first what leaves, so that the place is free for what comes."""
    due = server.logins.filter(due_at__lte=timezone.now()).select_related("registry__organisation")
    return min(due, key=lambda login: (not login.is_leaving, login.due_at, login.pk), default=None)


# Logging in


def _log_in(server: Server, login: Login, end: float) -> Ladder:
    registry = login.registry
    assert registry is not None  # noqa: S101 - a row without a registry is leaving
    ladder = Ladder(IN_STEPS, save=lambda _rungs: None)
    may_have_been_there = login.may_be_there
    climb_all(ladder, server, lambda: _climb_in(login, registry, ladder, end))
    if (rung := ladder.failed_rung) is not None:
        if rung["name"] != "kept" and not may_have_been_there:
            patiently(lambda: _of(login).filter(logged_in_at=None).update(mark=""))
        patiently(lambda: _note_failed_login(login, registry, ladder, rung))
    return ladder


def _climb_in(login: Login, registry: Registry, ladder: Ladder, end: float) -> None:
    try:
        what = tokens.docker_login(registry, insist=False)
    except tokens.TokenMissing as error:
        ladder.failed("token", error.verdict, words=error.words)
        return
    ladder.hide(what.password)
    ladder.passed("token", goes_on=True)
    patiently(lambda: _take_place(login, what))
    climber = _Climber(ladder, docker.host_of(login.server, end=end), registry, what)
    docker_config.keep_login(
        climber.host,
        registry=what.registry,
        username=what.username,
        password=what.password,
        folder=login.folder,
        on_stage=climber.climb,
    )
    if not ladder.has_failed:
        patiently(lambda: _note_login(login, registry, what))


def _take_place(login: Login, what: DockerLogin) -> None:
    """Note where the login goes before anything is written there: what is cut off halfway is found again.

    When the registry has moved to another host, the old entry is to go.
    """
    folder = _folder(login, what)
    values: dict[str, Any] = {"url": what.registry, "folder": folder}
    logged_in_at = login.logged_in_at
    with transaction.atomic():
        if login.may_be_there and (login.url, login.folder) != (what.registry, folder):
            logins.remove_found(server=login.server, host=login.url, folder=login.folder)
            values["logged_in_at"] = logged_in_at = None
        if logged_in_at is None:
            values["mark"] = what.mark
        _of(login).update(**values)
    # Only now: what failed up to here is done once more, and must find the login as it was.
    login.url, login.folder, login.logged_in_at = what.registry, folder, logged_in_at


def _folder(login: Login, what: DockerLogin) -> str:
    """Where the login goes: a place that is taken by another account of the same host is left to it."""
    if login.folder or login.registry is None:
        return login.folder
    taken = Login.objects.filter(server=login.server_id, url=what.registry, folder="", logged_in_at__isnull=False)
    if taken.exclude(pk=login.pk).exclude(state=Login.State.LEAVING).exists():
        return logins.folder_for(login.registry, login.server)
    return ""


def _note_login(login: Login, registry: Registry, what: DockerLogin) -> None:
    held = {"state": Login.State.HELD, "username": what.username, "mark": what.mark, "logged_in_at": timezone.now()}
    with transaction.atomic():
        if not _is_where_it_was(login.server):
            _wanted(login).update(due_at=timezone.now())
            return
        if not _wanted(login).update(due_at=None, **held, **logins.DONE):
            # Unticked meanwhile: the row may have done its work before the entry was there.
            logins.remove_found(server=login.server, host=login.url, folder=login.folder)
            return
    _catch_up(login, registry)
    alarms.works_again(registry, login.server.name)


def _note_failed_login(login: Login, registry: Registry, ladder: Ladder, rung: Rung) -> None:
    due_at = None if _is_final(ladder.verdict) else timezone.now() + _wait(login)
    changes = {"state": Login.State.FAILED, "due_at": due_at, "failures": login.failures + 1, **_facts(ladder, rung)}
    with transaction.atomic():
        if not _is_where_it_was(login.server):
            _wanted(login).update(due_at=timezone.now())
            return
        if not _wanted(login).update(**changes):
            return
    if _catch_up(login, registry):
        return
    if login.logged_in_at is not None and rung["name"] == "login":
        alarms.stopped_working(registry, login.server.name, f"{rung['cause']} {rung['fix']}")


def _is_where_it_was(server: Server) -> bool:
    """Whether the server was not moved since it was read, nor is during this transaction; also if it was deleted."""
    now = Server.objects.select_for_update(no_key=True).filter(pk=server.pk).first()
    return now is None or (now.host, now.port, now.user) == (server.host, server.port, server.user)


def _catch_up(login: Login, registry: Registry) -> bool:
    """Whether there are new credentials since `registry` was read: then the login is due with them."""
    outdated = _wanted(login).exclude(registry__login_mark=registry.login_mark)
    return bool(outdated.update(due_at=timezone.now(), failures=0))


def _is_final(verdict: Verdict | None) -> bool:
    """Whether only new credentials help: a registry locks out who goes on trying with wrong ones."""
    return verdict is not None and verdict.permanent and verdict.subject == "credentials"


# Logging out


def _log_out(server: Server, login: Login, end: float) -> Ladder:
    ladder = Ladder(OUT_STEPS, save=lambda _rungs: None)
    leaving = _of(login).filter(state=Login.State.LEAVING)  # it may be ticked again meanwhile
    if patiently(lambda: _is_anothers_place(login)):
        patiently(leaving.delete)
        return ladder
    climb_all(ladder, server, lambda: _climb_out(login, ladder, end))
    patiently(lambda: _note_logout(server, login, leaving, ladder))
    return ladder


def _note_logout(server: Server, login: Login, leaving: Any, ladder: Ladder) -> None:
    rung = ladder.failed_rung
    waited = timezone.now() - (login.left_at or login.created_at)
    if rung is None or not login.may_be_there:
        leaving.delete()
    elif waited > GIVE_UP_LEAVING_AFTER:
        with transaction.atomic():
            if leaving.delete()[0]:
                alarms.login_left_behind(server, login.url)
    else:
        due_at = timezone.now() + _wait(login)
        leaving.update(due_at=due_at, failures=login.failures + 1, **_facts(ladder, rung))


def _is_anothers_place(login: Login) -> bool:
    """Whether another login of this server has put its own entry there: then logging out would end that one."""
    same = Login.objects.filter(server=login.server_id, url=login.url, folder=login.folder, logged_in_at__isnull=False)
    return same.exclude(pk=login.pk).exclude(state=Login.State.LEAVING).exists()


def _climb_out(login: Login, ladder: Ladder, end: float) -> None:
    def take(stage: Stage) -> None:
        name = ladder.place if stage.name == "shell" else stage.name
        ladder.passed(name, milliseconds=stage.milliseconds, goes_on=True)

    host = docker.host_of(login.server, end=end)
    docker_config.remove_login(host, registry=login.url, folder=login.folder, on_stage=take)


# What both do


@transaction.atomic
def _put_off(server: Server, login: Login, ladder: Ladder, rung: Rung) -> None:
    """The server cannot be entered: everything else that is due there waits for the same time."""
    if not _is_where_it_was(server):
        return
    tried = _of(login).first()
    others = server.logins.filter(due_at__lte=timezone.now()).exclude(pk=login.pk)
    leaving = others.filter(state=Login.State.LEAVING)
    leaving.filter(logged_in_at=None, mark="").delete()  # they were never there
    facts = _facts(ladder, rung) | {
        "due_at": tried.due_at if tried else timezone.now() + FIRST_PAUSE,
        "failures": tried.failures if tried else 1,
    }
    others.exclude(state=Login.State.LEAVING).update(state=Login.State.FAILED, **facts)
    leaving.update(**facts)


def _of(login: Login) -> Any:
    return Login.objects.filter(pk=login.pk)


def _wanted(login: Login) -> Any:
    """The row, as long as the server is to stay logged in."""
    return _of(login).filter(registry__isnull=False).exclude(state=Login.State.LEAVING)


def _facts(ladder: Ladder, rung: Rung) -> dict[str, Any]:
    """Why it failed, for the row."""
    code = ladder.verdict.code if ladder.verdict else ""
    return {"verdict": code, "cause": rung["cause"], "fix": rung["fix"], "words": rung["words"]}


def _wait(login: Login) -> dt.timedelta:
    return pause(login.failures, first=FIRST_PAUSE, longest=LONGEST_PAUSE)


class _Climber:
    """Turns the stages of a login that is to stay into rungs."""

    def __init__(self, ladder: Ladder, host: Host, registry: Registry, what: DockerLogin) -> None:
        self.ladder, self.host, self.registry, self.what = ladder, host, registry, what

    def climb(self, stage: Stage) -> None:
        if self.ladder.has_failed:
            return
        climb_to_daemon(self.ladder, stage, server=self.host.label, user=self.host.user)
        if stage.name == "login" and stage.status != 0:
            self._refused(stage)
        elif stage.name in {"config", "login", "kept"}:
            self.ladder.passed(stage.name, milliseconds=stage.milliseconds, goes_on=True)

    def _refused(self, stage: Stage) -> None:
        words = verdicts.clean_output(self.ladder.scrubbed(stage.output))
        verdict = verdicts.of_login(
            words,
            status=stage.status,
            kind=kinds.get(self.registry.kind),
            host=self.what.registry,
            server=self.host.label,
            user=self.host.user,
        )
        self.ladder.failed("login", verdict, words=words)
