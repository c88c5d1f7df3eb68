"""What the workers do for registries."""

from celery import shared_task

from registries import alarms, batches, catalog, config_checks, login_sync, logins, rotations, testing, tokens
from registries.models import CatalogLook, ConfigCheck, RegistryTest, TokenRefresh
from servers import runs


@shared_task
def run_registry_test(test_id: str) -> None:
    test = testing.run(test_id)
    if test is not None:
        batches.after(test)
        rotations.after(test)


@shared_task
def sweep_registry_tests() -> None:
    runs.sweep(RegistryTest, run_registry_test, draft_password=None, to_tidy=True)
    batches.pump()
    for test_id in testing.cut_off():
        runs.send_id(tidy_after, test_id)
    testing.end_drafts()
    batches.drop_orphans()


@shared_task
def tidy_after(test_id: str) -> None:
    testing.tidy_after(test_id)


@shared_task
def refresh_token(refresh_id: str) -> None:
    tokens.work(refresh_id)


@shared_task
def dispatch_refreshes() -> None:
    """Once a minute: mint what is due, and look what time has brought about."""
    tokens.dispatch()
    alarms.watch()


@shared_task
def sweep_token_refreshes() -> None:
    if lost := runs.sweep(TokenRefresh, refresh_token):
        tokens.note_lost(lost)
        tokens.dispatch()  # what a dead worker left is still due


@shared_task
def sync_logins(server_id: str) -> None:
    login_sync.sync(server_id)


@shared_task
def sweep_logins() -> None:
    logins.wake()
    logins.dispatch()


@shared_task
def prepare_rotation(rotation_id: str) -> None:
    rotations.prepare(rotation_id)


@shared_task
def sweep_rotations() -> None:
    rotations.sweep()


@shared_task
def run_config_check(check_id: str) -> None:
    config_checks.run(check_id)


@shared_task
def sweep_config_checks() -> None:
    runs.sweep(ConfigCheck, run_config_check)


@shared_task
def run_catalog_look(look_id: str) -> None:
    catalog.run(look_id)


@shared_task
def sweep_catalog_looks() -> None:
    runs.sweep(CatalogLook, run_catalog_look)
