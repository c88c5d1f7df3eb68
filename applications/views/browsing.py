"""Browse… in the form of an application: repositories and tags of its registry, to pick one.

In the form it is a dialog. Without JavaScript it is a page of its own, which carries what was typed into the form
there and back; nothing of it is stored.
"""

from typing import Any

from django.core.exceptions import BadRequest
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from applications import browsing
from applications.browsing import NothingToAsk
from applications.forms import OFFERED, PICKED, usable_registries
from applications.models import Application, Project
from applications.views.access import SECTION, one_project
from organisations.access import OrganisationRequest, requires
from organisations.responses import number_in, see_other
from registries import references
from registries.models import CatalogLook, Registry
from servers.models import Server
from servers.watching import wait_for_change

LONGEST_WAIT_SECONDS = 1.0
# What the page itself sends, beside what it carries for the form.
_OWN_FIELDS = frozenset({"csrfmiddlewaretoken", "repository", "look", "q", OFFERED, PICKED})


@sensitive_post_parameters("environment")
@sensitive_variables("context")
@vary_on_headers("HX-Request")
@never_cache
@require_POST
@requires("applications.add_application", "applications.change_application")
def browse(request: OrganisationRequest) -> HttpResponse:
    """Ask for what stands in the form, or for a `repository` ("" for all); or show a `look` that was asked for.

    `?application=` or `?project=` is whose form it is.
    """
    application, project = _application(request), _project(request)
    context: dict[str, Any] = {
        "section": SECTION,
        "application": application,
        "project": project or (application and application.project),
        "address": request.get_full_path(),
        "form_address": _form_address(application, project),
        "carried": [(name, text) for name, text in request.POST.items() if name not in _OWN_FIELDS],
        "image": request.POST.get("image", ""),
    }
    try:
        look = _asked(request, application)
    except NothingToAsk as nothing:
        context["verdict"] = nothing.verdict
        return _render(request, "panel", context, status=422)
    if not request.htmx:
        look = wait_for_change(look, look.revision, LONGEST_WAIT_SECONDS, also=("answer",))
    return _render(request, "panel", context | _seen(look, request.POST.get("q", "")))


@vary_on_headers("HX-Request")
@never_cache
@require_safe
@requires("applications.add_application", "applications.change_application")
def show(request: OrganisationRequest, look_id: str) -> HttpResponse:
    """For htmx what the person's own look has found, as soon as it has changed; with `?q=` those of a search.

    It has no page to itself: whoever comes otherwise is led to the projects.
    """
    look = _own_look(request, look_id)
    if not request.htmx:
        return see_other("applications:projects", organisation=request.organisation.slug)
    if "q" in request.GET:
        return _render(request, "listed", {"is_search": True, **_seen(look, request.GET["q"])})
    revision = number_in(request, "seen", usual=-1)
    look = wait_for_change(look, revision, LONGEST_WAIT_SECONDS, also=("answer",))
    return _render(request, "found", {"is_poll": True, **_seen(look, "")})


def _asked(request: OrganisationRequest, application: Application | None) -> CatalogLook:
    repository = request.POST.get("repository")
    if repository is None and request.POST.get("look"):
        return _own_look(request, request.POST["look"])
    if repository and not references.is_path(repository):
        raise BadRequest("This is no path of a repository.")
    return browsing.ask(
        organisation=request.organisation,
        registry=_registry(request, application),
        image=request.POST.get("image", ""),
        repository=repository,
        server=_server(request),
        asked_by=request.user,
    )


def _own_look(request: OrganisationRequest, look_id: str) -> CatalogLook:
    look = browsing.look_of(organisation=request.organisation, asked_by=request.user, look_id=look_id)
    if look is None:
        raise Http404
    return look


def _application(request: OrganisationRequest) -> Application | None:
    pk = request.GET.get("application", "")
    rows = Application.objects.of(request.organisation).select_related("organisation", "project__organisation")
    return get_object_or_404(rows.defer("environment"), pk=pk) if pk else None


def _project(request: OrganisationRequest) -> Project | None:
    pk = request.GET.get("project", "")
    return one_project(request, pk) if pk else None


def _registry(request: OrganisationRequest, application: Application | None) -> Registry | None:
    """The chosen one, which the person may use, or the application has already."""
    may_use = "registries.use_registry" in request.may
    rows = usable_registries(application or Application(), request.organisation, may_use_registries=may_use)
    pk = request.POST.get("registry", "")
    return get_object_or_404(rows, pk=pk) if pk else None


def _server(request: OrganisationRequest) -> Server | None:
    pk = request.POST.get("server", "")
    return get_object_or_404(Server.objects.of(request.organisation), pk=pk) if pk else None


def _form_address(application: Application | None, project: Project | None) -> str:
    """Where the form is that was left; "" if nobody says which."""
    if application is not None:
        kwargs = {"organisation": application.organisation.slug, "application_id": application.pk}
        return reverse("applications:edit", kwargs=kwargs)
    if project is not None:
        kwargs = {"organisation": project.organisation.slug, "project_id": project.pk}
        return reverse("applications:add", kwargs=kwargs)
    return ""


def _seen(look: CatalogLook, query: str) -> dict[str, Any]:
    return {"look": look, "query": query, "found": browsing.found_by(look, query=query)}


@sensitive_variables("context")
def _render(request: OrganisationRequest, part: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """A part of the page; all of it to whoever has no htmx."""
    template = f"applications/browse.html#{part}" if request.htmx else "applications/browse.html"
    return render(request, template, context, status=status)
