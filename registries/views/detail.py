"""One registry: its facts and its tests, changing and deleting it."""

from collections.abc import Mapping

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Case, Value, When
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from organisations import audit
from organisations.access import OrganisationRequest, requires
from organisations.deletion import StillUsed, used_by
from organisations.responses import see_other
from organisations.uses import uses_of
from registries import alarms, quotas, rotations, saving
from registries.forms import RegistryForm
from registries.models import Draft, Registry, RegistryTest, Rotation
from registries.short_forms import SavedTestForm
from registries.views.workbench import (
    form_answer,
    is_switching,
    keep_typed,
    redirected,
    saved_draft,
    show_workbench,
    typed_initial,
)
from servers.models import Server

HISTORY = 20
LOGINS_PER_PAGE = 50
QUOTAS = 5
REFRESHES = 8
TOKEN_COLUMNS = [
    "token", "token_issued_at", "token_expires_at", "refresh_due_at", "refresh_failures", "last_refresh",
]  # fmt: skip


@require_safe
@requires("registries.view_registry")
def show(request: OrganisationRequest, registry_id: str) -> HttpResponse:
    """The page of a registry; `?server=` chooses where the test is to run."""
    registry = one_registry(request, registry_id)
    chosen = {"server": request.GET["server"]} if "server" in request.GET else None
    return show_detail(request, registry, SavedTestForm(registry=registry, initial=chosen))


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@requires("registries.change_registry")
def edit(request: OrganisationRequest, registry_id: str) -> HttpResponse:
    registry = one_registry(request, registry_id)
    draft = saved_draft(request)
    if request.method != "POST":
        test = RegistryTest.objects.of(request.organisation).filter(
            pk=request.GET.get("test", ""), asked_by=request.user
        )
        return show_workbench(request, edit_form(request, registry, draft), test=test.first())
    if is_switching(request):
        return show_workbench(request, edit_form(request, registry, draft, typed=request.POST.dict()))
    form = edit_form(request, registry, draft, bound=True)
    if not form.is_valid():
        return form_answer(request, keep_typed(request, form))
    try:
        rotation = saving.save_registry(registry=form.save(commit=False), password=form.new_secret, by=request.user)
    except saving.ChangedMeanwhile as error:
        form.add_error(None, str(error))
        return form_answer(request, keep_typed(request, form))
    for warning in form.warnings:
        messages.warning(request, warning)
    if rotation is not None:
        messages.info(request, "The new credentials are tested first on every server that uses them.")
    else:
        messages.success(request, f"{registry.name} is saved.")
    return redirected(request, registry.get_absolute_url())


@require_http_methods(["GET", "HEAD", "POST"])
@requires("registries.delete_registry")
def delete(request: OrganisationRequest, registry_id: str) -> HttpResponse:
    registry = one_registry(request, registry_id)
    if request.method == "POST":
        try:
            saving.delete_registry(registry=registry)
        except StillUsed as error:
            messages.error(request, str(error))
            return see_other(registry.get_absolute_url())
        messages.success(request, f"{registry.name} is deleted.")
        return see_other("registries:list", organisation=request.organisation.slug)
    context = {
        "section": "registries",
        "registry": registry,
        "users": used_by(registry),
        "dependents": rotations.dependents(registry),
    }
    return render(request, "registries/delete.html", context)


def show_detail(
    request: OrganisationRequest,
    registry: Registry,
    form: SavedTestForm,
    *,
    ended: Rotation | None = None,
    status: int = 200,
) -> HttpResponse:
    """The page of a registry; of a rotation that has ended meanwhile it tells those who cannot see the page."""
    may_audit = "organisations.view_auditentry" in request.may
    context: dict[str, object] = {
        "section": "registries",
        "registry": registry,
        "form": form,
        "test": registry.last_test,
        "history": registry.tests.filter(sent_at__isnull=False).select_related("asked_by", "organisation")[:HISTORY],
        "uses": uses_of(registry),
        "quotas": quotas.of_registry(registry)[:QUOTAS],
        "entries": audit.entries_of(registry) if may_audit else [],
        "alarms": alarms.open_alarms(registry),
        "rotation": rotations.to_show(registry),
        "ended": ended,
        "is_announced": True,  # the last test, by itself
        "dependents": rotations.dependents(registry),
        **_token_context(registry),
        **_login_context(request, registry),
    }
    return render(request, "registries/detail.html", context, status=status)


def _token_context(registry: Registry) -> dict[str, object]:
    """The history of the registry's tokens, and how far the present one has come."""
    if not registry.method:
        return {}
    refreshes = list(registry.refreshes.select_related("asked_by")[:REFRESHES])
    # Read anew after its refreshes: one that has ended is then seen on the registry, one under way is waited for.
    registry.refresh_from_db(fields=TOKEN_COLUMNS)
    context: dict[str, object] = {
        "refreshes": refreshes,
        "is_minting": any(refresh.is_running for refresh in refreshes),
        "problem": registry.last_refresh if registry.refresh_failures else None,
    }
    if registry.token_issued_at and registry.token_expires_at:
        life = (registry.token_expires_at - registry.token_issued_at).total_seconds()
        context["life"] = round(life)
        context["spent"] = round(min(life, (timezone.now() - registry.token_issued_at).total_seconds()))
    return context


def _login_context(request: OrganisationRequest, registry: Registry) -> dict[str, object]:
    """The servers of the organisation with their logins, page by page, those that have one first."""
    if "servers.view_server" not in request.may:
        return {}
    held = {login.server_id: login for login in registry.logins.all()}
    servers = Server.objects.of(request.organisation).order_by("name", "pk")
    if held:  # by a condition that no row can meet PostgreSQL would sort by the first column
        has_none = Case(When(pk__in=list(held), then=Value(0)), default=Value(1))
        servers = servers.order_by(has_none, "name", "pk")
    page = Paginator(servers, LOGINS_PER_PAGE).get_page(request.GET.get("page"))
    return {
        "login_page": page,
        "login_rows": [(server, held.get(server.pk)) for server in page],
        "has_logins": bool(held),
        "is_logging_in": any(login.is_busy for login in held.values()),
        "has_failed_logins": any(login.verdict for login in held.values()),
    }


def one_registry(request: OrganisationRequest, registry_id: str) -> Registry:
    """The organisation's registry with this id, or 404."""
    rows = Registry.objects.of(request.organisation).select_related(
        "organisation", "server", "last_test__asked_by", "last_refresh"
    )
    return get_object_or_404(rows, pk=registry_id)


def edit_form(
    request: OrganisationRequest,
    registry: Registry,
    draft: Draft | None,
    *,
    bound: bool = False,
    form_class: type[RegistryForm] = RegistryForm,
    typed: Mapping[str, str] | None = None,
) -> RegistryForm:
    """The form of a saved registry."""
    initial = {name: value for name, value in draft.values.items() if value} | {"draft": draft.pk} if draft else {}
    return form_class(
        request.POST if bound else None,
        instance=registry,
        initial=initial | typed_initial(typed),
        organisation=request.organisation,
        kind=registry.provider,
        draft=draft,
    )
