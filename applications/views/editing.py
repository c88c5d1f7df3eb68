"""New Service → Application, and changing one: the form, and the full reference below its image."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from applications import saving
from applications.forms import OFFERED, PICKED, ApplicationForm, pull_reference, usable_registries
from applications.models import Application
from applications.views.access import SECTION, one_project
from organisations.access import OrganisationRequest, requires
from organisations.responses import see_other
from registries.models import Registry
from servers.models import Server

_CHOICES = {OFFERED: "registry", PICKED: "image"}


@sensitive_post_parameters("environment")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@requires("applications.add_application")
def add(request: OrganisationRequest, project_id: str) -> HttpResponse:
    project = one_project(request, project_id)
    return _form(request, Application(organisation=request.organisation, project=project))


@sensitive_post_parameters("environment")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@requires("applications.change_application")
def edit(request: OrganisationRequest, application_id: str) -> HttpResponse:
    rows = Application.objects.of(request.organisation).select_related("organisation", "project", "registry")
    return _form(request, get_object_or_404(rows, pk=application_id))


@never_cache
@require_safe
@requires("applications.view_application")
def show_reference(request: OrganisationRequest) -> HttpResponse:
    """What `?registry=&image=` is in full; `application` is the one whose own registry may stand there anyhow."""
    application = Application.objects.of(request.organisation).filter(pk=request.GET.get("application", "")).first()
    may_use = "registries.use_registry" in request.may
    registries = usable_registries(application or Application(), request.organisation, may_use_registries=may_use)
    registry: Registry | None = registries.filter(pk=request.GET.get("registry", "")).first()
    pull = pull_reference(organisation=request.organisation, registry=registry, image=request.GET.get("image", ""))
    return render(request, "applications/form.html#reference", {"pull": pull, "may_use_registries": may_use})


@sensitive_variables("form")
def _form(request: OrganisationRequest, application: Application) -> HttpResponse:
    is_new = application._state.adding
    form = _bound(request, application) if request.method == "POST" else _unbound(request, application)
    if form.is_bound and form.is_valid():
        saved = form.save(commit=False)
        saving.save_application(application=saved, environment=form.new_environment)
        messages.success(request, f"{saved.name} is saved.")
        return see_other(saved)
    context = {
        "section": SECTION,
        "form": form,
        "project": application.project,
        "application": None
        if is_new
        else Application.objects.select_related("organisation").defer("environment").get(pk=application.pk),
        "pull": form.pull_reference,
        "origin": f"project={application.project_id}" if is_new else f"application={application.pk}",
        "may_use_registries": "registries.use_registry" in request.may,
        "has_servers": Server.objects.of(request.organisation).exists(),
    }
    status = 422 if form.is_bound else 200
    return render(request, "applications/form.html", context, status=status)


def _bound(request: OrganisationRequest, application: Application) -> ApplicationForm:
    """What was typed; or, if an offered registry was pressed or an image picked, the same with that one in it."""
    chosen = {field: request.POST[name] for name, field in _CHOICES.items() if name in request.POST}
    if not chosen:
        return _make(request, application, data=request.POST)
    typed = {name: str(text) for name, text in request.POST.items()}
    return _make(request, application, initial=typed | chosen)


def _unbound(request: OrganisationRequest, application: Application) -> ApplicationForm:
    return _make(request, application)


def _make(request: OrganisationRequest, application: Application, **options: Any) -> ApplicationForm:
    return ApplicationForm(
        instance=application,
        organisation=request.organisation,
        may_use_registries="registries.use_registry" in request.may,
        may_deploy="applications.deploy_application" in request.may,
        **options,
    )
