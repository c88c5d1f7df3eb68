"""What the doctor and the metrics say of servers, and of runs of every kind."""

import datetime as dt
from collections.abc import Iterator

from django.apps import apps
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from dokreg.doctor.checks import NAMED, WARNING, Finding, age, first_of
from dokreg.metrics.families import Family, Values
from servers.models import Run, Server
from servers.runs import GIVE_UP_AFTER

UNFINISHED = (Run.State.QUEUED, Run.State.RUNNING)
SWEPT_WITHIN = dt.timedelta(minutes=1)
UNREACHABLE = (
    "ssh_unreachable", "ssh_timeout", "ssh_silent", "ssh_undecided", "ssh_auth_refused", "name_not_found",
    "connection_lost", "host_key_changed",
)  # fmt: skip


def kinds() -> list[type[Run]]:
    """Every model that is a run, whichever app it belongs to."""
    return sorted((model for model in apps.get_models() if issubclass(model, Run)), key=lambda model: model.__name__)


def name_of(model: type[Run]) -> str:
    """Such as `registry_test`, which goes into metrics."""
    return str(model._meta.verbose_name).replace(" ", "_")


def look_at_runs() -> Iterator[Finding]:
    """The oldest of each kind that is not over; what no worker has and no sweep has found is wrong."""
    now = timezone.now()
    for model in kinds():
        name = str(model._meta.verbose_name).capitalize()
        unfinished = model._default_manager.filter(state__in=UNFINISHED)
        oldest = unfinished.order_by("created_at").first()
        if oldest is None:
            yield Finding(name, "none is under way")
            continue
        fact = f"{unfinished.count()} under way, the oldest for {age((now - oldest.created_at).total_seconds())}"
        if _is_stuck(oldest, now):
            why = "No worker has it, and the sweep did not end it: people see it run for ever."
            yield Finding(name, fact, WARNING, why, "See that a worker and beat run; the sweep then ends it as lost.")
        else:
            yield Finding(name, fact)


def _is_stuck(run: Run, now: dt.datetime) -> bool:
    if run.state == Run.State.RUNNING:
        return run.lease_until is None or run.lease_until < now - SWEPT_WITHIN
    return run.sent_at is not None and run.created_at < now - GIVE_UP_AFTER - SWEPT_WITHIN


def look_at_servers() -> Iterator[Finding]:
    total, lost = Server.objects.count(), _unreachable()
    count = lost.count()
    if not count:
        yield Finding("Servers", f"{total}, none unreachable when it was last tested")
        return
    named = (f"{server.name} ({server.organisation})" for server in lost.select_related("organisation")[:NAMED])
    why = f"At the last test: {first_of(named, count)}. Nothing is pulled or deployed there."
    fix = "Open its page and test it: the test says what is wrong."
    yield Finding("Servers", f"{count} of {total} not reached", WARNING, why, fix)


def _unreachable() -> "QuerySet[Server]":
    return Server.objects.filter(last_test__state=Run.State.FAILED, last_test__verdict__in=UNREACHABLE)


def count_runs() -> Iterator[Family]:
    """By kind and state, those that failed by their cause as well, and how long the oldest has waited."""
    now = timezone.now()
    states: Values = {}
    causes: Values = {}
    waits: Values = {}
    for model in kinds():
        rows, kind = model._default_manager.order_by(), name_of(model)
        for state, verdict, number in rows.values_list("state", "verdict").annotate(
            Count("pk")
        ):  # one look at each row
            states[kind, state] = states.get((kind, state), 0) + number
            if state in {Run.State.FAILED, Run.State.LOST}:
                causes[kind, verdict] = causes.get((kind, verdict), 0) + number
        oldest = rows.filter(state=Run.State.QUEUED).order_by("created_at").values_list("created_at", flat=True).first()
        waits[(kind,)] = (now - oldest).total_seconds() if oldest else 0
    yield Family("dokreg_runs", "Runs that are kept, by kind and state.", ("kind", "state"), states)
    yield Family("dokreg_runs_failed", "Runs that are kept and failed, by cause.", ("kind", "verdict"), causes)
    yield Family("dokreg_oldest_queued_run_seconds", "For how long the oldest run waits.", ("kind",), waits)


def count_servers() -> Iterator[Family]:
    unreachable = Q(last_test__state=Run.State.FAILED, last_test__verdict__in=UNREACHABLE)
    found = Server.objects.aggregate(total=Count("pk"), unreachable=Count("pk", filter=unreachable))
    yield Family("dokreg_servers", "Servers.", (), {(): found["total"]})
    text = "Servers that could not be reached when they were last tested."
    yield Family("dokreg_servers_unreachable", text, (), {(): found["unreachable"]})
