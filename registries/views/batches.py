"""Test everywhere: the buttons, and the page that shows how far it is and what failed."""

import time

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import trigger_client_event

from dokreg.database import give_back
from organisations.access import OrganisationRequest
from organisations.responses import see_other
from registries import batches
from registries.models import Registry, RegistryTest, TestBatch
from registries.outcome import FAILED, Outcome
from registries.views.fleet import requires_fleet
from servers.models import Server

PAGE_SIZE = 50
LONGEST_WAIT_SECONDS = 1.0
LOOK_EVERY_SECONDS = 0.1
# Of a hundred, how many must have ended for a screen reader to speak again.
ANNOUNCED = 25


@require_POST
@requires_fleet
def test_everything(request: OrganisationRequest) -> HttpResponse:
    return _ask(request, registry=None, server=None)


@require_POST
@requires_fleet
def test_registry(request: OrganisationRequest, registry_id: str) -> HttpResponse:
    registry = get_object_or_404(Registry.objects.of(request.organisation), pk=registry_id)
    return _ask(request, registry=registry, server=None)


@require_POST
@requires_fleet
def test_server(request: OrganisationRequest, server_id: str) -> HttpResponse:
    server = get_object_or_404(Server.objects.of(request.organisation), pk=server_id)
    return _ask(request, registry=None, server=server)


@never_cache
@vary_on_headers("HX-Request")
@require_safe
@requires_fleet
def show_batch(request: OrganisationRequest, batch_id: str) -> HttpResponse:
    """How far a batch is: a page, or for htmx a part of it, once it is over or after a second at the latest."""
    batch = _one_batch(request, batch_id)
    seen = _take(request, "seen")
    if request.htmx and seen:
        _wait_until_over(batch)
    outcome = Outcome(batch)
    context = {
        "section": "fleet",
        "batch": batch,
        "outcome": outcome,
        "may_cancel": _may_cancel(request, batch),
        "shown": request.GET.get("show", ""),
        "page_obj": Paginator(_results(batch, request), PAGE_SIZE).get_page(request.GET.get("page")),
        "is_announced": bool(seen) and _is_announced(outcome, int(seen[:9]) if seen.isdecimal() else 0),
    }
    if not request.htmx:
        return render(request, "fleet/batch.html", context)
    if request.htmx.target == "results":
        return render(request, "fleet/batch.html#results", context)
    response = render(request, "fleet/batch.html#progress", context)
    return trigger_client_event(response, "batch-over", after="settle") if batch.finished_at else response


@require_POST
@requires_fleet
def cancel_batch(request: OrganisationRequest, batch_id: str) -> HttpResponse:
    batch = _one_batch(request, batch_id)
    if not _may_cancel(request, batch):
        raise PermissionDenied
    dropped = batches.cancel(batch)
    if dropped:
        tests = "1 test is" if dropped == 1 else f"{dropped} tests are"
        messages.success(request, f"Cancelled: {tests} not run. What was under way goes on to its end.")
    else:
        messages.warning(request, "There was nothing left to cancel.")
    return see_other(batch)


def _may_cancel(request: OrganisationRequest, batch: TestBatch) -> bool:
    """One's own, or anybody's for those who may change registries; a rotation is discarded, not cancelled."""
    is_of_rotation = TestBatch.objects.filter(pk=batch.pk, rotation__isnull=False).exists()
    is_theirs = batch.asked_by == request.user or "registries.change_registry" in request.may
    return is_theirs and not is_of_rotation


def _ask(request: OrganisationRequest, *, registry: Registry | None, server: Server | None) -> HttpResponse:
    try:
        batch = batches.ask(organisation=request.organisation, registry=registry, server=server, asked_by=request.user)
    except batches.NothingToTest as error:
        messages.error(request, str(error))
        return see_other("fleet:matrix", organisation=request.organisation.slug)
    return see_other(batch)


def _one_batch(request: OrganisationRequest, batch_id: str) -> TestBatch:
    rows = TestBatch.objects.of(request.organisation)
    return get_object_or_404(rows.select_related("organisation", "registry", "server", "asked_by"), pk=batch_id)


def _take(request: OrganisationRequest, name: str) -> str:
    """A parameter that is of no use in the addresses which the page links to."""
    parameters = request.GET.copy()
    taken = parameters.pop(name, [""])[-1]
    request.GET = parameters  # type: ignore[assignment]  # the stubs know it as it comes from the client
    return str(taken)


def _results(batch: TestBatch, request: OrganisationRequest) -> "QuerySet[RegistryTest, RegistryTest]":
    rows = batch.tests.select_related("organisation", "registry")
    if request.GET.get("show") == "problems":
        rows = rows.filter(state__in=FAILED)
    if verdict := request.GET.get("verdict"):
        rows = rows.filter(verdict=verdict)
    return rows.order_by("registry__name", "server_name", "pk")


def _wait_until_over(batch: TestBatch) -> None:
    end = time.monotonic() + LONGEST_WAIT_SECONDS
    is_open = TestBatch.objects.filter(pk=batch.pk, finished_at=None)
    while is_open.exists() and time.monotonic() < end:
        give_back()
        time.sleep(LOOK_EVERY_SECONDS)
    batch.refresh_from_db(fields=["finished_at"])


def _is_announced(outcome: Outcome, seen: int) -> bool:
    """Whether it is worth a word: another quarter has ended, or all of it."""
    before = 100 * seen // outcome.expected if outcome.expected else 0
    return outcome.batch.finished_at is not None or outcome.percent // ANNOUNCED > before // ANNOUNCED
