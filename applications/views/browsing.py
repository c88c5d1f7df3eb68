"""Browse in the form of an application: what the chosen registry has, seen from the chosen server."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from applications import browsing
from applications.forms import usable_registries
from applications.models import Application
from organisations.access import OrganisationRequest, requires
from registries.models import CatalogLook, Registry
from servers.models import Server
from servers.watching import wait_for_change

LONGEST_WAIT_SECONDS = 1.0
MOST_DIGITS = 9


@never_cache
@require_safe
@requires("applications.view_application")
def show_look(request: OrganisationRequest, look_id: str) -> HttpResponse:
    """The panel as soon as there is news; what is listed narrows to names that have `?q=` in them."""
    looks = CatalogLook.objects.of(request.organisation).select_related("registry").filter(asked_by=request.user)
    look = get_object_or_404(looks, pk=look_id)
    seen = request.GET.get("seen", "")
    if seen.isdecimal():
        look = wait_for_change(look, int(seen[:MOST_DIGITS]), LONGEST_WAIT_SECONDS, also=("answer",))
    context = browse_context(look, query=request.GET.get("q", "").strip())
    return render(request, "applications/form.html#browse", context)


def look_for(request: OrganisationRequest, application: Application) -> CatalogLook | None:
    """The look that a button of the form asks for: a new one, or (without scripts) how far one is by now."""
    if look_id := request.POST.get("look", ""):
        looks = CatalogLook.objects.of(request.organisation).select_related("registry")
        return looks.filter(pk=look_id, asked_by=request.user).first()
    if not {"browse", "repository"} & set(request.POST):
        return None
    may_use = "registries.use_registry" in request.may
    registries = usable_registries(application, request.organisation, may_use_registries=may_use)
    registry: Registry | None = registries.filter(pk=request.POST.get("registry", "")).first()
    return browsing.ask(
        organisation=request.organisation,
        registry=registry,
        server=Server.objects.of(request.organisation).filter(pk=request.POST.get("server", "")).first(),
        image=request.POST.get("repository", request.POST.get("image", "")),
        asked_by=request.user,
    )


def browse_context(look: CatalogLook | None, *, query: str = "") -> dict[str, object]:
    """What the panel shows."""
    if look is None:
        return {}
    return {
        "catalog_look": look,
        "query": query,
        "repositories": browsing.repositories_of(look, query=query),
        "tags": browsing.tags_of(look, query=query),
    }
