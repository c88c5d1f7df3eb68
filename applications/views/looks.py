"""Looking at an application's container from its page."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from applications import looking
from applications.models import ContainerLook
from applications.views.access import one_application
from organisations.access import OrganisationRequest, requires
from organisations.responses import number_in, see_other
from servers.watching import wait_for_change

LONGEST_WAIT_SECONDS = 1.0


@require_POST
@requires("applications.view_application")
def look(request: OrganisationRequest, application_id: str) -> HttpResponse:
    application = one_application(request, application_id)
    asked = looking.ask(application=application, asked_by=request.user)
    if request.htmx:
        return _card(request, asked)
    return see_other(application)


@vary_on_headers("HX-Request")
@never_cache
@require_safe
@requires("applications.view_application")
def show(request: OrganisationRequest, look_id: str) -> HttpResponse:
    """For htmx the container's card as soon as it has changed; else the application's page, which has it."""
    looks = ContainerLook.objects.of(request.organisation)
    found = get_object_or_404(looks, pk=look_id)
    application = one_application(request, found.application_id)
    if not request.htmx:
        return see_other(application)
    revision = number_in(request, "seen", usual=-1)
    return _card(request, wait_for_change(found, revision, LONGEST_WAIT_SECONDS, also=("answer", "log")))


def _card(request: OrganisationRequest, asked: ContainerLook) -> HttpResponse:
    context = {"application": one_application(request, asked.application_id), "look": asked, "is_stale": False}
    return render(request, "applications/detail.html#container", context)
