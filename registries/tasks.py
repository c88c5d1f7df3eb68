"""What the workers do for registries."""

from celery import shared_task

from registries import batches, testing
from registries.models import RegistryTest
from servers import runs


@shared_task
def run_registry_test(test_id: str) -> None:
    test = testing.run(test_id)
    if test is not None:
        batches.after(test)


@shared_task
def sweep_registry_tests() -> None:
    runs.sweep(RegistryTest, run_registry_test, draft_password=None, to_tidy=True)
    batches.pump()
    for test_id in testing.cut_off():
        tidy_after.delay(test_id)
    testing.end_drafts()
    batches.forget_old()


@shared_task
def tidy_after(test_id: str) -> None:
    testing.tidy_after(test_id)
