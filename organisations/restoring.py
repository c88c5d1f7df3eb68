"""What of people and their organisations ends when a backup is restored."""

import datetime as dt

from django.contrib.sessions.models import Session
from django.utils import timezone

from organisations import audit
from organisations.models import Invitation, Organisation, SetupLink
from organisations.notification_models import Delivery

NOT_SENT = "A backup was restored that was taken before this was sent. Whether it arrived is not known here."


def end(taken_at: dt.datetime) -> None:
    """Sessions and one-time links, which may have been ended since; and messages that may have been sent since."""
    Session.objects.all().delete()
    SetupLink.objects.all().delete()
    now = timezone.now()
    Invitation.objects.filter(accepted_at=None, expires_at__gt=now).update(expires_at=now)
    Delivery.objects.filter(state__in=Delivery.UNDER_WAY).update(
        state=Delivery.State.FAILED, lease_until=None, error=NOT_SENT
    )
    for organisation in Organisation.objects.all():
        audit.record("restored a backup", organisation, taken_at=f"{taken_at:%Y-%m-%d %H:%M:%S} UTC")
