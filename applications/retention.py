"""How long deployments, their logs, looks at containers and calls of webhooks are kept."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from applications.models import Application, ContainerLook, Deployment
from applications.webhook_models import WebhookDelivery
from applications.webhooks import signatures
from dokreg.retention import Rule, days
from servers.retention import over

# Of an application, the last ones that brought an image: what one rolls back to.
ROLLBACKS = 10
LOOKS_KEPT = dt.timedelta(hours=1)
CALLS_KEPT = dt.timedelta(days=30)


def rules() -> Iterator[Rule]:
    yield Rule("deployments", days(settings.DOKREG_KEEP_DEPLOYMENTS_DAYS), _deployments)
    yield Rule("logs of deployments", days(settings.DOKREG_KEEP_LOGS_DAYS), _with_log, forget=_clear_log)
    yield Rule("looks at containers", LOOKS_KEPT, lambda before: over(ContainerLook.objects.all(), before))
    yield Rule("calls of webhooks", CALLS_KEPT, lambda before: WebhookDelivery.objects.filter(created_at__lt=before))
    yield Rule("signatures of calls", signatures.KEPT, signatures.with_time, at="seen_at")
    yield Rule("signatures without a time", signatures.TIMELESS_KEPT, signatures.timeless, at="seen_at")


def _deployments(before: dt.datetime) -> "QuerySet[Deployment]":
    """Not what an application shows or serves, nor what it can be rolled back to, nor what a server may still have."""
    newer = Deployment.objects.filter(
        ~Q(digest=""),
        application=OuterRef("application"),
        state=Deployment.State.SUCCEEDED,
        created_at__gt=OuterRef("created_at"),
    )
    has_enough_newer = Exists(newer.order_by("-created_at")[ROLLBACKS - 1 : ROLLBACKS])
    return _settled(before).filter(~Q(state=Deployment.State.SUCCEEDED) | Q(digest="") | has_enough_newer)


def _with_log(before: dt.datetime) -> "QuerySet[Deployment]":
    return _settled(before).exclude(log="")


def _settled(before: dt.datetime) -> "QuerySet[Deployment]":
    in_use = Application.objects.filter(Q(last_deployment=OuterRef("pk")) | Q(serving=OuterRef("pk")))
    return over(Deployment.objects.filter(~Exists(in_use), to_tidy=False), before)


def _clear_log(rows: "QuerySet[Any]") -> None:
    rows.update(log="", progress={})
