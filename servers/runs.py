"""The life of a run: asked for, sent, claimed by one worker, ended; or found lost by the sweep.

The row is the truth. A task carries its id alone, may arrive twice or never, and does no harm either way.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from celery import Task
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError

from dokreg.database import give_back, patiently
from dokreg.ids import new_id
from servers import processes, verdicts
from servers.ladder import Rung, is_over, new_rung
from servers.models import ConfigTurn, Run, Server
from servers.stages import TEST_DEADLINE
from servers.verdicts import Verdict

log = logging.getLogger(__name__)

AnyRun = TypeVar("AnyRun", bound=Run)
LEASE = dt.timedelta(seconds=TEST_DEADLINE + 15)  # anew with every rung
RESEND_AFTER = dt.timedelta(seconds=20)
GIVE_UP_AFTER = dt.timedelta(minutes=15)
SWEEP_BATCH = 500


def send(task: "Task[Any, Any]", run: Run) -> None:
    """Hand the run's id to the broker once the row is committed; if the broker is away the sweep sends it later."""
    transaction.on_commit(lambda: send_id(task, run.pk))


def claim(model: type[AnyRun], run_id: str) -> AnyRun | None:
    """The run, if this worker is the one that may run it: the conditional UPDATE must change exactly one row.

    No page is told of it: they are with the first rung, which begins at once.
    """
    columns = claimed()
    rows = model._default_manager.filter(pk=run_id)

    def take() -> AnyRun | None:
        rows.filter(state=Run.State.QUEUED).update(**columns)
        return rows.filter(claim=columns["claim"], state=Run.State.RUNNING).first()

    return patiently(take)


def server_of(server_id: str | None) -> Server | None:
    """The server on which a run that was just claimed takes place; None if there is none, or it was deleted.

    Read patiently: who has claimed a run has to bring it to an end.
    """
    rows = Server.objects.select_related("ssh_key", "organisation").filter(pk=server_id)
    return patiently(rows.first) if server_id else None


def claimed() -> dict[str, Any]:
    """The columns of a run that this process has in hand from now on."""
    now = timezone.now()
    return {
        "state": Run.State.RUNNING,
        "claim": new_id(),
        "worker": processes.this_process(),
        "started_at": now,
        "lease_until": now + LEASE,
    }


def save_rungs(run: Run, rungs: list[Rung]) -> None:
    """Write the ladder as it stands, if the run is still this worker's; one that is decided is written with the end."""
    run.rungs = rungs
    if not is_over(rungs):
        write(run, rungs=rungs)


def write(run: Run, **columns: Any) -> bool:
    """Write columns and let the lease begin anew; False if the run is not this worker's any more."""
    is_mine = patiently(
        lambda: bool(_mine(run).update(**columns, revision=F("revision") + 1, lease_until=timezone.now() + LEASE))
    )
    give_back()  # what a run does between its writes takes longer than they
    return is_mine


def prolong(run: Run) -> bool:
    """Let the lease begin anew; there is no news. False if the run is not this worker's any more."""
    is_mine = patiently(lambda: bool(_mine(run).update(lease_until=timezone.now() + LEASE)))
    give_back()
    return is_mine


def saver(run: Run, *, every: float) -> Callable[[list[Rung]], None]:
    """Saves the rungs of a run, but writes no more often than every so many seconds; its end is always written.

    A test of a hundred is not watched rung by rung, and each write costs as much as a rung.
    """
    written_at = time.monotonic() if every else float("-inf")

    def save(rungs: list[Rung]) -> None:
        nonlocal written_at
        run.rungs = rungs
        if time.monotonic() - written_at >= every:
            save_rungs(run, rungs)
            written_at = time.monotonic()

    return save


def finish(run: Run, verdict: Verdict | None, *, failed: bool, state: str = "", **also: Any) -> bool:
    """End the run; `also` are columns to write with it. False if it was taken away meanwhile (swept as lost).

    `state` is for an end that is neither.
    """
    run.state = state or (Run.State.FAILED if failed else run.SUCCESS)
    run.verdict = verdict.code if verdict else ""
    run.finished_at = timezone.now()
    end = {"state": run.state, "verdict": run.verdict, "finished_at": run.finished_at}

    def write_end() -> bool:
        columns = {**end, "rungs": run.rungs, "lease_until": None, **also}
        is_mine = bool(_mine(run).update(**columns, revision=F("revision") + 1))
        return is_mine or type(run)._default_manager.filter(pk=run.pk, claim=run.claim, **end).exists()

    return patiently(write_end)


