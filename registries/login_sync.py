"""Brings a server's Docker config to what the `Login` rows say: one worker at a time, one login after the other."""

import datetime as dt
import time
from typing import Any

from django.utils import timezone

from dokreg.backoff import pause
from dokreg.encryption import SecretUnreadable
from registries import alarms, kinds, logins, tokens, verdicts
from registries.credentials import DockerLogin
from registries.models import Login
from servers import docker, docker_config, turns
from servers import verdicts as host_verdicts
from servers.docker import Host
from servers.ladder import Ladder
from servers.models import Server
from servers.stages import Stage
from servers.testing import climb_all, climb_to_daemon
from servers.verdicts import Verdict

IN_STEPS = (
    ("ssh", "SSH"),
    ("cli", "Docker CLI"),
    ("daemon", "Docker daemon"),
    ("config", "Docker config"),
    ("login", "Login"),
    ("kept", "Entry"),
)
OUT_STEPS = (("ssh", "SSH"), ("config", "Docker config"), ("gone", "Entry"))
FIRST_PAUSE, LONGEST_PAUSE = dt.timedelta(seconds=30), dt.timedelta(hours=1)
LONGEST_SECONDS = 30.0  # a task may not last for ever; what is left is due, and handed over anew
# A server that never comes back is not waited for any longer, to be logged out.
GIVE_UP_LEAVING_AFTER = dt.timedelta(days=30)


def sync(server_id: str) -> None:
    """Do what is due on a server; leaves quietly if another worker has its turn."""
    turn = turns.take(server_id)
    if turn is None:
        return
    logins.forget_sent(server_id)  # it has arrived; from now on the turn alone tells whether somebody is at it
    end = time.monotonic() + LONGEST_SECONDS
    try:
        server = Server.objects.select_related("ssh_key").filter(pk=server_id).first()
        while server is not None and time.monotonic() < end and (login := _next(server)) is not None:
            if not turns.prolong(server_id, turn):
                return
            ladder = _log_out(server, login) if login.is_leaving else _log_in(server, login)
            if not ladder.has_reached_place and ladder.has_failed:
                _put_off(server, login, ladder)
    finally:
        turns.give_back(server_id, turn)
        logins.dispatch()


def _next(server: Server) -> Login | None:
    """What is due: first what leaves, so that the place is free for what comes."""
    due = server.logins.filter(due_at__lte=timezone.now()).select_related("registry__organisation")
    return min(due, key=lambda login: (not login.is_leaving, login.due_at, login.pk), default=None)


def _log_in(server: Server, login: Login) -> Ladder:
    ladder = Ladder(IN_STEPS, save=lambda _rungs: None)
    what = _docker_login(login, ladder)
    if what is None:
        return ladder
    ladder.hide(what.password)
    folder = _folder(login, what)
    climber = _Climber(ladder, docker.host_of(server), login, what)
    climb_all(
        ladder,
        server,
        lambda: docker_config.keep_login(
            climber.host,
            registry=what.registry,
            username=what.username,
            password=what.password,
            folder=folder,
            on_stage=climber.climb,
        ),
    )
    if ladder.has_failed:
        _note_failure(login, ladder)
        return ladder
    is_still_wanted = _note(
        login,
        state=Login.State.HELD,
        url=what.registry,
        username=what.username,
        folder=folder,
        mark=what.mark,
        logged_in_at=timezone.now(),
        due_at=None,
        **logins.DONE,
    )
    if is_still_wanted:
        _leave_old_place(server, login, what, folder)
        if login.registry is not None:
            alarms.works_again(login.registry, server.name)
    else:
        _remove(server, url=what.registry, folder=folder)
    return ladder


def _docker_login(login: Login, ladder: Ladder) -> DockerLogin | None:
    """What the server is logged in with; None, with the ladder saying why, if there is nothing."""
    assert login.registry is not None  # noqa: S101 - a row without a registry is leaving
    try:
        return tokens.docker_login(login.registry, insist=False)
    except tokens.TokenMissing as error:
        verdict, words = error.verdict, error.words
    except SecretUnreadable:
        verdict, words = host_verdicts.secret_unreadable(), ""
    ladder.passed(ladder.place)  # the server is not to blame, and not asked
    ladder.failed("login", verdict, words=words)
    _note_failure(login, ladder)
    return None


def _folder(login: Login, what: DockerLogin) -> str:
    """Where the login goes: a place that is taken by another account of the same host is left to it."""
    if login.folder or login.registry is None:
        return login.folder
    taken = Login.objects.filter(server=login.server_id, url=what.registry, folder="", logged_in_at__isnull=False)
    if taken.exclude(pk=login.pk).exclude(state=Login.State.LEAVING).exists():
        return logins.folder_for(login.registry, login.server)
    return ""


def _leave_old_place(server: Server, login: Login, what: DockerLogin, folder: str) -> None:
    """After the registry has moved to another host, the old entry goes."""
    if login.logged_in_at is not None and (login.url, login.folder) != (what.registry, folder):
        _remove(server, url=login.url, folder=login.folder)


