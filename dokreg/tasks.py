"""What the workers do for the installation as a whole."""

from celery import shared_task

from dokreg import retention


@shared_task
def prune() -> None:
    """Once an hour."""
    retention.prune(seconds=retention.SECONDS_AN_HOUR)