def sweep(model: type[AnyRun], task: "Task[Any, Any]", **wipe: Any) -> list[AnyRun]:
    """Send again what nobody took, and end as lost what a worker left behind or nobody took for too long.

    `wipe` are columns to write on lost rows, such as a draft's secret. Answers the rows now lost that a worker
    had begun, so that what they left on a server can be removed.
    """
    now = timezone.now()
    for run in _oldest(
        model, state=Run.State.QUEUED, sent_at__lt=now - RESEND_AFTER, created_at__gte=now - GIVE_UP_AFTER
    ):
        model._default_manager.filter(pk=run.pk, state=Run.State.QUEUED).update(sent_at=now)
        send_id(task, run.pk)
    # What is not sent yet waits for its turn, however long that takes.
    for run in _oldest(model, state=Run.State.QUEUED, sent_at__isnull=False, created_at__lt=now - GIVE_UP_AFTER):
        _lose(run, verdicts.no_worker(), wipe)
    running = _oldest(model, state=Run.State.RUNNING)
    abandoned = [run for run in running if processes.is_abandoned(run.worker, run.lease_until, now)]
    return [run for run in abandoned if _lose(run, verdicts.worker_lost(), wipe)]


def lose_all(model: type[AnyRun], *, begun: Mapping[str, Any] | None = None, **wipe: Any) -> list[AnyRun]:
    """End as lost whatever is not over: it was under way in another life. Answers these rows.

    `wipe` are columns to write on all of them, `begun` on those that a worker had begun.
    """
    waiting = model._default_manager.filter(state=Run.State.QUEUED)
    running = model._default_manager.filter(state=Run.State.RUNNING)
    lost = [run for run in waiting if _lose(run, verdicts.restored(), wipe)]
    return lost + [run for run in running if _lose(run, verdicts.restored(), wipe | dict(begun or {}))]


def let_go() -> int:
    """End the leases of all that this process has in hand, since it is about to end: the next sweep finds it lost.

    Answers how many runs that were.
    """
    now, mine = timezone.now(), {"worker": processes.this_process(), "lease_until__isnull": False}
    ConfigTurn.objects.filter(**mine).update(lease_until=now)
    return sum(
        model._default_manager.filter(state=Run.State.RUNNING, **mine).update(lease_until=now)
        for model in Run.__subclasses__()
    )


def send_id(task: "Task[Any, Any]", run_id: str) -> None:
    """Hand an id to the broker now; a broker that is away is no error, since the sweep sends it again."""
    try:
        task.delay(run_id)
    except (OperationalError, OSError) as error:
        log.warning("The broker took no task for %s (%s); the sweep sends it again.", run_id, type(error).__name__)


def _mine(run: Run) -> "models.QuerySet[Run]":
    return type(run)._default_manager.filter(pk=run.pk, claim=run.claim, state=Run.State.RUNNING)


def _oldest(model: type[AnyRun], **condition: Any) -> Iterator[AnyRun]:
    return iter(model._default_manager.filter(**condition).order_by("created_at")[:SWEEP_BATCH])


def _lose(run: Run, verdict: Verdict, wipe: dict[str, Any]) -> bool:
    rungs = run.rungs or [new_rung("start", "Start")]
    broken = next((rung for rung in rungs if rung["state"] in {"running", "waiting"}), rungs[-1])
    for rung in rungs:
        if rung["state"] == "waiting":
            rung["state"] = "skipped"
    broken.update(state="failed", cause=verdict.cause, fix=verdict.fix)
    changed = (
        type(run)
        ._default_manager.filter(pk=run.pk, state=run.state, claim=run.claim)
        .update(
            state=Run.State.LOST,
            verdict=verdict.code,
            rungs=rungs,
            finished_at=timezone.now(),
            lease_until=None,
            revision=F("revision") + 1,
            **wipe,
        )
    )
    return bool(changed)
