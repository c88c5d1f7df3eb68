"""New credentials for a registry in use: how their tests go, switching all the same, discarding them."""

from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from organisations.access import OrganisationRequest, requires
from organisations.responses import see_other
from registries import rotations
from registries.models import RegistryTest, Rotation
from registries.short_forms import SavedTestForm
from registries.views.detail import one_registry, show_detail


@never_cache
@require_safe
@requires("registries.view_registry")
def show(request: OrganisationRequest, rotation_id: str) -> HttpResponse:
    """For htmx the card on the registry's page as it stands now; for others that page.

    Once it is over htmx gets the whole page, of which the card takes what may have changed with it, and leaves the
    forms that somebody may be filling in.
    """
    rotation = _one(request, rotation_id)
    if not request.htmx:
        return see_other(rotation.registry)
    if not rotation.is_under_way:
        registry = one_registry(request, str(rotation.registry_id))
        return show_detail(request, registry, SavedTestForm(registry=registry), ended=rotation)
    return render(request, "registries/detail.html#rotation", {"rotation": rotation, "registry": rotation.registry})


@require_POST
@requires("registries.change_registry")
def switch(request: OrganisationRequest, rotation_id: str) -> HttpResponse:
    """Switch although not every server could log in."""
    rotation = _one(request, rotation_id)
    if rotations.switch_anyway(rotation, by=request.user):
        messages.success(request, f"{rotation.registry.name} uses the new credentials now.")
    else:
        messages.error(request, "The new credentials are not kept any more. Enter them again.")
    return see_other(rotation.registry)


@require_POST
@requires("registries.change_registry")
def discard(request: OrganisationRequest, rotation_id: str) -> HttpResponse:
    """Forget the new credentials."""
    rotation = _one(request, rotation_id)
    if rotations.discard(rotation):
        messages.success(request, f"The new credentials are discarded; {rotation.registry.name} goes on as before.")
    else:
        messages.error(request, f"Too late: {rotation.registry.name} was switched to the new credentials already.")
    return see_other(rotation.registry)


def _one(request: OrganisationRequest, rotation_id: str) -> Rotation:
    tests = RegistryTest.objects.select_related("server", "organisation")
    rows = Rotation.objects.of(request.organisation).select_related("registry__organisation", "asked_by")
    rows = rows.prefetch_related(Prefetch("tests", tests))
    return get_object_or_404(rows, pk=rotation_id)
