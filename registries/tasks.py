"""What the workers do for registries."""

from celery import shared_task

from registries import testing
from registries.models import RegistryTest
from servers import runs
from servers.tasks import tidy_host


@shared_task
def run_registry_test(test_id: str) -> None:
    testing.run(test_id)


@shared_task
def sweep_registry_tests() -> None:
    for lost in runs.sweep(RegistryTest, run_registry_test, draft_password=None):
        tidy_host.delay(lost.server_id, lost.pk)
    testing.end_drafts()
