"""The fleet: how every registry stands on every server."""

from collections.abc import Callable
from functools import wraps

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from organisations.access import OrganisationRequest, OrganisationView, requires
from registries.matrix import Matrix, Wanted
from registries.models import TestBatch

RECENT = 5


def requires_fleet(view: Callable[..., HttpResponse]) -> OrganisationView:
    """Guard a view of registries on servers: who may see both may test one on the other."""

    @wraps(view)
    def guarded(request: OrganisationRequest, **kwargs: str) -> HttpResponse:
        if "servers.view_server" not in request.may:
            raise PermissionDenied
        return view(request, **kwargs)

    return requires("registries.view_registry")(guarded)


@vary_on_headers("HX-Request")
@require_safe
@requires_fleet
def show_matrix(request: OrganisationRequest) -> HttpResponse:
    wanted = Wanted(
        query=request.GET.get("q", "").strip(),
        only_problems=bool(request.GET.get("problems")),
        problems_first=request.GET.get("sort") == "problems",
        page=request.GET.get("page", ""),
        columns=request.GET.get("registries", ""),
    )
    batches = (
        TestBatch.objects.of(request.organisation)
        .filter(rotation=None)
        .select_related("organisation", "registry", "server", "asked_by")
    )
    context = {
        "section": "fleet",
        "matrix": Matrix(request.organisation, wanted),
        "wanted": wanted,
        "batches": [] if request.htmx else batches[:RECENT],
    }
    return render(request, "fleet/matrix.html#matrix" if request.htmx else "fleet/matrix.html", context)
