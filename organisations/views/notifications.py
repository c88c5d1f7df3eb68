"""Settings → Notifications: the channels of an organisation, and what it was told last."""

from typing import Any

from django.contrib import messages
from django.db.models import OuterRef, Prefetch, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from organisations import notifying
from organisations.access import OrganisationRequest, requires
from organisations.channel_forms import ChannelForm
from organisations.notification_models import Delivery, Notice, NotificationChannel
from organisations.responses import posted, see_other, status_of

SECTION = "notifications"
HISTORY_LENGTH = 20


@vary_on_headers("HX-Request")
@require_safe
@requires("organisations.view_notificationchannel")
def notification_list(request: OrganisationRequest) -> HttpResponse:
    """The page; for htmx and with `?channel=` how far the last delivery of that one is."""
    if request.htmx and "channel" in request.GET:
        return _last_delivery(request, _channel_of(request, request.GET["channel"]))
    channels = list(NotificationChannel.objects.of(request.organisation))
    last = _last_deliveries(channels)
    context = {
        "section": SECTION,
        "channels": [(channel, last.get(channel.pk)) for channel in channels],
        "notices": _last_notices(request),
    }
    return render(request, "organisations/notification_list.html", context)


@sensitive_variables()
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@requires("organisations.add_notificationchannel")
def channel_add(request: OrganisationRequest) -> HttpResponse:
    return _form(request, None)


@sensitive_variables()
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@requires("organisations.change_notificationchannel")
def channel_edit(request: OrganisationRequest, channel_id: str) -> HttpResponse:
    return _form(request, _channel_of(request, channel_id))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("organisations.delete_notificationchannel")
def channel_delete(request: OrganisationRequest, channel_id: str) -> HttpResponse:
    channel = _channel_of(request, channel_id)
    if request.method == "POST":
        channel.delete()
        messages.success(request, f"Notification channel “{channel}” was deleted.")
        return see_other(_list_of(request))
    return render(request, "organisations/channel_delete.html", {"section": SECTION, "channel": channel})


@require_POST
@requires("organisations.change_notificationchannel")
def channel_test(request: OrganisationRequest, channel_id: str) -> HttpResponse:
    channel = _channel_of(request, channel_id)
    notifying.send_test(channel=channel, by=request.user, path=_list_of(request))
    if request.htmx:
        return _last_delivery(request, channel)
    messages.success(request, f"A test is on its way to “{channel}”. Load this page again to see how it ends.")
    return see_other(_list_of(request))


def _form(request: OrganisationRequest, channel: NotificationChannel | None) -> HttpResponse:
    form = ChannelForm(posted(request), instance=channel, organisation=request.organisation)
    if form.is_valid():
        cleaned = form.cleaned_data
        notifying.save_channel(
            channel=form.instance,
            address=cleaned.get("address", ""),
            shown_as=form.shown_as,
            recipients=cleaned.get("recipients", []),
        )
        messages.success(request, "Saved." if channel else "Saved. Send a test to see whether it arrives.")
        return see_other(_list_of(request))
    # Anew, since a name that is refused must not stand above the form.
    saved = _channel_of(request, channel.pk) if channel else None
    context = {"section": SECTION, "form": form, "channel": saved}
    return render(request, "organisations/channel_form.html", context, status=status_of(request))


def _last_delivery(request: OrganisationRequest, channel: NotificationChannel) -> HttpResponse:
    context: dict[str, Any] = {"channel": channel, "delivery": channel.deliveries.first(), "is_news": True}
    return render(request, "organisations/notification_list.html#last", context)


def _last_deliveries(channels: list[NotificationChannel]) -> dict[str, Delivery]:
    """The newest delivery of each channel, by the channel's id."""
    newest = Delivery.objects.filter(channel=OuterRef("pk")).values("pk")[:1]
    of_channels = NotificationChannel.objects.filter(pk__in=[channel.pk for channel in channels])
    ids = of_channels.annotate(newest=Subquery(newest)).values("newest")
    return {delivery.channel_id: delivery for delivery in Delivery.objects.filter(pk__in=ids)}


def _last_notices(request: OrganisationRequest) -> QuerySet[Notice]:
    deliveries = Prefetch("deliveries", Delivery.objects.select_related("channel").order_by("channel__name"))
    return Notice.objects.of(request.organisation).prefetch_related(deliveries)[:HISTORY_LENGTH]


def _list_of(request: OrganisationRequest) -> str:
    return reverse("organisations:notification_list", kwargs={"organisation": request.organisation.slug})


def _channel_of(request: OrganisationRequest, channel_id: str) -> NotificationChannel:
    """The organisation's channel with this id, or Http404."""
    return get_object_or_404(
        NotificationChannel.objects.of(request.organisation).select_related("organisation"), pk=channel_id
    )
