"""The button Test, and the ladder that it shows."""

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import trigger_client_event

from organisations.access import OrganisationRequest, requires
from organisations.responses import number_in, see_other
from registries import saving, testing
from registries.forms import DraftTestForm, RegistryForm
from registries.models import RegistryTest
from registries.short_forms import SavedTestForm
from registries.views.adding import kind_or_404, new_form
from registries.views.detail import edit_form, one_registry, show_detail
from registries.views.workbench import form_answer, keep_typed, saved_draft
from servers.watching import wait_for_change

LONGEST_WAIT_SECONDS = 1.0


@sensitive_post_parameters("password")
@require_POST
@requires("registries.add_registry")
def test_draft(request: OrganisationRequest, kind: str) -> HttpResponse:
    form = new_form(request, kind_or_404(kind), saved_draft(request), bound=True, form_class=DraftTestForm)
    return _test_form(request, form, reverse("registries:add", args=[request.organisation.slug, kind]))


@sensitive_post_parameters("password")
@require_POST
@requires("registries.change_registry")
def test_edit(request: OrganisationRequest, registry_id: str) -> HttpResponse:
    registry = one_registry(request, registry_id)
    form = edit_form(request, registry, saved_draft(request), bound=True, form_class=DraftTestForm)
    return _test_form(request, form, reverse("registries:edit", args=[request.organisation.slug, registry.pk]))


@require_POST
@requires("registries.view_registry")
def test_saved(request: OrganisationRequest, registry_id: str) -> HttpResponse:
    registry = one_registry(request, registry_id)
    form = SavedTestForm(request.POST, registry=registry)
    if not form.is_valid():
        return show_detail(request, registry, form, status=422)
    test = testing.ask(
        registry=registry,
        server=form.cleaned_data["server"],
        image=form.cleaned_data["image"],
        asked_by=request.user,
    )
    if request.htmx:
        return _ladder(request, test)
    return see_other(registry.get_absolute_url())


@never_cache
@require_safe
@requires("registries.view_registry")
def show_test(request: OrganisationRequest, test_id: str) -> HttpResponse:
    """One test: a page, or for htmx its ladder as soon as it has changed."""
    tests = RegistryTest.objects.of(request.organisation).select_related("registry", "server", "asked_by")
    test = get_object_or_404(tests.filter(Q(registry__isnull=False) | Q(asked_by=request.user)), pk=test_id)
    if request.htmx:
        return _ladder(
            request,
            wait_for_change(test, seen=number_in(request, "seen", usual=-1), seconds=LONGEST_WAIT_SECONDS),
        )
    return render(request, "registries/test.html", {"section": "registries", "test": test})


def _test_form(request: OrganisationRequest, form: RegistryForm, back: str) -> HttpResponse:
    if not form.is_valid():
        return form_answer(request, keep_typed(request, form))
    test = testing.ask_for_draft(
        organisation=request.organisation,
        credentials=form.credentials,
        server=form.cleaned_data["server"],
        image=form.cleaned_data["image"],
        asked_by=request.user,
    )
    if request.htmx:
        return form_answer(request, form, test=test)
    draft = saving.keep_draft(
        organisation=request.organisation,
        by=request.user,
        values=form.typed_values,
        password=form.new_secret or "",  # never the stored one: a draft may be sent to another host
    )
    return see_other(f"{back}?draft={draft.pk}&test={test.pk}")


def _ladder(request: OrganisationRequest, test: RegistryTest) -> HttpResponse:
    response = render(request, "registries/test.html#ladder", {"test": test})
    response.headers["Vary"] = "HX-Request"
    # The history beside it then shows the new result.
    return response if test.is_running else trigger_client_event(response, "test-over", after="settle")
