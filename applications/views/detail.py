"""One application: its settings, its container, its deployments; and its end."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import trigger_client_event

from applications import deploying, looking, polling, saving
from applications.container_settings import as_command, ports_of, volumes_of
from applications.deploying import CannotDeploy
from applications.models import Application
from applications.views.access import SECTION, one_application
from organisations import audit
from organisations.access import OrganisationRequest, requires
from organisations.responses import see_other, status_of
from registries import quotas
from registries.models import Quota
from registries.references import parse

HISTORY_PER_PAGE = 20


@require_safe
@requires("applications.view_application")
def show(request: OrganisationRequest, application_id: str) -> HttpResponse:
    application = one_application(request, application_id)
    look = application.looks.order_by("-created_at").first()
    history = application.deployments.select_related("asked_by").defer("log", "progress", "replaces")
    page = Paginator(history, HISTORY_PER_PAGE).get_page(request.GET.get("page"))
    for deployment in page.object_list:
        deployment.organisation = request.organisation
    context = {
        "section": SECTION,
        "application": application,
        "reference": _reference(application),
        "ports": ports_of(application.ports),
        "volumes": volumes_of(application.volumes),
        "command": as_command(application.command),
        "quotas": _quotas(application),
        "look": look,
        "is_stale": looking.is_stale(look, application),
        "page_obj": page,
        "entries": audit.entries_of(application) if "organisations.view_auditentry" in request.may else [],
    }
    response = render(request, "applications/detail.html", context)
    if request.htmx.trigger == "deployments" and not _is_busy(application):
        return trigger_client_event(response, "deployment-over", after="settle")  # its container is another one now
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@requires("applications.delete_application")
def delete(request: OrganisationRequest, application_id: str) -> HttpResponse:
    """Delete it; if its container has to go first, the page of that removal follows."""
    application = one_application(request, application_id)
    context: dict[str, object] = {"section": SECTION, "application": application}
    if request.method == "POST":
        try:
            removal = saving.delete_application(
                application=application, leave_container="leave_container" in request.POST, by=request.user
            )
        except (saving.StillDeploying, CannotDeploy) as error:
            context["refusal"] = str(error)
        else:
            if removal is not None:
                return see_other(removal)
            messages.success(request, f"{application.name} is deleted.")
            return see_other(application.project)
    return render(request, "applications/delete.html", context, status=status_of(request))


def _is_busy(application: Application) -> bool:
    return application.last_deployment is not None and application.last_deployment.is_running


def _reference(application: Application) -> str:
    """In full, or as it was typed where that makes no reference (any more)."""
    try:
        return deploying.reference_of(application)
    except CannotDeploy:
        return application.image


def _quotas(application: Application) -> list[Quota]:
    """Of its pulls, where its registry counts them."""
    try:
        reference = parse(deploying.reference_of(application))
    except CannotDeploy:
        return []
    if not polling.tells_quota(reference):
        return []
    seen = quotas.of_pulls(
        organisation=application.organisation,
        host=reference.host,
        registry=application.registry,
        server=application.server,
    )
    return list(seen)
