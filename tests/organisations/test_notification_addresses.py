"""Addresses of notifications: where dokreg does not go, and that they are secrets."""

import logging
import threading
import time

import pytest
from django.db import connection
from django.urls import reverse
from pytest_django import Settings

from organisations import sending
from organisations.models import AuditEntry, Organisation, User
from organisations.notification_models import Delivery, Notice, NotificationChannel
from organisations.sending import BadAddress
from tests.lab.impostors import Answer, Dripping, HttpImpostor
from tests.organisations.receiving import LIST, TOKEN, Receiver, add, deliver, make_channel, press_test, tell
from tests.people import ClientOf

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_host_is_allowed", "broker")]


# Where dokreg does not go


@pytest.mark.parametrize(
    "address",
    [
        "json://169.254.169.254/latest/",
        "json://[::ffff:169.254.169.254]/",
        "json://100.100.100.200",
        "rsyslog://169.254.169.254",
        "mailto://user:password@example.com?smtp=169.254.169.254&to=a@example.com",
    ],
)
def test_the_metadata_service_of_a_cloud_is_never_asked(organisation: Organisation, address: str) -> None:
    make_channel(organisation, address)
    delivery = deliver(tell(organisation))
    assert delivery.state == "failed"
    assert "which dokreg never talks to" in delivery.error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001"])
def test_the_own_host_is_asked_only_if_that_is_allowed(
    organisation: Organisation, receiver: Receiver, settings: Settings, host: str
) -> None:
    settings.DOKREG_ALLOW_LOOPBACK = False
    make_channel(organisation, f"json://{host}:{receiver.port}")
    delivery = deliver(tell(organisation))
    assert (delivery.state, receiver.requests) == ("failed", [])
    assert "DOKREG_ALLOW_LOOPBACK" in delivery.error


def test_a_stored_address_that_apprise_does_not_know_any_more_is_not_tried_again(organisation: Organisation) -> None:
    make_channel(organisation, "gone://example.com")
    assert deliver(tell(organisation)).state == "failed"


def test_only_allowed_networks_are_asked(organisation: Organisation, settings: Settings) -> None:
    from dokreg.addresses import parse_networks

    settings.DOKREG_ALLOWED_NETWORKS = parse_networks("192.0.2.0/24")
    make_channel(organisation, "json://198.51.100.7")
    assert "198.51.100.7" in deliver(tell(organisation)).error


def test_a_redirect_is_not_followed(organisation: Organisation, receiver: Receiver) -> None:
    with HttpImpostor(lambda _: Answer(302, headers={"Location": f"http://{receiver.host}/"})) as elsewhere:
        make_channel(organisation, f"json://{elsewhere.host}?redirect=yes")
        delivery = deliver(tell(organisation))
    assert (delivery.state, receiver.requests) == ("queued", [])


def test_no_file_of_the_own_host_is_read(organisation: Organisation) -> None:
    make_channel(organisation, "fcm://project/DEVICE?mode=oauth2&keyfile=/etc/hostname")
    delivery = deliver(tell(organisation))
    assert delivery.state == "failed"
    assert "read a file" in delivery.error


@pytest.mark.parametrize("address", ["dbus://", "gnome://", "macosx://", "windows://", "SYSLOG://", "kde://", "qt://"])
def test_what_acts_on_the_own_host_is_refused(address: str) -> None:
    with pytest.raises(BadAddress, match="acts on dokreg’s own host"):
        sending.describe(address)


@pytest.mark.parametrize("address", ["nonsense", "foo://bar", "https://example.com/hook", "json://", "exec://id"])
def test_what_apprise_does_not_understand_is_refused_with_examples(address: str) -> None:
    with pytest.raises(BadAddress, match="slack://"):
        sending.describe(address)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"json://user:password@chat.example.com:8443/{TOKEN}", "JSON at chat.example.com:8443"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "Slack"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544", "Telegram"),
        (f"gotify://push.example.com/{TOKEN}", "Gotify at push.example.com"),
        (f"ntfy://{TOKEN}", "ntfy"),
    ],
)
def test_of_an_address_the_service_is_shown_and_no_token(address: str, shown: str) -> None:
    assert sending.describe(address) == shown


# Secrets


def test_the_address_is_in_no_page_no_log_no_admin_and_no_audit_entry(
    organisation: Organisation,
    alice: User,
    client_of: ClientOf,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    alice.is_superuser = alice.is_staff = True
    alice.save()
    client = client_of(alice)
    add(client, address=f"json://user:{TOKEN}@{receiver.host}/{TOKEN}?+X-Key={TOKEN}")
    add(client, name="", address=f"json://{TOKEN}.example.com/")
    channel = NotificationChannel.objects.get()
    receiver.status = 500
    deliver(tell(organisation))
    press_test(client, channel)
    receiver.stop()
    deliver(Delivery.objects.get(notice__is_test=True))
    addresses = [LIST, *(f"{LIST}{channel.pk}/{name}/" for name in ("edit", "delete")), "/acme/settings/audit/"]
    addresses += [
        reverse("admin:organisations_notificationchannel_changelist"),
        reverse("admin:organisations_notificationchannel_change", args=[channel.pk]),
        reverse("admin:organisations_notice_change", args=[Notice.objects.all()[0].pk]),
        reverse("admin:organisations_auditentry_changelist"),
    ]
    for address in addresses:
        response = client.get(address)
        assert response.status_code == 200
        assert TOKEN not in response.content.decode(), address
    entries = str(list(AuditEntry.objects.values()))
    assert "On-call" in entries
    assert "asked for a test" in entries
    assert TOKEN not in entries
    assert TOKEN not in str(list(Delivery.objects.values()))
    assert TOKEN not in caplog.text
    assert TOKEN not in "".join(capfd.readouterr())


def test_the_messenger_has_the_address_in_no_command_line_and_no_environment(
    organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    with Dripping() as service:
        make_channel(organisation, f"json://{service.host}/{TOKEN}")
        monkeypatch.setattr(sending, "DEADLINE", 3.0)
        seen: list[str] = []

        def look() -> None:
            time.sleep(1.5)
            for process in psutil.Process().children():
                if "organisations.messenger" in process.cmdline():
                    seen.extend([*process.cmdline(), str(process.environ())])

        watcher = threading.Thread(target=look)
        watcher.start()
        deliver(tell(organisation))
        watcher.join()
    assert "organisations.messenger" in seen
    assert TOKEN not in str(seen)


def test_an_address_that_no_key_opens_is_a_failure_that_says_so(
    organisation: Organisation, channel: NotificationChannel, receiver: Receiver
) -> None:
    other = make_channel(organisation, "json://other.example.com", "Other", enabled=False)
    assert other.address is not None
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE organisations_notificationchannel SET address = %s WHERE id = %s", [other.address.token, channel.pk]
        )
    delivery = deliver(tell(organisation))
    assert (delivery.state, receiver.requests) == ("failed", [])
    assert "cannot be opened" in delivery.error
