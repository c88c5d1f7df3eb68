"""Servers that stay logged in, from the registry's side and from the server's; and what their configs really hold."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from organisations import audit
from organisations.access import OrganisationRequest, requires
from organisations.responses import number_in, see_other
from registries import config_checks, logins
from registries.models import ConfigCheck, Registry
from registries.views.detail import one_registry
from servers import docker_config
from servers.models import Server
from servers.watching import wait_for_change

LONGEST_WAIT_SECONDS = 1.0


@require_POST
@requires("registries.change_registry")
def choose(request: OrganisationRequest, registry_id: str) -> HttpResponse:
    """The ticked servers stay logged in, and no others."""
    _require(request, "servers.view_server")
    registry = one_registry(request, registry_id)
    servers = list(Server.objects.of(request.organisation).filter(pk__in=request.POST.getlist("servers")))
    shown = request.POST.getlist("shown") if "shown" in request.POST else None
    logins.choose(registry=registry, servers=servers, of=shown)
    pages = [page for page in request.POST.getlist("page") if page.isdecimal()]  # this one, and perhaps the next
    query = f"?page={pages[-1]}" if pages else ""
    return see_other(f"{registry.get_absolute_url()}{query}#logins")


@require_POST
@requires("registries.change_registry")
def retry(request: OrganisationRequest, registry_id: str) -> HttpResponse:
    """Try at once what failed."""
    _require(request, "servers.view_server")
    registry = one_registry(request, registry_id)
    logins.retry(registry)
    audit.record("logged in anew", registry, actor=request.user)
    return see_other(f"{registry.get_absolute_url()}#logins")


@require_safe
@requires("servers.view_server")
def of_server(request: OrganisationRequest, server_id: str) -> HttpResponse:
    """What a server stays logged in to, and what its config was found to hold."""
    _require(request, "registries.view_registry")
    server = _server(request, server_id)
    check = server.config_checks.select_related("asked_by", "draft").first()
    rows = logins.of_server(server)
    for login in rows:
        login.export_line = docker_config.export_line(login.folder) if login.folder else ""  # type: ignore[attr-defined]
    context = {"section": "servers", "logins": rows, **_check_context(request, server, check)}
    return render(request, "registries/server_logins.html", context)


@require_POST
@requires("servers.view_server")
def check(request: OrganisationRequest, server_id: str) -> HttpResponse:
    """Look into the server's config."""
    _require(request, "registries.view_registry")
    server = _server(request, server_id)
    return _shown(request, config_checks.ask(server=server, asked_by=request.user))


@never_cache
@require_safe
@requires("servers.view_server")
def show_check(request: OrganisationRequest, check_id: str) -> HttpResponse:
    """A check, for htmx as soon as it has changed."""
    _require(request, "registries.view_registry")
    checks = ConfigCheck.objects.of(request.organisation).select_related("server__organisation", "asked_by", "draft")
    found = get_object_or_404(checks, pk=check_id)
    if not request.htmx:
        return see_other(_address(found.server))
    wait_for_change(found, seen=number_in(request, "seen", usual=-1), seconds=LONGEST_WAIT_SECONDS)
    found.refresh_from_db()
    response = render(request, "registries/server_logins.html#check", _check_context(request, found.server, found))
    response.headers["Vary"] = "HX-Request"
    return response


@require_POST
@requires("registries.add_registry")
def adopt(request: OrganisationRequest, server_id: str) -> HttpResponse:
    """Take a login that was found into dokreg: a new registry, filled in with what the server has."""
    _require(request, "servers.trust_server")  # it takes a secret that nobody gave to this member
    server = _server(request, server_id)
    place = {"host": request.POST.get("host", ""), "folder": request.POST.get("folder", "")}
    known = Registry.objects.of(request.organisation).filter(pk=request.POST.get("registry", "")).first()
    if known is not None:
        return _tick(request, server, known)
    check = config_checks.ask(server=server, asked_by=request.user, adopts=place)
    if (check.adopts, check.asked_by) == (place, request.user):
        return _shown(request, check)
    messages.warning(request, f"A check of {server.name} is under way. Press Adopt again once it is over.")
    return HttpResponseClientRefresh() if request.htmx else see_other(_address(server))


@require_POST
@requires("servers.change_server")
def remove(request: OrganisationRequest, server_id: str) -> HttpResponse:
    """Log a server out of something that was found in its config."""
    server = _server(request, server_id)
    host, folder = request.POST.get("host", ""), request.POST.get("folder", "")
    if _was_found(server, host, folder):
        logins.remove_found(server=server, host=host, folder=folder)
        audit.record("removed a login", server, actor=request.user, registry=host)
        messages.success(request, f"{server.name} is being logged out of {host}.")
    return see_other(_address(server))


@require_POST
@requires("registries.change_registry")
def mend(request: OrganisationRequest, server_id: str) -> HttpResponse:
    """Log in anew wherever the server stays logged in, whatever the rows say."""
    _require(request, "servers.view_server")
    server = _server(request, server_id)
    logins.renew_all(server)
    audit.record("logged in anew", server, actor=request.user)
    messages.success(request, f"{server.name} is being logged in anew.")
    return see_other(_address(server))


def _require(request: OrganisationRequest, permission: str) -> None:
    """A second permission, beside the one that guards the view; raises PermissionDenied."""
    if permission not in request.may:
        raise PermissionDenied


def _tick(request: OrganisationRequest, server: Server, registry: Registry) -> HttpResponse:
    """The saved registry has these credentials already: the server is ticked there."""
    if "registries.change_registry" in request.may:
        logins.choose(registry=registry, servers=[server], of=[])
        messages.success(request, f"{server.name} stays logged in to {registry.name} from now on.")
    return see_other(_address(server))


def _shown(request: OrganisationRequest, found: ConfigCheck) -> HttpResponse:
    if request.htmx:
        return render(request, "registries/server_logins.html#check", _check_context(request, found.server, found))
    return see_other(_address(found.server))


def _check_context(request: OrganisationRequest, server: Server, found: ConfigCheck | None) -> dict[str, object]:
    draft = found.draft if found is not None and found.asked_by == request.user else None
    add = reverse("registries:add", args=[request.organisation.slug, draft.values["kind"]]) if draft else ""
    return {
        "server": server,
        "check": found,
        "is_stale": found is not None and _has_changed_since(server, found),
        "adopt_address": f"{add}?draft={draft.pk}" if draft else "",
    }


def _has_changed_since(server: Server, found: ConfigCheck) -> bool:
    """Whether dokreg itself has changed the config since, or is about to."""
    return any(
        login.is_busy or (found.finished_at and login.logged_in_at and login.logged_in_at > found.finished_at)
        for login in server.logins.all()
    )


def _was_found(server: Server, host: str, folder: str) -> bool:
    """Only what the last check has seen can be removed: nothing that somebody typed."""
    last = server.config_checks.first()
    return last is not None and any((row["host"], row["folder"]) == (host, folder) for row in last.findings)


def _server(request: OrganisationRequest, server_id: str) -> Server:
    return get_object_or_404(Server.objects.of(request.organisation).select_related("organisation"), pk=server_id)


def _address(server: Server) -> str:
    return reverse("registries:server_logins", args=[server.organisation.slug, server.pk])
