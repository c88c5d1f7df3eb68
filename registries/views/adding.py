"""Add Registry: choose the provider or paste what you have, fill in the form, save."""

from collections.abc import Mapping

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from organisations.access import OrganisationRequest, requires
from organisations.responses import see_other
from registries import kinds, pasting, saving
from registries.forms import AS_IT_IS, RegistryForm
from registries.kinds import Kind
from registries.models import Draft, Registry, RegistryTest
from registries.pasting import NothingFound, Pasted
from registries.short_forms import PasteForm
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

MAX_DRAFTS = 50


@require_safe
@requires("registries.add_registry")
def choose(request: OrganisationRequest) -> HttpResponse:
    found = Draft.objects.of(request.organisation).filter(
        created_by=request.user, pk__in=request.GET.get("drafts", "").split(",")[:MAX_DRAFTS]
    )
    return _choose(request, PasteForm(), list(found))


@sensitive_post_parameters()
@require_POST
@requires("registries.add_registry")
def paste(request: OrganisationRequest) -> HttpResponse:
    form = PasteForm(request.POST)
    pasted: list[Pasted] = []
    if form.is_valid():
        try:
            pasted = pasting.read(form.cleaned_data["text"])
        except NothingFound as error:
            form.add_error("text", str(error))
    if not pasted:
        return _choose(request, form, [], status=422)
    drafts = [_draft_of(request, entry) for entry in pasted[:MAX_DRAFTS]]
    if len(drafts) == 1:
        return see_other(_address_of(request, drafts[0]))
    ids = ",".join(draft.pk for draft in drafts)
    return see_other(f"{reverse('registries:choose', args=[request.organisation.slug])}?drafts={ids}")


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@requires("registries.add_registry")
def add(request: OrganisationRequest, kind: str) -> HttpResponse:
    provider = kind_or_404(kind)
    draft = saved_draft(request)
    if request.method != "POST":
        return show_workbench(request, new_form(request, provider, draft), test=_test_of(request))
    if is_switching(request):
        return show_workbench(request, new_form(request, provider, draft, typed=request.POST.dict()))
    form = new_form(request, provider, draft, bound=True)
    if not form.is_valid():
        return form_answer(request, keep_typed(request, form))
    registry = form.save(commit=False)
    saving.save_registry(registry=registry, password=form.new_secret, by=request.user)
    for warning in form.warnings:
        messages.warning(request, warning)
    messages.success(request, f"{registry.name} is saved.")
    return redirected(request, registry.get_absolute_url())


def new_form(
    request: OrganisationRequest,
    kind: Kind,
    draft: Draft | None,
    *,
    bound: bool = False,
    form_class: type[RegistryForm] = RegistryForm,
    typed: Mapping[str, str] | None = None,
) -> RegistryForm:
    """The form for a new registry, filled in with what the provider, the draft and the person say."""
    initial = {
        "url": kind.default_host,
        "username": kind.username_fixed or "",
        "name": _free_name(request, kind),
    }
    initial["server"] = _usual_server(request) or ""
    initial |= {name: value for name, value in (draft.values if draft else {}).items() if value}
    initial |= typed_initial(typed)
    return form_class(
        request.POST if bound else None,
        instance=Registry(organisation=request.organisation, kind=kind.slug),
        initial=initial | ({"draft": draft.pk} if draft else {}),
        organisation=request.organisation,
        kind=kind,
        draft=draft,
    )


def kind_or_404(slug: str) -> Kind:
    try:
        return kinds.get(slug)
    except kinds.UnknownKind as error:
        raise Http404 from error


def _choose(request: OrganisationRequest, form: PasteForm, drafts: list[Draft], status: int = 200) -> HttpResponse:
    found = [
        {
            "url": draft.values.get("url") or "docker.io",
            "username": draft.values.get("username", ""),
            "note": draft.values.get("note", ""),
            "address": _address_of(request, draft),
        }
        for draft in drafts
    ]
    context = {"section": "registries", "kinds": kinds.all_kinds(), "form": form, "found": found}
    return render(request, "registries/choose.html", context, status=status)


def _draft_of(request: OrganisationRequest, pasted: Pasted) -> Draft:
    values = {
        "kind": pasted.kind,
        "name": pasted.name,
        "url": pasted.url,
        "username": pasted.username,
        "image_prefix": pasted.image_prefix,
        "image": pasted.image,
        "note": pasted.note,
        "method": kinds.get(pasted.kind).method_of_pasted(pasted.username) or (AS_IT_IS if pasted.password else ""),
    }
    return saving.keep_draft(
        organisation=request.organisation, by=request.user, values=values, password=pasted.password
    )


def _address_of(request: OrganisationRequest, draft: Draft) -> str:
    address = reverse("registries:add", args=[request.organisation.slug, draft.values["kind"]])
    return f"{address}?draft={draft.pk}"


def _test_of(request: OrganisationRequest) -> RegistryTest | None:
    """Without JavaScript, Test leads back here with the run's id."""
    return (
        RegistryTest.objects.of(request.organisation)
        .filter(pk=request.GET.get("test", ""), asked_by=request.user)
        .first()
    )


def _usual_server(request: OrganisationRequest) -> str | None:
    """Where the last registry is tested, or the only server there is."""
    last = Registry.objects.of(request.organisation).order_by("-created_at").values_list("server", flat=True).first()
    servers = list(Server.objects.of(request.organisation).values_list("pk", flat=True)[:2])
    return last or (servers[0] if len(servers) == 1 else None)


def _free_name(request: OrganisationRequest, kind: Kind) -> str:
    taken = set(
        Registry.objects.of(request.organisation).filter(name__startswith=kind.name).values_list("name", flat=True)
    )
    names = (kind.name if number == 1 else f"{kind.name} {number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
