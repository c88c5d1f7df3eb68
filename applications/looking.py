"""Looking at an application's container: its state and its last lines, asked for by a page and fetched by a worker."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from applications import container, containers, verdicts
from applications.models import Application, ContainerLook
from dokreg.database import patiently
from organisations.models import User
from servers import docker, engine, runs
from servers import verdicts as host_verdicts
from servers.engine import EngineGone, EngineRefused
from servers.ladder import Ladder, clean
from servers.models import Server
from servers.stages import Stage
from servers.testing import climb_all

STEPS = (("ssh", "SSH"), ("container", "Container"))
LINES = 200
FRESH = dt.timedelta(seconds=15)
DEADLINE = 30.0


def ask(*, application: Application, asked_by: User | None) -> ContainerLook:
    """Queue a look; the one that is under way, if there is one."""
    from applications.tasks import run_container_look

    with transaction.atomic():
        under_way = application.looks.filter(state__in=(ContainerLook.State.QUEUED, ContainerLook.State.RUNNING))
        if (found := under_way.first()) is not None:
            return found
        look = ContainerLook(organisation_id=application.organisation_id, application=application, asked_by=asked_by)
        look.rungs = Ladder(STEPS, save=lambda _rungs: None).rungs
        look.save()
        runs.send(run_container_look, look)
    return look


def run(look_id: str) -> None:
    """Run a queued look; leaves quietly if it is gone, or another worker has it."""
    look = runs.claim(ContainerLook, look_id)
    if look is None:
        return
    applications = Application.objects.select_related("server__ssh_key", "serving__server__ssh_key")
    application = patiently(lambda: applications.get(pk=look.application_id))
    server = application.container_server
    ladder = Ladder(STEPS, save=lambda rungs: setattr(look, "rungs", rungs))
    climb_all(ladder, server, lambda: _look(look, application, server, ladder))
    runs.finish(look, ladder.verdict, failed=ladder.has_failed, answer=look.answer, log=look.log)


def last_of(applications: Sequence[Application]) -> dict[str, ContainerLook]:
    """The last look of each that has come to its end, by the application's id; in one query, without logs."""
    over = ContainerLook.objects.filter(application=OuterRef("application"), finished_at__isnull=False)
    newest = Subquery(over.order_by("-created_at").values("pk")[:1])
    rows = ContainerLook.objects.filter(application__in=applications, pk=newest)
    return {look.application_id: look for look in rows.defer("log", "rungs")}


def is_stale(look: ContainerLook | None, application: Application) -> bool:
    """Whether a page that opens now should have a new look taken."""
    if look is None or look.created_at < timezone.now() - FRESH:
        return True
    last = application.last_deployment
    return last is not None and last.finished_at is not None and look.created_at < last.finished_at


def _look(look: ContainerLook, application: Application, server: Server, ladder: Ladder) -> None:
    try:
        with engine.connect(docker.host_of(server), deadline=DEADLINE) as daemon:
            found = containers.of_application(daemon, application.pk)
            ladder.passed("ssh", goes_on=True)
            if not found:
                ladder.failed("container", verdicts.container_missing(server=server.name))
                return
            inspected = containers.inspect(daemon, found[0].id) or {}
            look.answer = containers.facts(inspected)
            look.log = clean(containers.last_lines(daemon, found[0].id, lines=LINES), _secrets_of(inspected))
    except EngineRefused as error:
        ladder.failed(ladder.current, verdicts.of_engine(error.words, server=server.name), words=error.words)
    except EngineGone:
        _explain(server, ladder)
    else:
        ladder.passed("container", fact=str(look.answer.get("status", "")))


def _secrets_of(inspected: dict[str, Any]) -> list[str]:
    """Values of its environment, as it was when it was made, that a container may have written into its log."""
    lines = (inspected.get("Config") or {}).get("Env") or []
    return container.recognisable(dict(line.split("=", 1) for line in lines if "=" in line))


def _explain(server: Server, ladder: Ladder) -> None:
    """The daemon gave no answer: the CLI says why."""
    problem: list[tuple[host_verdicts.Verdict, str]] = []

    def on_stage(stage: Stage) -> None:
        if stage.status != 0 and not problem:
            output = stage.output
            verdict = (
                host_verdicts.of_cli(output, stage.status, server=server.name)
                if stage.name == "cli"
                else host_verdicts.of_daemon(output, stage.status, server=server.name, user=server.user)
            )
            problem.append((verdict, docker.without_answer(output)))

    docker.reach(docker.host_of(server), on_stage=on_stage)
    verdict, words = problem[0] if problem else (host_verdicts.connection_lost(address=server.address), "")
    ladder.failed(ladder.current, verdict, words=words)
