"""The test of a server: can dokreg sign in, is Docker there, does its daemon answer, is there room."""

import logging
import re
import traceback
from collections.abc import Callable

from django.db import transaction

from dokreg import database
from dokreg.encryption import SecretUnreadable
from organisations import audit
from organisations.models import User
from servers import docker, runs, ssh, verdicts
from servers.ladder import Ladder
from servers.models import Server, ServerTest
from servers.stages import Stage

log = logging.getLogger(__name__)
STEPS = (("ssh", "SSH"), ("cli", "Docker CLI"), ("daemon", "Docker daemon"), ("disk", "Disk"))
LITTLE_DISK_KIB = 2 * 1024 * 1024


def ask(*, server: Server, asked_by: User | None) -> ServerTest:
    """Queue a test of the server; a worker runs it."""
    from servers.tasks import run_server_test

    with transaction.atomic():
        test = ServerTest.objects.create(
            organisation=server.organisation,
            server=server,
            asked_by=asked_by,
            rungs=Ladder(STEPS, save=_nothing).rungs,
        )
        Server.objects.filter(pk=server.pk).update(last_test=test)
        audit.record("asked for a test", server, actor=asked_by)
        runs.send(run_server_test, test)
    return test


def ask_unless_running(*, server: Server, asked_by: User | None) -> ServerTest:
    """The test that is under way, or else a new one: an impatient second click starts nothing."""
    with transaction.atomic():
        rows = Server.objects.select_for_update(of=("self",)).select_related("last_test")
        last = rows.get(pk=server.pk).last_test
        return last if last and last.is_running else ask(server=server, asked_by=asked_by)


def run(test_id: str) -> None:
    """Run a queued test; leaves quietly if it is gone, or another worker has it."""
    test = runs.claim(ServerTest, test_id)
    if test is None:
        return
    server = runs.server_of(test.server_id)
    if server is None:
        return
    ladder = Ladder(STEPS, save=lambda rungs: runs.save_rungs(test, rungs))
    climber = _Climber(ladder, server.name, server.user)
    climb_all(ladder, server, lambda: docker.probe(docker.host_of(server), on_stage=climber.climb))
    runs.finish(test, ladder.verdict, failed=ladder.has_failed)


def climb_all(ladder: Ladder, server: Server | None, climb: Callable[[], None]) -> None:
    """Climb a ladder to its end, whatever happens on the way: every problem ends as a verdict at its rung.

    `server` is where it stands, None for dokreg's own host; what host key it showed is noted.
    """
    ladder.start(ladder.current)
    try:
        climb()
    except ssh.SSHProblem as error:
        if server is not None and isinstance(error, ssh.HostKeyUnconfirmed):
            note_host_key(server=server, seen=error.seen)
        if not ladder.is_over:
            ladder.failed(ladder.current, error.verdict, words=error.words)
    except SecretUnreadable:
        ladder.failed(ladder.current, verdicts.secret_unreadable())
    except Exception as error:  # noqa: BLE001 - somebody waits for the end of this ladder, whatever happens
        # The type and the place alone: the text may hold what was being worked with.
        log.error("A test ended with %s at %s", type(error).__name__, place_of(error))  # noqa: TRY400
        if not ladder.is_over:
            verdict = verdicts.database_away() if database.is_away(error) else verdicts.internal_error()
            ladder.failed(ladder.current, verdict)
    if not ladder.is_over:
        address = server.address if server else docker.OWN_HOST
        ladder.failed(ladder.current, verdicts.connection_lost(address=address))
    if server is not None and ladder.has_reached_place:
        note_host_key(server=server, seen="")


def place_of(error: Exception) -> str:
    """File and line at which something went wrong, for the log."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"


def note_host_key(*, server: Server, seen: str) -> None:
    """Keep the host key that was shown in place of the pinned one, or "" once the pinned one was shown.

    Only for the place that was reached: a server that was moved meanwhile must not be offered the key of
    the old place.
    """
    place = Server.objects.filter(pk=server.pk, host=server.host, port=server.port, host_key=server.host_key)
    database.patiently(lambda: place.exclude(seen_host_key=seen).update(seen_host_key=seen))


class _Climber:
    """Turns the stages of the probe into rungs."""

    def __init__(self, ladder: Ladder, server: str, user: str) -> None:
        self.ladder, self.server, self.user = ladder, server, user

    def climb(self, stage: Stage) -> None:
        if self.ladder.has_failed:
            return
        climb_to_daemon(self.ladder, stage, server=self.server, user=self.user)
        if stage.name == "disk":
            self._disk(stage)

    def _disk(self, stage: Stage) -> None:
        found = re.search(r"\s(\d+)\s+(\d+)\s+(\d+)\s+(\d+)%\s+(/.*)$", stage.output.strip())
        if found is None:
            self.ladder.passed("disk", fact="not known")
            return
        free, mount = int(found[3]), found[5]
        fact = f"{free / 1024 / 1024:.1f} GiB free on {mount}"
        if free < LITTLE_DISK_KIB:
            self.ladder.warned("disk", verdicts.disk_low(server=self.server, free=fact), fact=fact)
        else:
            self.ladder.passed("disk", fact=fact)


def climb_to_daemon(ladder: Ladder, stage: Stage, *, server: str, user: str) -> None:
    """The rungs that every test shares: SSH holds once the shell answers, then the CLI, then the daemon.

    After each that holds the next one is begun, whatever comes after the daemon.
    """
    output = ladder.scrubbed(stage.output)
    if stage.name == "shell":
        ladder.passed(ladder.place, milliseconds=stage.milliseconds, goes_on=True)
    elif stage.name == "cli":
        if stage.status != 0:
            ladder.failed("cli", verdicts.of_cli(output, stage.status, server=server), words=output)
            return
        ladder.passed("cli", milliseconds=stage.milliseconds, goes_on=True)
    elif stage.name == "daemon":
        cli, daemon = docker.versions(output)
        ladder.note("cli", fact=cli)
        if stage.status != 0:
            verdict = verdicts.of_daemon(output, stage.status, server=server, user=user)
            ladder.failed("daemon", verdict, words=docker.without_answer(output))
            return
        ladder.passed("daemon", fact=daemon, goes_on=True)


def _nothing(_rungs: object) -> None:
    """For a ladder that nobody watches."""