def _log_out(server: Server, login: Login) -> Ladder:
    ladder = Ladder(OUT_STEPS, save=lambda _rungs: None)
    if _is_anothers_place(login):
        ladder.passed(ladder.place)
        login.delete()
        return ladder
    climb_all(ladder, server, lambda: _climb_out(server, login, ladder))
    if not ladder.has_failed:
        Login.objects.filter(pk=login.pk, state=Login.State.LEAVING).delete()
        return ladder
    was_never_there = login.logged_in_at is None and not ladder.has_reached_place
    waited = timezone.now() - (login.left_at or login.created_at)
    if was_never_there or waited > GIVE_UP_LEAVING_AFTER:
        Login.objects.filter(pk=login.pk, state=Login.State.LEAVING).delete()
    else:
        _note_failure(login, ladder)
    return ladder


def _is_anothers_place(login: Login) -> bool:
    """Whether another login of this server has the same entry: then logging out would end that one."""
    same = Login.objects.filter(server=login.server_id, url=login.url, folder=login.folder)
    return same.exclude(pk=login.pk).exclude(state=Login.State.LEAVING).exists()


def _climb_out(server: Server, login: Login, ladder: Ladder) -> None:
    def take(stage: Stage) -> None:
        name = ladder.place if stage.name == "shell" else stage.name
        ladder.passed(name, milliseconds=stage.milliseconds)
        if not ladder.is_over:
            ladder.start(ladder.current)

    docker_config.remove_login(docker.host_of(server), registry=login.url, folder=login.folder, on_stage=take)


def _remove(server: Server, *, url: str, folder: str) -> None:
    """Remove an entry that nobody wants any more: a row remembers it until that is done."""
    logins.remove_found(server=server, host=url, folder=folder)


def _put_off(server: Server, login: Login, ladder: Ladder) -> None:
    """The server cannot be entered: everything else that is due there waits for the same time."""
    tried = Login.objects.filter(pk=login.pk).first()
    due_at = tried.due_at if tried else timezone.now() + FIRST_PAUSE
    rung = next(rung for rung in ladder.rungs if rung["state"] == "failed")
    others = server.logins.filter(due_at__lte=timezone.now())
    facts = {"verdict": _code(ladder), "cause": rung["cause"], "fix": rung["fix"], "words": rung["words"]}
    others.exclude(state=Login.State.LEAVING).update(state=Login.State.FAILED)
    others.update(due_at=due_at, failures=tried.failures if tried else 1, **facts)


def _note(login: Login, **values: Any) -> bool:
    """Write a row that is still to stay logged in; False if it is not any more."""
    rows = Login.objects.filter(pk=login.pk, registry__isnull=False).exclude(state=Login.State.LEAVING)
    return bool(rows.update(**values))


def _note_failure(login: Login, ladder: Ladder) -> None:
    rung = next(rung for rung in ladder.rungs if rung["state"] == "failed")
    values: dict[str, Any] = {
        "failures": login.failures + 1,
        "due_at": None if _is_final(ladder.verdict) else timezone.now() + _wait(login),
        "verdict": _code(ladder),
        "cause": rung["cause"],
        "fix": rung["fix"],
        "words": rung["words"],
    }
    if login.is_leaving:
        values["due_at"] = timezone.now() + _wait(login)
        Login.objects.filter(pk=login.pk).update(**values)
        return
    _note(login, state=Login.State.FAILED, **values)
    if login.registry is not None and login.logged_in_at is not None and rung["name"] == "login":
        alarms.stopped_working(login.registry, login.server.name, f"{rung['cause']} {rung['fix']}")


def _is_final(verdict: Verdict | None) -> bool:
    """Whether only new credentials help: a registry locks out who goes on trying with wrong ones."""
    return verdict is not None and verdict.permanent and verdict.subject == "credentials"


def _wait(login: Login) -> dt.timedelta:
    return pause(login.failures, first=FIRST_PAUSE, longest=LONGEST_PAUSE)


def _code(ladder: Ladder) -> str:
    return ladder.verdict.code if ladder.verdict else ""


class _Climber:
    """Turns the stages of a login that is to stay into rungs."""

    def __init__(self, ladder: Ladder, host: Host, login: Login, what: DockerLogin) -> None:
        self.ladder, self.host, self.login, self.what = ladder, host, login, what

    def climb(self, stage: Stage) -> None:
        if self.ladder.has_failed:
            return
        climb_to_daemon(self.ladder, stage, server=self.host.label, user=self.host.user)
        if stage.name == "login" and stage.status != 0:
            self._refused(stage)
        elif stage.name in {"config", "login", "kept"}:
            self.ladder.passed(stage.name, milliseconds=stage.milliseconds)
        if not self.ladder.is_over:
            self.ladder.start(self.ladder.current)

    def _refused(self, stage: Stage) -> None:
        assert self.login.registry is not None  # noqa: S101 - it is logged in to
        words = verdicts.clean_output(self.ladder.scrubbed(stage.output))
        verdict = verdicts.of_login(
            words,
            status=stage.status,
            kind=kinds.get(self.login.registry.kind),
            host=self.what.registry,
            server=self.host.label,
            user=self.host.user,
        )
        self.ladder.failed("login", verdict, words=words)
