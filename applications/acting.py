"""What is done to an application's container without bringing an image: start, stop, restart, remove, tidy up."""

from collections.abc import Callable

from applications import containers, recovery, verdicts
from applications.containers import Container
from applications.job import Failed, Job
from applications.models import Deployment
from servers import docker, engine
from servers.engine import Engine

Action = Deployment.Action


def act(job: Job) -> None:
    """Do it, rung by rung."""
    docker.reach(job.host, on_stage=job.climb)
    if job.ladder.has_failed:
        return
    job.ladder.start("container")
    if job.deployment.action == Action.TIDY:
        recovery.tidy_all(job.host, job.application, job.server, say=job.journal.say)
        job.ladder.passed("container")
        return
    job.journal.is_shielded = True
    with engine.connect(job.host, deadline=job.seconds_left, on_wait=job.journal.beat) as daemon:
        recovery.tidy_leftovers(daemon, job.application, job.server, say=job.journal.say)
        found = containers.of_application(daemon, job.application.pk)
        if not found and job.deployment.action not in {Action.REMOVE, Action.DELETE}:
            raise Failed(verdicts.container_missing(server=job.server.name))
        _ACTS[job.deployment.action](job, daemon, found)
    job.ladder.passed("container")


def _start(job: Job, daemon: Engine, found: list[Container]) -> None:
    containers.start(daemon, found[0].id)
    containers.wait_until_up(daemon, found[0].id, settle_seconds=1, on_look=lambda _word: job.journal.beat())
    job.journal.say(f"Started container {found[0].id[:12]}")


def _stop_all(job: Job, daemon: Engine, found: list[Container]) -> None:
    for one in found:
        containers.stop(daemon, one.id, seconds=job.application.stop_seconds)
        job.journal.say(f"Stopped container {one.id[:12]}")


def _restart(job: Job, daemon: Engine, found: list[Container]) -> None:
    _stop_all(job, daemon, found[:1])
    _start(job, daemon, found)


def remove_all(job: Job, daemon: Engine, found: list[Container]) -> None:
    _stop_all(job, daemon, found)
    for one in found:
        containers.remove(daemon, one.id)
        job.journal.say(f"Removed container {one.id[:12]}")


_ACTS: dict[str, Callable[[Job, Engine, list[Container]], None]] = {
    Action.START: _start,
    Action.STOP: _stop_all,
    Action.RESTART: _restart,
    Action.REMOVE: remove_all,
    Action.DELETE: remove_all,
}
