"""What the tests of notifications share."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from organisations.models import Organisation
from organisations.notification_models import NotificationChannel
from tests.lab.mail import MailServer
from tests.organisations.receiving import TOKEN, Receiver, make_channel


@pytest.fixture
def own_host_is_allowed(settings: Settings) -> None:
    settings.DOKREG_ALLOW_LOOPBACK = True


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that the broker was given; there is none in these tests, so they run the tasks themselves."""
    from organisations.tasks import deliver_notification

    handed_over: list[str] = []
    monkeypatch.setattr(deliver_notification, "delay", handed_over.append)
    return handed_over


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture
def channel(organisation: Organisation, receiver: Receiver) -> NotificationChannel:
    return make_channel(organisation, f"json://{receiver.host}/{TOKEN}")


@pytest.fixture
def mail_server(settings: Settings) -> Iterator[MailServer]:
    with MailServer(unknown="nobody@example.com") as server:
        settings.DOKREG_SENDS_EMAIL = True
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.address, server.port
        settings.DEFAULT_FROM_EMAIL = "dokreg <dokreg@example.com>"
        yield server
