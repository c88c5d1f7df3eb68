"""Settings → Servers."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from organisations import audit
from organisations.access import OrganisationRequest, requires
from organisations.deletion import StillUsed, used_by
from organisations.responses import see_other
from organisations.uses import uses_of
from servers import hosts
from servers.forms import ServerForm, TrustForm
from servers.models import Server, SSHKey

SECTION = "servers"
PAGE_SIZE = 25
HISTORY_LENGTH = 20
SORTS = {
    "name": ("name",),
    "host": ("host", "port", "name"),
    "state": ("last_test__state", "name"),
    "tested": ("last_test__created_at", "name"),
    "ssh_key": ("ssh_key__name", "name"),
}


@vary_on_headers("HX-Request")
@require_safe
@requires("servers.view_server")
def index(request: OrganisationRequest) -> HttpResponse:
    query = request.GET.get("q", "").strip()
    page = _page(request, query)
    context = {
        "section": SECTION,
        "page_obj": page,
        "query": query,
        "sort": request.GET.get("sort", "name"),
        "any_test_runs": any(server.last_test and server.last_test.is_running for server in page),
        "has_ssh_keys": SSHKey.objects.of(request.organisation).exists(),
    }
    return render(request, "servers/list.html#table" if request.htmx else "servers/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("servers.add_server")
def add(request: OrganisationRequest) -> HttpResponse:
    return _form(request, Server(), is_new=True)


@require_safe
@requires("servers.view_server")
def detail(request: OrganisationRequest, server_id: str) -> HttpResponse:
    server = server_of(request, server_id)
    return _detail(request, server, TrustForm(server=server))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("servers.change_server")
def edit(request: OrganisationRequest, server_id: str) -> HttpResponse:
    return _form(request, server_of(request, server_id), is_new=False)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("servers.delete_server")
def delete(request: OrganisationRequest, server_id: str) -> HttpResponse:
    server = server_of(request, server_id)
    if request.method == "POST":
        try:
            hosts.delete_server(server=server)
        except StillUsed:
            pass  # the page below names by what
        else:
            messages.success(request, f"Server “{server}” was deleted.")
            return see_other("servers:list", organisation=request.organisation.slug)
    context = {"section": SECTION, "server": server, "users": used_by(server)}
    return render(request, "servers/delete.html", context, status=status_of(request))


@require_POST
@requires("servers.trust_server")
def trust(request: OrganisationRequest, server_id: str) -> HttpResponse:
    server = server_of(request, server_id)
    form = TrustForm(request.POST, server=server)
    if not form.is_valid():
        return _detail(request, server, form)
    try:
        hosts.trust_host_key(server=server, fingerprint=form.cleaned_data["fingerprint"], by=request.user)
    except hosts.HostKeyMoved as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The host key is confirmed. The server is tested again.")
    return see_other(server)


def server_of(request: OrganisationRequest, server_id: str) -> Server:
    """The organisation's server with this id, or Http404."""
    rows = Server.objects.of(request.organisation)
    rows = rows.select_related("organisation", "ssh_key", "last_test__asked_by")
    return get_object_or_404(rows, pk=server_id)


def posted(request: OrganisationRequest) -> QueryDict | None:
    """What a form is to be bound to: nothing before it is posted."""
    return request.POST if request.method == "POST" else None


def status_of(request: OrganisationRequest) -> int:
    """Of a page with a form: 422 if the form is shown because what was posted does not do."""
    return 422 if request.method == "POST" else 200


def _page(request: OrganisationRequest, query: str) -> Page[Server]:
    rows = Server.objects.of(request.organisation).select_related("ssh_key", "last_test")
    if query:
        rows = rows.filter(Q(name__icontains=query) | Q(host__icontains=query))
    return Paginator(_sorted(rows, request.GET.get("sort", "")), PAGE_SIZE).get_page(request.GET.get("page"))


def _sorted(rows: QuerySet[Server], sort: str) -> QuerySet[Server]:
    columns = SORTS.get(sort.removeprefix("-"), SORTS["name"])
    rows = rows.order_by(*columns)
    return rows.reverse() if sort.startswith("-") else rows


def _form(request: OrganisationRequest, server: Server, *, is_new: bool) -> HttpResponse:
    form = ServerForm(posted(request), instance=server, organisation=request.organisation)
    if form.is_valid():
        changed = is_new or form.connection_changed
        hosts.save_server(server=form.instance, by=request.user, connection_changed=changed)
        messages.success(request, "Saved." if not changed else "Saved. The server is being tested.")
        return see_other(form.instance)
    context = {
        "section": SECTION,
        "form": form,
        "is_new": is_new,
        "server": None if is_new else server_of(request, server.pk),
        "has_ssh_keys": SSHKey.objects.of(request.organisation).exists(),
    }
    return render(request, "servers/form.html", context, status=status_of(request))


def _detail(request: OrganisationRequest, server: Server, trust_form: TrustForm) -> HttpResponse:
    context: dict[str, Any] = {
        "section": SECTION,
        "server": server,
        "run": server.last_test,
        "is_announced": True,  # by itself
        "history": server.tests.select_related("asked_by")[:HISTORY_LENGTH],
        "trust_form": trust_form,
        "uses": uses_of(server),
        "entries": audit.entries_of(server),
    }
    return render(request, "servers/detail.html", context, status=status_of(request))
