"""What every test shares: the people, the table of pages, the lab, and settings that make tests quick."""

import pytest
from django.utils import timezone
from pytest_django import Settings

from dokreg import health

pytest_plugins = [
    "tests.people",
    "tests.pages",
    "tests.lab.fixtures",
    "tests.applications.importers",
    "tests.applications.exports",
]


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
