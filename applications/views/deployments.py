"""Deploying, and everything else that is done to a container; and the page of each such deployment."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import HttpResponseClientRedirect

from applications import deploying
from applications.deploying import CannotDeploy
from applications.models import Application, Deployment
from applications.views.access import SECTION, deployments_of, one_application
from organisations.access import OrganisationRequest, requires
from organisations.responses import number_in, see_other
from servers.watching import wait_for_change

LONGEST_WAIT_SECONDS = 1.0
NEWS = ("log", "progress", "digest", "cancel_asked_at", "cancel_asked_by")
# What is over so soon that its own page is not worth the way.
AT_ONCE = frozenset({Deployment.Action.START, Deployment.Action.STOP, Deployment.Action.RESTART})
OFFERED = (*AT_ONCE, Deployment.Action.REMOVE)


@require_POST
@requires("applications.deploy_application")
def deploy(request: OrganisationRequest, application_id: str) -> HttpResponse:
    application = one_application(request, application_id)
    return _asked(request, application, lambda: deploying.ask(application=application, asked_by=request.user))


@require_POST
@requires("applications.deploy_application")
def roll_back(request: OrganisationRequest, application_id: str) -> HttpResponse:
    """To the image of the deployment that is posted."""
    application = one_application(request, application_id)
    to = get_object_or_404(application.deployments, pk=request.POST.get("deployment", ""))
    return _asked(
        request,
        application,
        lambda: deploying.ask_for_rollback(application=application, to=to, asked_by=request.user),
    )


@require_POST
@requires("applications.deploy_application")
def act(request: OrganisationRequest, application_id: str) -> HttpResponse:
    """Start, stop or restart its container, or remove it."""
    application, action = one_application(request, application_id), request.POST.get("action", "")
    if action not in OFFERED:
        messages.error(request, "Choose what is to be done: start, stop, restart or remove.")
        return see_other(application)
    return _asked(
        request,
        application,
        lambda: deploying.ask_for(application=application, action=action, asked_by=request.user),
    )


@vary_on_headers("HX-Request")
@never_cache
@require_safe
@requires("applications.view_application")
def show(request: OrganisationRequest, deployment_id: str) -> HttpResponse:
    """One deployment: a page, or for htmx what has changed of it.

    `seen` is the revision that the page shows, `from` how many characters of the log, `step` the rung that it has
    announced.
    """
    deployment = deployments_of(request).filter(pk=deployment_id).first()
    if request.htmx and deployment is None:  # its application is gone, and it with it
        return HttpResponseClientRedirect(reverse("applications:projects", args=[request.organisation.slug]))
    deployment = deployment or get_object_or_404(deployments_of(request), pk=deployment_id)
    if not request.htmx:
        context = {"section": SECTION, "shown": "", "earlier": _earlier(deployment)} | _context(deployment)
        return render(request, "applications/deployment.html", context)
    deployment = wait_for_change(deployment, number_in(request, "seen", usual=-1), LONGEST_WAIT_SECONDS, also=NEWS)
    context = _context(deployment) | {
        "more": deployment.log[number_in(request, "from", usual=0) :],
        "is_announced": deployment.is_running and deployment.step == request.GET.get("step"),
        "earlier": _earlier(deployment),
    }
    return render(request, "applications/deployment.html#live", context)


@require_POST
@requires("applications.deploy_application")
def cancel(request: OrganisationRequest, deployment_id: str) -> HttpResponse:
    deployment = get_object_or_404(deployments_of(request), pk=deployment_id)
    if not deploying.cancel(deployment=deployment, by=request.user):
        messages.info(request, "It is too late to cancel it.")
    return see_other(deployment)


def _asked(request: OrganisationRequest, application: Application, ask: Callable[[], Deployment]) -> HttpResponse:
    """Its page; or the application's, where it is over soon or cannot be done."""
    try:
        deployment = ask()
    except CannotDeploy as error:
        messages.error(request, str(error))
        return see_other(application)
    deployment.organisation = request.organisation
    return see_other(application if deployment.action in AT_ONCE else deployment)


def _context(deployment: Deployment) -> dict[str, object]:
    total, done = deployment.progress_of("bytes_total"), deployment.progress_of("bytes")
    layers, layers_done = deployment.progress_of("layers"), deployment.progress_of("layers_done")
    return {
        "deployment": deployment,
        "application": deployment.application,
        "length": len(deployment.log),
        "layers": layers,
        "layers_done": layers_done,
        "bytes_done": done,
        "bytes_total": total,
        "most": total or layers,
        "value": min(done, total) if total else layers_done,
    }


def _earlier(deployment: Deployment) -> Deployment | None:
    """What one that succeeded can be undone with: the last one before it that brought another image."""
    if not deployment.pulls or deployment.state != Deployment.State.SUCCEEDED:
        return None
    rows = deployment.application.deployments.filter(
        state=Deployment.State.SUCCEEDED, action__in=Deployment.PULLS, created_at__lt=deployment.created_at
    )
    return rows.exclude(digest="").exclude(digest=deployment.digest).defer("log", "rungs").first()
