"""What the workers do for servers."""

from celery import shared_task

from servers import draining, runs, testing
from servers.models import ServerTest

__all__ = ["draining"]  # it listens for the end of a worker, which loads this module


@shared_task
def run_server_test(test_id: str) -> None:
    testing.run(test_id)


@shared_task
def sweep_server_tests() -> None:
    runs.sweep(ServerTest, run_server_test)
