"""What the workers do for servers."""

import importlib
from typing import Any

from celery import shared_task
from celery.signals import worker_init

from servers import draining, runs, testing
from servers.models import ServerTest

__all__ = ["draining"]  # it listens for the end of a worker, which loads this module


@shared_task
def run_server_test(test_id: str) -> None:
    testing.run(test_id)


@shared_task
def sweep_server_tests() -> None:
    runs.sweep(ServerTest, run_server_test)


@worker_init.connect
def _be_ready_to_connect(**_: Any) -> None:
    """The first test shall not wait for the modules that a connection needs."""
    importlib.import_module("servers.connections")
