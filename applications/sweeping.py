"""What beat looks after: deployments whose worker died, and servers that have to be put right after them."""

import datetime as dt
import functools

from django.db import IntegrityError, transaction
from django.utils import timezone

from applications import deploying, telling
from applications.models import Deployment
from dokreg.database import patiently
from servers import runs

TIDY_WITHIN = dt.timedelta(days=1)
TIDY_AGAIN_AFTER = dt.timedelta(minutes=1)
TIDY_AT_ONCE = 50
Action, State = Deployment.Action, Deployment.State


def sweep() -> None:
    """End as lost what a dead worker left, and queue that its server is put right; old tidying is forgotten."""
    from applications.tasks import run_deployment

    for deployment in runs.sweep(Deployment, run_deployment, to_tidy=True):
        patiently(functools.partial(telling.lost, deployment))
    _queue_tidying()
    _forget_tidying()


def _queue_tidying() -> None:
    """For each application of which something is to be tidied and nothing is under way, once a minute."""
    now = timezone.now()
    left = Deployment.objects.filter(to_tidy=True, server__isnull=False, finished_at__gt=now - TIDY_WITHIN)
    for deployment in left.exclude(state__in=deploying.UNFINISHED).select_related("server")[:TIDY_AT_ONCE]:
        of_application = Deployment.objects.filter(application=deployment.application_id)
        just_tried = of_application.filter(action=Action.TIDY, created_at__gt=now - TIDY_AGAIN_AFTER)
        if not just_tried.exists() and not of_application.filter(state__in=deploying.UNFINISHED).exists():
            _queue(deployment)


def _queue(left: Deployment) -> None:
    tidying = Deployment(
        organisation_id=left.organisation_id,
        application_id=left.application_id,
        action=Action.TIDY,
        reason=Deployment.Reason.LOST,
        server=left.server,
        server_name=left.server_name,
        container_name=left.container_name,
        sent_at=None,
    )
    tidying.rungs = deploying.rungs_of(tidying, left.application)
    try:
        with transaction.atomic():
            tidying.save()
    except IntegrityError:
        return  # somebody asked for something at this moment, which tidies first


def _forget_tidying() -> None:
    """Only what was lost is of interest, not each try to put it right."""
    old = timezone.now() - TIDY_AGAIN_AFTER
    Deployment.objects.filter(action=Action.TIDY, finished_at__lt=old).delete()
