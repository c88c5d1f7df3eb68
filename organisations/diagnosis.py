"""What the doctor says of notifications."""

import datetime as dt
from collections.abc import Iterator

from django.utils import timezone

from dokreg.doctor.checks import WARNING, Finding, plural
from organisations.notification_models import Delivery

LATE = dt.timedelta(minutes=15)


def look_at_deliveries() -> Iterator[Finding]:
    """Those that wait for longer than a worker that is there would let them."""
    late = Delivery.objects.filter(state=Delivery.State.QUEUED, due_at__lt=timezone.now() - LATE).count()
    if not late:
        yield Finding("Notifications", "none is late")
        return
    why = "People are not told of what goes wrong."
    fix = "See that a worker runs; more at once: DOKREG_DELIVERIES_AT_ONCE."
    yield Finding("Notifications", f"{plural(late, 'delivery', 'deliveries')} late", WARNING, why, fix)
