"""What every test shares: the people, the table of pages, the lab, and settings that make tests quick."""

import contextlib
import gc
import sqlite3

import hypothesis
import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoDbBlocker, Settings

from dokreg import health
from dokreg.checks import plant_canary
from dokreg.models import KeyCanary
from tests import beside, prepared

# How long an example takes is no finding: the machine is busy, and stands still now and then.
hypothesis.settings.register_profile("dokreg", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("dokreg")

pytest_plugins = [
    "tests.people",
    "tests.pages",
    "tests.lab.fixtures",
    "tests.applications.importers",
    "tests.applications.exports",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Beside a PostgreSQL run those alone for which the database could matter; the others run with SQLite."""
    if beside.is_there():
        left_out = [item for item in items if item.get_closest_marker("once") or not _meets_a_database(item)]
    else:
        left_out = [item for item in items if item.get_closest_marker("row_locks")]
    config.hook.pytest_deselected(items=left_out)
    kept = set(items).difference(left_out)
    items[:] = [item for item in items if item in kept]


def _meets_a_database(item: pytest.Item) -> bool:
    """Whether it has one in its own process, or speaks to a dokreg that has one."""
    fixtures = set(getattr(item, "fixturenames", ()))
    module = vars(getattr(item, "module", None) or pytest)
    return bool(
        item.get_closest_marker("django_db")
        or fixtures & {"db", "transactional_db", "postgres", "dokreg", "owner"}
        or {"running", "Running"} & module.keys()
    )


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """The database of the tests begins as a copy of one that is migrated."""
    test = connection.settings_dict["TEST"]
    if beside.is_there():
        test["TEMPLATE"] = beside.PREPARED
    else:
        test["MIGRATE"] = False


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    if beside.is_there():
        return
    with django_db_blocker.unblock(), contextlib.closing(sqlite3.connect(prepared.database())) as ready:
        connection.ensure_connection()
        ready.backup(connection.connection)
        KeyCanary.objects.all().delete()  # it was planted with other keys
        plant_canary()
        ContentType.objects.clear_cache()


@pytest.fixture(autouse=True)
def _quick_settings(settings: Settings) -> None:
    """Static files are not collected for tests, and passwords are hashed cheaply."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}
    settings.WHITENOISE_AUTOREFRESH = True  # else it warns of the missing folder
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _young_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test sees a dokreg that has just started: no page complains yet that no worker beats."""
    monkeypatch.setattr(health, "STARTED_AT", timezone.now())


def pytest_sessionfinish() -> None:
    """pytest collects garbage five times at its end; with so much loaded once is long enough."""
    gc.collect()
    gc.freeze()
