"""Settings → SSH keys."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from organisations import audit
from organisations.access import OrganisationRequest, requires
from organisations.deletion import StillUsed, used_by
from organisations.responses import see_other
from servers import hosts
from servers.forms import SSHKeyForm, SSHKeyNameForm
from servers.models import SSHKey
from servers.views.servers import PAGE_SIZE, posted, status_of

SECTION = "ssh_keys"


@require_safe
@requires("servers.view_sshkey")
def index(request: OrganisationRequest) -> HttpResponse:
    rows = SSHKey.objects.of(request.organisation).annotate(server_count=Count("servers")).order_by("name")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "servers/key_list.html", {"section": SECTION, "page_obj": page})


@sensitive_variables()
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@requires("servers.add_sshkey")
def add(request: OrganisationRequest) -> HttpResponse:
    form = SSHKeyForm(posted(request), organisation=request.organisation)
    if form.is_valid():
        key = hosts.create_key(key=form.instance, pair=form.pair)
        messages.success(request, "Saved. Next put the public key on your servers, with the command below.")
        return see_other(key)
    return render(request, "servers/key_form.html", {"section": SECTION, "form": form}, status=status_of(request))


@require_safe
@requires("servers.view_sshkey")
def detail(request: OrganisationRequest, key_id: str) -> HttpResponse:
    key = _key_of(request, key_id)
    context = {
        "section": SECTION,
        "key": key,
        "servers": key.servers.all(),
        "entries": audit.entries_of(key),
    }
    return render(request, "servers/key_detail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("servers.change_sshkey")
def edit(request: OrganisationRequest, key_id: str) -> HttpResponse:
    form = SSHKeyNameForm(posted(request), instance=_key_of(request, key_id), organisation=request.organisation)
    if form.is_valid():
        hosts.rename_key(key=form.instance)
        messages.success(request, "Saved.")
        return see_other(form.instance)
    context = {"section": SECTION, "form": form, "key": _key_of(request, key_id)}
    return render(request, "servers/key_form.html", context, status=status_of(request))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("servers.delete_sshkey")
def delete(request: OrganisationRequest, key_id: str) -> HttpResponse:
    key = _key_of(request, key_id)
    if request.method == "POST":
        try:
            hosts.delete_key(key=key)
        except StillUsed:
            pass  # the page below names by what
        else:
            messages.success(request, f"SSH key “{key}” was deleted.")
            return see_other("servers:key_list", organisation=request.organisation.slug)
    context = {"section": SECTION, "key": key, "users": used_by(key)}
    return render(request, "servers/key_delete.html", context, status=status_of(request))


def _key_of(request: OrganisationRequest, key_id: str) -> SSHKey:
    """The organisation's SSH key with this id, or Http404."""
    rows = SSHKey.objects.of(request.organisation).select_related("organisation")
    return get_object_or_404(rows, pk=key_id)
