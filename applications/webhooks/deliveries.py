"""The history of an application's webhook, and how often it may be called."""

import datetime as dt
import math

from django.core.cache import cache
from django.db.models import QuerySet

from applications.models import Application, Deployment
from applications.webhook_models import WebhookDelivery

SHOWN = 20
MINUTE = dt.timedelta(minutes=1)
CALLS_PER_MINUTE = 60
# CI services and registries call for many applications from a few addresses. Counted in each process: it keeps off
# load, and the keys are too long to be guessed anyway.
CALLS_PER_MINUTE_FROM_ADDRESS = 300


def note(
    *,
    application: Application,
    outcome: str,
    words: str,
    now: dt.datetime,
    sender: str = "",
    named: str = "",
    deployment: Deployment | None = None,
    link: str = "",
) -> WebhookDelivery:
    """Keep what came of a call; texts that others wrote are cut and stripped of what does not print."""
    return WebhookDelivery.objects.create(
        application=application,
        created_at=now,
        sender=sender,
        named=shown(named),
        outcome=outcome,
        words=shown(words),
        deployment=deployment,
        link=link if len(link) <= WebhookDelivery.LINK_LENGTH else "",
    )


def shown(text: str, limit: int = WebhookDelivery.SHOWN_LENGTH) -> str:
    """The text as one may repeat it: bounded, and without characters that break a sentence or a database."""
    printable = "".join(character if character.isprintable() else "?" for character in text[: limit + 1])
    return printable if len(printable) <= limit else f"{printable[: limit - 1]}…"


def recent(application: Application) -> "QuerySet[WebhookDelivery]":
    """The last calls, newest first."""
    return application.webhook_deliveries.select_related("deployment")[:SHOWN]


def seconds_to_wait(*, application: Application, now: dt.datetime) -> int:
    """0 if the webhook may be called now, else how long it has had too many calls."""
    of_late = application.webhook_deliveries.filter(created_at__gt=now - MINUTE).order_by("-created_at")
    first = of_late[CALLS_PER_MINUTE - 1 : CALLS_PER_MINUTE].values_list("created_at", flat=True).first()
    return math.ceil((first + MINUTE - now).total_seconds()) if first else 0


def seconds_to_wait_from(*, address: str) -> int:
    """Count a call from an address: 0 if it may call now, else how long to wait."""
    name = f"webhooks-from-{address}"
    cache.add(name, 0, MINUTE.total_seconds())
    try:
        calls = cache.incr(name)
    except ValueError:  # its minute ended between the two lines
        return 0
    return 0 if calls <= CALLS_PER_MINUTE_FROM_ADDRESS else math.ceil(MINUTE.total_seconds())
