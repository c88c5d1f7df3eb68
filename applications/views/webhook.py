"""The page of an application's webhook: its address, its signing secret, how to call it, and who has called."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from applications.models import Application
from applications.webhooks import calling, deliveries, keys, senders
from dokreg.encryption import SecretUnreadable
from organisations.access import OrganisationRequest, requires
from organisations.responses import see_other

SECTION = "projects"


@sensitive_variables()
@never_cache
@require_safe
@requires("applications.change_application")
def show(request: OrganisationRequest, application_id: str) -> HttpResponse:
    return _page(request, _application_of(request, application_id))


@require_POST
@requires("applications.change_application")
def make_key(request: OrganisationRequest, application_id: str) -> HttpResponse:
    if not _may_deploy(request):  # as whoever has the address may
        raise PermissionDenied
    application = _application_of(request, application_id)
    keys.make_key(application=application, by=request.user)
    messages.success(request, "The webhook has a new address. Give it to whoever is to call it.")
    return _back(request, application)


@require_POST
@requires("applications.change_application")
def end_key(request: OrganisationRequest, application_id: str) -> HttpResponse:
    application = _application_of(request, application_id)
    keys.end_key(application=application, by=request.user)
    messages.success(request, "The webhook is gone. Its address leads nowhere any more.")
    return _back(request, application)


@sensitive_variables()
@never_cache
@require_POST
@requires("applications.change_application")
def make_secret(request: OrganisationRequest, application_id: str) -> HttpResponse:
    """The answer shows the new secret, which is never shown again."""
    application = _application_of(request, application_id)
    try:
        secret = keys.make_secret(application=application, by=request.user)
    except keys.NoWebhook as error:
        messages.error(request, str(error))
        return _back(request, application)
    return _page(request, application, secret=secret)


@require_POST
@requires("applications.change_application")
def remove_secret(request: OrganisationRequest, application_id: str) -> HttpResponse:
    application = _application_of(request, application_id)
    keys.remove_secret(application=application, by=request.user)
    messages.success(request, "Calls need no signature any more.")
    return _back(request, application)


@require_POST
@requires("applications.change_application")
def choose_unsigned(request: OrganisationRequest, application_id: str) -> HttpResponse:
    application = _application_of(request, application_id)
    try:
        keys.choose_unsigned(application=application, accepted="accepted" in request.POST, by=request.user)
    except keys.NoWebhook as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Saved.")
    return _back(request, application)


@sensitive_variables()
def _page(request: OrganisationRequest, application: Application, *, secret: str = "") -> HttpResponse:
    try:
        address, is_unreadable = keys.address_of(application) if _may_deploy(request) else "", False
    except SecretUnreadable:
        address, is_unreadable = "", True
    context = {
        "section": SECTION,
        "application": application,
        "address": address,
        "may_deploy": _may_deploy(request),
        "is_unreadable": is_unreadable,
        "secret": secret,
        "calls": calling.examples(application=application, address=address or "WEBHOOK_ADDRESS"),
        "senders": senders.ALL,
        "deliveries": deliveries.recent(application),
    }
    return render(request, "applications/webhook.html", context)


def _may_deploy(request: OrganisationRequest) -> bool:
    return "applications.deploy_application" in request.may


def _back(request: OrganisationRequest, application: Application) -> HttpResponse:
    return see_other("applications:webhook", organisation=request.organisation.slug, application_id=application.pk)


def _application_of(request: OrganisationRequest, application_id: str) -> Application:
    """The organisation's application with this id, or 404."""
    rows = Application.objects.of(request.organisation).select_related("organisation", "project", "registry")
    return get_object_or_404(rows, pk=application_id)
