"""Check drift: which logins a server's Docker config really holds, beside those that it is to hold."""

import time
from typing import Any

from django.db import transaction
from django.db.models import F

from dokreg.database import patiently
from organisations import audit
from organisations.models import User
from registries import kinds, saving
from registries.models import ONLY_HOST, ConfigCheck, Draft, Login, Registry, credentials_mark
from servers import docker, docker_config, runs
from servers.docker_config import FoundLogin
from servers.ladder import Ladder
from servers.models import Server
from servers.stages import Stage
from servers.testing import climb_all

STEPS = (("ssh", "SSH"), ("config", "Docker config"))
LONGEST_SECONDS = 60.0  # within the lease of a run, for all folders together
MOST_FINDINGS = 200
KEPT = 10  # of a server, the last ones
UNDER_WAY = (ConfigCheck.State.QUEUED, ConfigCheck.State.RUNNING)
Finding = dict[str, Any]


def ask(*, server: Server, asked_by: User, adopts: dict[str, str] | None = None) -> ConfigCheck:
    """Queue a look into a server's config, or answer the one that is under way: there is never more than one.

    `adopts` names the host and folder of one login that goes into a draft; a check that was under way does without.
    """
    from registries.tasks import run_config_check

    with transaction.atomic():
        Server.objects.select_for_update().get(pk=server.pk)  # of two clicks at once one waits
        under_way = server.config_checks.filter(state__in=UNDER_WAY).first()
        if under_way is not None:
            return under_way
        check = ConfigCheck.objects.create(
            organisation=server.organisation,
            server=server,
            asked_by=asked_by,
            adopts=adopts or {},
            rungs=Ladder(STEPS, save=lambda _rungs: None).rungs,
        )
        audit.record("asked for a check of the Docker config", server, actor=asked_by)
        runs.send(run_config_check, check)
    return check


def run(check_id: str) -> None:
    """Run a queued check; leaves quietly if it is gone, or another worker has it."""
    check = runs.claim(ConfigCheck, check_id)
    if check is None:
        return
    server = runs.server_of(check.server_id)
    if server is None:
        return  # deleted at this moment, with its checks
    ladder = Ladder(STEPS, save=lambda rungs: runs.save_rungs(check, rungs))
    learned: dict[str, Any] = {}
    climb_all(ladder, server, lambda: learned.update(_climb(check, server, ladder)))
    runs.finish(check, ladder.verdict, failed=ladder.has_failed, **learned)
    patiently(lambda: _forget_outdated(server))


def compare(server: Server, found: list[FoundLogin]) -> list[Finding]:
    """What was found beside what is to be there; what needs attention comes first."""
    # What stays comes last, and so counts where an entry has both.
    rows = server.logins.select_related("registry").order_by(F("left_at").desc(nulls_last=True))
    expected = {(login.folder, login.url): login for login in rows}
    known = _known_marks(server)
    findings = [_finding(login, expected.pop((login.folder, login.registry), None), known) for login in found]
    findings += [
        _row(login.url, login.username, login.folder, "missing", login.registry)
        for login in expected.values()
        if login.logged_in_at is not None and not login.is_leaving
    ]
    order = ("missing", "outdated", "foreign", "known", "leaving", "held")
    return sorted(findings, key=lambda finding: (order.index(finding["state"]), finding["host"]))


def _climb(check: ConfigCheck, server: Server, ladder: Ladder) -> dict[str, Any]:
    """The columns of the check that say what was found."""
    found = _read(server, ladder)
    adopted = next((login for login in found if _is(login, check.adopts)), None)
    findings = patiently(lambda: compare(server, found))
    draft = patiently(lambda: _adopt(check, server, adopted)) if adopted is not None else None
    ladder.passed("config", fact=_number_of(findings))
    return {"findings": findings[:MOST_FINDINGS], "draft": draft}


@transaction.atomic
def _adopt(check: ConfigCheck, server: Server, login: FoundLogin) -> Draft | None:
    if check.asked_by is None:
        return None
    host, folder = check.adopts["host"], check.adopts["folder"]
    audit.record("adopted a login", server, actor=check.asked_by, registry=host, folder=folder)
    return _draft(check, check.asked_by, login)


def _forget_outdated(server: Server) -> None:
    outdated = server.config_checks.exclude(state__in=UNDER_WAY).values_list("pk", flat=True)[KEPT:]
    ConfigCheck.objects.filter(pk__in=list(outdated)).delete()


def _number_of(findings: list[Finding]) -> str:
    number = sum(finding["state"] != "missing" for finding in findings)
    left_out = len(findings) - MOST_FINDINGS
    return f"{number} login{'' if number == 1 else 's'}" + (f"; {left_out} are not shown" if left_out > 0 else "")


def _read(server: Server, ladder: Ladder) -> list[FoundLogin]:
    def enter(_shell: Stage) -> None:
        ladder.passed("ssh", goes_on=True)

    host = docker.host_of(server, end=time.monotonic() + LONGEST_SECONDS)
    rows = server.logins.exclude(folder="").values_list("folder", flat=True)
    folders = patiently(lambda: set(rows.all()))
    found = docker_config.read_logins(host, on_stage=enter)
    for folder in sorted(folders):
        found += docker_config.read_logins(host, folder=folder)
    return found


def _finding(login: FoundLogin, expected: Login | None, known: dict[str, Registry]) -> Finding:
    mark = credentials_mark(url=login.registry, username=login.username, password=login.password)
    if expected is not None and expected.is_leaving:
        return _row(login.registry, login.shown_username, login.folder, "leaving", expected.registry)
    if expected is not None:
        cannot_be_read = not login.password and login.source != "config"  # a helper or an identity token keeps it
        is_ours = login.username in {"", expected.username} if cannot_be_read else mark == expected.mark
        state = "held" if is_ours else "outdated"
        return _row(login.registry, login.shown_username, login.folder, state, expected.registry)
    registry = known.get(mark)
    return _row(login.registry, login.shown_username, login.folder, "known" if registry else "foreign", registry)


def _row(host: str, username: str, folder: str, state: str, registry: Registry | None) -> Finding:
    return {
        "host": host,
        "username": username,
        "folder": folder,
        "state": state,
        "registry": registry.pk if registry else "",
        "registry_name": registry.name if registry else "",
    }


def _known_marks(server: Server) -> dict[str, Registry]:
    """Saved registries by what docker login is given for them."""
    registries = Registry.objects.of(server.organisation).exclude(login_mark="")
    return {registry.login_mark: registry for registry in registries}


def _is(login: FoundLogin, adopts: dict[str, str]) -> bool:
    return bool(adopts) and (login.registry, login.folder) == (adopts.get("host"), adopts.get("folder"))


def _draft(check: ConfigCheck, by: User, login: FoundLogin) -> Draft:
    """What the person who asked goes on with in the form of a new registry; nothing of a login that is put oddly."""
    is_usual = login.username == login.shown_username
    kind = kinds.for_host(login.registry)
    values = {
        "kind": kind.slug,
        "url": login.registry,
        "username": login.shown_username,
        "method": kind.method_of_pasted(login.shown_username) or "stored",
        ONLY_HOST: login.registry,
        "note": f"Read from the Docker config of {check.server}.",
    }
    return saving.keep_draft(
        organisation=check.organisation, by=by, values=values, password=login.password if is_usual else ""
    )
