"""What the workers do for organisations."""

from celery import shared_task

from dokreg.database import patiently
from organisations import notifying


@shared_task
def deliver_notification(delivery_id: str) -> None:
    notifying.deliver(delivery_id)
    patiently(notifying.dispatch)


@shared_task
def sweep_notifications() -> None:
    notifying.sweep()
