"""What the workers do for applications."""

from celery import shared_task
from django.conf import settings

from applications import deploy, deploying, looking, polling, sweeping
from applications.models import ContainerLook
from servers import runs

# A deployment ends itself by its own deadline; this is for a process that hangs where no deadline holds.
_LIMIT = settings.DOKREG_DEPLOYMENT_SECONDS + 300


@shared_task(soft_time_limit=_LIMIT, time_limit=_LIMIT + 30)
def run_deployment(deployment_id: str) -> None:
    deploy.run(deployment_id)


@shared_task
def run_container_look(look_id: str) -> None:
    looking.run(look_id)


@shared_task
def sweep_deployments() -> None:
    sweeping.sweep()
    deploying.dispatch()
    runs.sweep(ContainerLook, run_container_look)


@shared_task
def poll_application(application_id: str) -> None:
    polling.poll_in_turn(application_id)


@shared_task
def see_quota(application_id: str) -> None:
    polling.see_quota(application_id)


@shared_task
def dispatch_polls() -> None:
    """Once a minute."""
    polling.dispatch()
