"""The form of a registry beside the ladder of its test, and how both come back."""

from collections.abc import Mapping

from django.http import HttpResponse
from django.shortcuts import render
from django_htmx.http import HttpResponseClientRedirect, reswap, retarget

from organisations.access import OrganisationRequest
from organisations.responses import see_other
from registries import rotations, saving
from registries.forms import ACCOUNT, TYPED, RegistryForm
from registries.models import Draft, RegistryTest


def show_workbench(
    request: OrganisationRequest, form: RegistryForm, *, test: RegistryTest | None = None, status: int = 200
) -> HttpResponse:
    """The whole page, or only its middle for htmx."""
    template = "registries/form.html#workbench" if request.htmx else "registries/form.html"
    context = {
        "section": "registries",
        "form": form,
        "kind": form.kind,
        "secret_url": form.kind.secret_url(form["url"].value() or form.kind.default_host),
        "note": form.saved_draft.values.get("note", "") if form.saved_draft else "",
        "test": test,
        "warnings": form.warnings,
        "policies": [(f"policy-{number}", policy) for number, policy in enumerate(form.policies)],
        "registry": None if form.instance._state.adding else form.instance,
        "dependents": [] if form.instance._state.adding else rotations.dependents(form.instance),
    }
    response = render(request, template, context, status=status)
    response.headers["Vary"] = "HX-Request"
    return response


def form_answer(request: OrganisationRequest, form: RegistryForm, *, test: RegistryTest | None = None) -> HttpResponse:
    """The form as it was typed, with its errors, or with the test that has just been asked for."""
    response = show_workbench(request, form, test=test, status=200 if test else 422)
    if form.is_finding:
        return response  # of which the search takes its list alone
    return retarget(reswap(response, "outerHTML"), "#workbench")


def keep_typed(request: OrganisationRequest, form: RegistryForm) -> RegistryForm:
    """Keep a typed secret for the next try, so that an error elsewhere does not lose it.

    In the browser the field itself is kept; this serves those without JavaScript.
    """
    typed = request.POST.get("password", "")
    if request.htmx or not typed or "password" in form.errors:
        return form
    draft = saving.keep_draft(
        organisation=request.organisation, by=request.user, values=form.typed_values, password=typed
    )
    form.saved_draft = draft
    data = form.data.copy()  # type: ignore[attr-defined]  # a QueryDict, or a dict
    data["draft"] = draft.pk
    form.data = data
    form.fields["password"].widget.attrs["placeholder"] = "Kept from before; leave empty to use it"
    return form


def is_switching(request: OrganisationRequest) -> bool:
    """Whether the form was sent to be shown anew, for another way to log in: nothing is to be saved or tested."""
    return "switch" in request.POST


def typed_initial(typed: Mapping[str, str] | None) -> dict[str, str]:
    """What was typed into the form, to show it in a form with other fields."""
    return {name: value for name, value in (typed or {}).items() if name in TYPED or name.startswith(ACCOUNT)}


def saved_draft(request: OrganisationRequest) -> Draft | None:
    """The draft that the form or the address names."""
    name = request.POST.get("draft") or request.GET.get("draft") or ""
    return saving.draft_of(organisation=request.organisation, by=request.user, draft_id=name)


def redirected(request: OrganisationRequest, address: str) -> HttpResponse:
    """To another page, whoever asks."""
    return HttpResponseClientRedirect(address) if request.htmx else see_other(address)
