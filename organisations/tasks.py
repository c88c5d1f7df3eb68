"""What the workers do for organisations."""

from celery import shared_task

from organisations import notifying


@shared_task
def deliver_notification(delivery_id: str) -> None:
    notifying.deliver(delivery_id)
    notifying.dispatch()


@shared_task
def sweep_notifications() -> None:
    notifying.sweep()
