"""Notifications: what is told arrives once, or the page says why not; and the addresses are secrets."""

import contextlib
import datetime as dt
import json
import logging
import threading
import time
import zlib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError
from pytest_django import Settings

from dokreg import retention
from organisations import messenger, notifying, sending, tasks
from organisations.models import AuditEntry, Organisation, User
from organisations.notification_models import Delivery, Notice, NotificationChannel
from organisations.sending import BadAddress
from tests.lab.impostors import Answer, Dripping, HttpImpostor, Refusing, Request
from tests.lab.mail import MailServer
from tests.people import ClientOf, allow

pytestmark = pytest.mark.django_db
LIST = "/acme/settings/notifications/"
TOKEN = "marked-token-of-the-chat"


@pytest.fixture(autouse=True)
def _own_host_is_allowed(settings: Settings) -> None:
    settings.DOKREG_ALLOW_LOOPBACK = True


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that the broker was given; there is none in these tests, so they run the tasks themselves."""
    from organisations.tasks import deliver_notification

    handed_over: list[str] = []
    monkeypatch.setattr(deliver_notification, "delay", handed_over.append)
    return handed_over


class Receiver(HttpImpostor):
    """A service that is sent JSON; it answers with `status`."""

    def __init__(self) -> None:
        super().__init__(self._receive)
        self.status = 200

    def _receive(self, _: Request) -> Answer:
        return Answer(self.status)

    @property
    def messages(self) -> list[dict[str, str]]:
        return [json.loads(request.body) for request in self.requests]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def make_channel(organisation: Organisation, address: str, name: str = "On-call", **values: Any) -> NotificationChannel:
    channel = NotificationChannel(organisation=organisation, name=name, shown_as="JSON", **values)
    channel.address = address
    channel.save()
    return channel


@pytest.fixture
def channel(organisation: Organisation, receiver: Receiver) -> NotificationChannel:
    return make_channel(organisation, f"json://{receiver.host}/{TOKEN}")


def test_an_edit_without_a_new_address_leaves_what_is_stored_meanwhile(channel: NotificationChannel) -> None:
    """Such as the same address under another key."""
    stale = NotificationChannel.objects.get(pk=channel.pk)
    notifying.save_channel(channel=channel, address="json://new.example.com", shown_as="JSON", recipients=[])
    stale.name = "Renamed"
    notifying.save_channel(channel=stale, address="", shown_as="", recipients=[])
    channel.refresh_from_db()
    assert channel.address is not None
    assert (channel.name, channel.address.reveal()) == ("Renamed", "json://new.example.com")


def mailboxes(organisation: Organisation, *recipients: str) -> NotificationChannel:
    return NotificationChannel.objects.create(
        organisation=organisation, name="Mail", how="email", recipients=list(recipients), shown_as=", ".join(recipients)
    )


def tell(organisation: Organisation) -> Delivery:
    """Tell the organisation something; its delivery to the only channel."""
    notice = notifying.notify(
        organisation=organisation,
        level="failure",
        title="Production stopped\nworking",
        text="The password was refused.",
        path="/acme/settings/registries/",
    )
    return notice.deliveries.get()


def deliver(delivery: Delivery) -> Delivery:
    """What a worker does that gets the task."""
    notifying.deliver(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def make_due(delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(due_at=timezone.now())


def ago(seconds: float) -> dt.datetime:
    return timezone.now() - dt.timedelta(seconds=seconds)


# Sending


def test_what_is_told_arrives(organisation: Organisation, channel: NotificationChannel, receiver: Receiver) -> None:
    delivery = deliver(tell(organisation))
    assert (delivery.state, delivery.attempts, delivery.error) == ("sent", 1, "")
    assert delivery.sent_at is not None
    message = receiver.messages[0]
    assert message["title"] == "Production stopped working"
    assert message["message"] == "The password was refused.\n\nhttp://127.0.0.1:8000/acme/settings/registries/"
    assert message["type"] == "failure"


def test_it_is_told_on_every_channel_that_is_switched_on(
    organisation: Organisation, charlie: User, channel: NotificationChannel
) -> None:
    make_channel(organisation, "json://second.example.com", "Second")
    make_channel(organisation, "json://third.example.com", "Third", enabled=False)
    make_channel(Organisation.objects.get(slug="elsewhere"), "json://fourth.example.com")
    notice = notifying.notify(organisation=organisation, level="info", title="x", text="", path="/")
    assert [delivery.channel.name for delivery in notice.deliveries.order_by("channel__name")] == ["On-call", "Second"]


def test_without_a_channel_the_notice_is_kept(organisation: Organisation) -> None:
    notifying.notify(organisation=organisation, level="info", title="x", text="", path="/")
    assert Notice.objects.get().deliveries.count() == 0


def test_an_unknown_level_is_refused(organisation: Organisation) -> None:
    with pytest.raises(ValueError, match="loud"):
        notifying.notify(organisation=organisation, level="loud", title="x", text="", path="/")


def test_the_task_is_handed_over_after_the_commit(
    organisation: Organisation,
    channel: NotificationChannel,
    broker: list[str],
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        delivery = tell(organisation)
        assert broker == []
    assert broker == [delivery.pk]


def test_a_broker_that_is_away_loses_nothing(
    organisation: Organisation,
    channel: NotificationChannel,
    broker: list[str],
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    from organisations.tasks import deliver_notification

    def refuse(_: str) -> None:
        raise OperationalError

    with monkeypatch.context() as away, django_capture_on_commit_callbacks(execute=True):
        away.setattr(deliver_notification, "delay", refuse)
        delivery = tell(organisation)
    notifying.sweep()
    assert broker == []  # it may still be on its way
    Delivery.objects.update(handed_over_at=ago(21))
    notifying.sweep()
    notifying.sweep()
    assert broker == [delivery.pk]


@pytest.fixture
def five(
    organisation: Organisation,
    channel: NotificationChannel,
    settings: Settings,
    django_capture_on_commit_callbacks: Any,
) -> list[str]:
    """The ids of what is told at the same moment, in their order, while two may be sent at once."""
    settings.DOKREG_DELIVERIES_AT_ONCE = 2
    with django_capture_on_commit_callbacks(execute=True):
        return [tell(organisation).pk for _ in range(5)]


def test_a_few_are_sent_at_a_time(five: list[str], broker: list[str], receiver: Receiver) -> None:
    assert broker == five[:2]
    notifying.sweep()
    assert broker == five[:2]
    assert notifying._claim(five[1]) is not None
    notifying.sweep()
    assert broker == five[:2]  # one is on its way, the other one is being sent
    for number in (0, 2, 3, 4):
        tasks.deliver_notification(broker[number])
    assert broker == five
    assert len(receiver.requests) == 4


def test_what_fails_makes_room_for_the_next_one(five: list[str], broker: list[str], receiver: Receiver) -> None:
    receiver.status = 500
    tasks.deliver_notification(five[0])
    assert broker == five[:3]


def test_a_test_is_sent_before_all_else(
    five: list[str],
    broker: list[str],
    alice: User,
    channel: NotificationChannel,
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        test = notifying.send_test(channel=channel, by=alice, path=LIST)
    assert broker == [*five[:2], test.pk]
    Delivery.objects.exclude(handed_over_at=None).update(handed_over_at=ago(21))
    notifying.sweep()  # the broker has lost all three
    assert broker[3] == test.pk


def test_a_delivery_that_is_gone_is_left_quietly() -> None:
    notifying.deliver("gone")
    assert not Delivery.objects.exists()


def test_what_was_sent_is_not_sent_again(
    organisation: Organisation, channel: NotificationChannel, receiver: Receiver
) -> None:
    delivery = deliver(tell(organisation))
    deliver(delivery)
    assert len(receiver.requests) == 1


def test_of_many_workers_one_sends(
    organisation: Organisation, channel: NotificationChannel, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery, send = tell(organisation), sending.send

    def while_others_come(*args: Any, **options: Any) -> Any:
        for _ in range(3):
            notifying.deliver(delivery.pk)
        return send(*args, **options)

    monkeypatch.setattr(sending, "send", while_others_come)
    for _ in range(2):
        notifying.deliver(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("sent", 1)
    assert len(receiver.requests) == 1


# Failing


def test_a_broken_service_is_tried_again_until_it_recovers(
    organisation: Organisation, channel: NotificationChannel, receiver: Receiver, broker: list[str]
) -> None:
    receiver.status = 500
    delivery = deliver(tell(organisation))
    assert (delivery.state, delivery.error) == ("queued", "The service answered with status 500.")
    assert dt.timedelta(seconds=25) < delivery.due_at - timezone.now() <= dt.timedelta(seconds=30)
    assert deliver(delivery).attempts == 1  # a task that comes too early
    receiver.status = 200
    make_due(delivery)
    Delivery.objects.update(handed_over_at=ago(31))
    notifying.sweep()
    assert broker == [delivery.pk]
    assert (deliver(delivery).state, delivery.attempts, delivery.error) == ("sent", 2, "")


def test_after_six_attempts_it_has_failed(
    organisation: Organisation, channel: NotificationChannel, receiver: Receiver
) -> None:
    receiver.status = 503
    delivery = tell(organisation)
    for _ in range(6):
        make_due(delivery)
        assert delivery.state == "queued"
        deliver(delivery)
    assert (delivery.state, delivery.attempts) == ("failed", 6)
    assert len(receiver.requests) == 6


@pytest.mark.parametrize(("status", "state"), [(403, "failed"), (404, "failed"), (429, "queued")])
def test_what_refuses_is_not_tried_again_but_what_asks_for_patience_is(
    organisation: Organisation, channel: NotificationChannel, receiver: Receiver, status: int, state: str
) -> None:
    receiver.status = status
    delivery = deliver(tell(organisation))
    assert delivery.state == state
    assert str(status) in delivery.error


def test_a_service_that_drips_holds_nothing_longer_than_the_deadline(
    organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "DEADLINE", 3.0)
    with Dripping() as service:
        make_channel(organisation, f"json://{service.host}?rto=100&cto=100&retry=5&wait=60")
        began = time.monotonic()
        delivery = deliver(tell(organisation))
    assert time.monotonic() - began < 5
    assert (delivery.state, delivery.error) == ("queued", "The service did not answer within 3 s.")


def test_an_answer_that_unpacks_to_more_than_there_is_memory_ends_the_messenger_alone(
    organisation: Organisation,
) -> None:
    packer, a_mebibyte = zlib.compressobj(9, wbits=31), b"\0" * 1024 * 1024
    bomb = b"".join([*(packer.compress(a_mebibyte) for _ in range(900)), packer.flush()])
    answer = Answer(200, bomb.decode(errors="surrogateescape"), headers={"Content-Encoding": "gzip"})
    with HttpImpostor(lambda _: answer) as service, peak_of_the_messenger() as peaks:
        make_channel(organisation, f"json://{service.host}")
        delivery = deliver(tell(organisation))
        assert len(service.requests) == 1
    assert (delivery.state, delivery.error[-1:]) == ("queued", ".")
    assert max(peaks) < messenger.MEMORY


@contextlib.contextmanager
def peak_of_the_messenger() -> Iterator[list[int]]:
    """How many bytes it had in memory at most, up to each moment at which somebody looked."""
    peaks, is_over = [0], threading.Event()

    def look() -> None:
        while not is_over.wait(0.01):
            for child in psutil.Process().children():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    if "organisations.messenger" in Path(f"/proc/{child.pid}/cmdline").read_text():
                        status = Path(f"/proc/{child.pid}/status").read_text()
                        peaks.append(int(status.partition("VmHWM:")[2].split()[0]) * 1024)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peaks
    finally:
        is_over.set()
        watcher.join()


def test_a_service_that_is_away_is_tried_again(organisation: Organisation) -> None:
    with Refusing() as nobody:
        make_channel(organisation, f"json://{nobody.host}")
        delivery = deliver(tell(organisation))
    assert delivery.state == "queued"
    assert "could not be reached" in delivery.error


def test_a_channel_that_was_switched_off_meanwhile_gets_nothing(
    organisation: Organisation, channel: NotificationChannel, receiver: Receiver
) -> None:
    delivery = tell(organisation)
    NotificationChannel.objects.update(enabled=False)
    assert (deliver(delivery).state, delivery.error) == ("failed", notifying.SWITCHED_OFF)
    assert receiver.requests == []


def test_a_channel_that_was_deleted_meanwhile_gets_nothing(
    organisation: Organisation, channel: NotificationChannel, receiver: Receiver
) -> None:
    delivery = tell(organisation)
    channel.delete()
    notifying.deliver(delivery.pk)
    assert receiver.requests == []
    assert Notice.objects.exists()


def test_a_worker_that_dies_between_claim_and_end_leaves_it_to_be_sent_once_more(
    organisation: Organisation, channel: NotificationChannel, broker: list[str], receiver: Receiver
) -> None:
    delivery = tell(organisation)
    for state, handed_over in (("queued", 1), ("failed", 1)):
        Delivery.objects.update(handed_over_at=ago(100))
        assert notifying._claim(delivery.pk) is not None
        notifying.sweep()
        delivery.refresh_from_db()
        assert delivery.state == "sending"  # as long as its lease runs
        Delivery.objects.update(lease_until=ago(1))
        notifying.sweep()
        delivery.refresh_from_db()
        assert (delivery.state, len(broker)) == (state, handed_over)
    assert delivery.error == notifying.INTERRUPTED


def test_a_worker_that_comes_back_late_changes_nothing(
    organisation: Organisation, channel: NotificationChannel
) -> None:
    late = notifying._claim(tell(organisation).pk)
    assert late is not None
    Delivery.objects.update(lease_until=ago(1))
    notifying.sweep()
    notifying._end(late, Delivery.State.SENT, error="")
    assert Delivery.objects.get().state == "queued"


def test_notices_are_kept_for_ninety_days(organisation: Organisation, channel: NotificationChannel) -> None:
    old = tell(organisation).notice
    Notice.objects.filter(pk=old.pk).update(created_at=ago(91 * 24 * 3600))
    young = tell(organisation).notice
    retention.prune()
    assert list(Notice.objects.all()) == [young]


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


# E-mail


@pytest.fixture
def mail_server(settings: Settings) -> Iterator[MailServer]:
    with MailServer(unknown="nobody@example.com") as server:
        settings.DOKREG_SENDS_EMAIL = True
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.address, server.port
        settings.DEFAULT_FROM_EMAIL = "dokreg <dokreg@example.com>"
        yield server


def test_one_mail_goes_to_all_recipients(organisation: Organisation, mail_server: MailServer) -> None:
    mailboxes(organisation, "ann@example.com", "ben@example.com")
    assert deliver(tell(organisation)).state == "sent"
    [(recipients, mail)] = mail_server.mails
    assert recipients == ["ann@example.com", "ben@example.com"]
    assert mail["Subject"] == "Production stopped working"
    assert mail["From"] == "dokreg <dokreg@example.com>"
    assert "http://127.0.0.1:8000/acme/settings/registries/" in mail.get_content()


def test_a_mailbox_that_does_not_exist_is_named(organisation: Organisation, mail_server: MailServer) -> None:
    mailboxes(organisation, "nobody@example.com")
    delivery = deliver(tell(organisation))
    assert (delivery.state, delivery.error) == ("failed", "The mail server takes no mail for nobody@example.com.")


def test_a_refused_password_names_the_setting(
    organisation: Organisation, mail_server: MailServer, settings: Settings
) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "dokreg", "marked-password"
    mailboxes(organisation, "ann@example.com")
    delivery = deliver(tell(organisation))
    assert delivery.state == "queued"
    assert "DOKREG_SMTP_URL" in delivery.error


def test_a_mail_server_that_is_away_is_tried_again(organisation: Organisation, mail_server: MailServer) -> None:
    mailboxes(organisation, "ann@example.com")
    mail_server.stop()
    assert deliver(tell(organisation)).state == "queued"


def test_without_a_mail_server_the_error_says_what_to_set(organisation: Organisation) -> None:
    mailboxes(organisation, "ann@example.com")
    assert deliver(tell(organisation)).error == sending.NO_EMAIL


# The page


def add(client: Client, **values: str) -> Any:
    return client.post(f"{LIST}add/", {"name": "On-call", "how": "apprise", "enabled": "on"} | values)


def test_a_service_is_added(alice: User, client_of: ClientOf) -> None:
    response = add(client_of(alice), address=f"json://chat.example.com/{TOKEN}")
    assert (response.status_code, response["Location"]) == (303, LIST)
    channel = NotificationChannel.objects.get()
    assert channel.address is not None
    assert channel.address.reveal() == f"json://chat.example.com/{TOKEN}"
    assert (channel.shown_as, channel.enabled, channel.recipients) == ("JSON at chat.example.com", True, [])


def test_mailboxes_are_added(alice: User, client_of: ClientOf, mail_server: MailServer) -> None:
    assert add(client_of(alice), how="email", recipients="ann@example.com\nben@example.com").status_code == 303
    channel = NotificationChannel.objects.get()
    assert (channel.how, channel.address, channel.shown_as) == ("email", None, "ann@example.com, ben@example.com")


def test_without_a_mail_server_email_cannot_be_saved(alice: User, client_of: ClientOf) -> None:
    response = add(client_of(alice), how="email", recipients="ann@example.com")
    assert response.status_code == 422
    assert response.context["form"].errors["how"] == [sending.NO_EMAIL]


@pytest.mark.parametrize(
    ("values", "field", "complaint"),
    [
        ({"address": ""}, "address", "Enter the address"),
        ({"address": "foo://bar"}, "address", "examples: slack://"),
        ({"how": "email", "recipients": ""}, "recipients", "Enter 1 to 20"),
        ({"how": "email", "recipients": "ann"}, "recipients", "“ann” is not an e-mail address"),
        ({"name": "", "address": "json://chat.example.com"}, "address", "Enter the address again"),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    alice: User, client_of: ClientOf, mail_server: MailServer, values: dict[str, str], field: str, complaint: str
) -> None:
    response = add(client_of(alice), **values)
    assert response.status_code == 422
    assert complaint in response.context["form"].errors[field][0]
    assert not NotificationChannel.objects.exists()


def test_a_name_is_given_once(alice: User, client_of: ClientOf, channel: NotificationChannel) -> None:
    response = add(client_of(alice), address="json://chat.example.com")
    assert response.context["form"].errors["name"] == [
        "Another notification channel of this organisation has this name."
    ]


def test_editing_with_a_blank_address_keeps_the_stored_one(
    alice: User, client_of: ClientOf, channel: NotificationChannel
) -> None:
    before = (channel.address.reveal() if channel.address else "", channel.shown_as)
    client_of(alice).post(f"{LIST}{channel.pk}/edit/", {"name": "Night shift", "address": ""})
    channel.refresh_from_db()
    assert channel.address is not None
    assert (channel.address.reveal(), channel.shown_as) == before
    assert (channel.name, channel.enabled) == ("Night shift", False)


def test_a_new_address_replaces_the_stored_one(alice: User, client_of: ClientOf, channel: NotificationChannel) -> None:
    values = {"name": "On-call", "enabled": "on", "address": "gotify://push.example.com/another"}
    client_of(alice).post(f"{LIST}{channel.pk}/edit/", values)
    channel.refresh_from_db()
    assert channel.address is not None
    assert (channel.address.reveal(), channel.shown_as) == (values["address"], "Gotify at push.example.com")


def test_recipients_are_edited(
    organisation: Organisation, alice: User, client_of: ClientOf, mail_server: MailServer
) -> None:
    channel = mailboxes(organisation, "ann@example.com")
    address = f"{LIST}{channel.pk}/edit/"
    assert "ann@example.com" in client_of(alice).get(address).content.decode()
    client_of(alice).post(address, {"name": "Mail", "enabled": "on", "recipients": "ben@example.com"})
    channel.refresh_from_db()
    assert (channel.recipients, channel.shown_as) == (["ben@example.com"], "ben@example.com")


def test_a_channel_is_deleted(alice: User, client_of: ClientOf, channel: NotificationChannel) -> None:
    client = client_of(alice)
    assert "Delete On-call?" in client.get(f"{LIST}{channel.pk}/delete/").content.decode()
    assert client.post(f"{LIST}{channel.pk}/delete/")["Location"] == LIST
    assert not NotificationChannel.objects.exists()


def test_the_page_shows_what_was_told_and_how_it_arrived(
    organisation: Organisation, alice: User, client_of: ClientOf, channel: NotificationChannel, receiver: Receiver
) -> None:
    receiver.status = 500
    deliver(tell(organisation))
    page = client_of(alice).get(LIST).content.decode()
    for shown in ("Production stopped working", "Retrying", "The service answered with status 500.", "Failure"):
        assert shown in page


def test_the_page_takes_as_many_queries_for_many_channels(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    from django.test.utils import CaptureQueriesContext

    client = client_of(alice)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(LIST)
        return len(captured)

    make_channel(organisation, "json://chat.example.com")
    notifying.notify(organisation=organisation, level="info", title="x", text="", path="/")
    queries()
    few = queries()
    for number in range(5):
        make_channel(organisation, "json://chat.example.com", f"Channel {number}")
        notifying.notify(organisation=organisation, level="info", title="x", text="", path="/")
    assert queries() == few


def test_an_empty_page_says_what_to_do(alice: User, bob: User, client_of: ClientOf) -> None:
    assert f"{LIST}add/" in client_of(alice).get(LIST).content.decode()
    assert "ask an owner" in client_of(bob).get(LIST).content.decode()


def test_members_look_and_change_nothing(bob: User, client_of: ClientOf, channel: NotificationChannel) -> None:
    page = client_of(bob).get(LIST).content.decode()
    assert "On-call" in page
    for word in ("Send a test", "/edit/", "/delete/"):
        assert word not in page


def test_the_audit_trail_says_what_was_set(
    organisation: Organisation, alice: User, client_of: ClientOf, mail_server: MailServer
) -> None:
    client = client_of(alice)
    add(client, how="email", name="Mail", recipients="ann@example.com ben@example.com")
    channel = NotificationChannel.objects.get()
    client.post(f"{LIST}{channel.pk}/edit/", {"name": "Mail", "recipients": "ben@example.com"})
    add(client, address="json://chat.example.com")
    chat = NotificationChannel.objects.get(name="On-call")
    client.post(f"{LIST}{chat.pk}/edit/", {"name": "On-call", "enabled": "on", "address": "json://chat.example.com/2"})
    page = unescape(client.get("/acme/settings/audit/").content.decode())
    for words in (
        "Recipients “ann@example.com, ben@example.com”",
        "Recipients from “ann@example.com, ben@example.com” to “ben@example.com”",
        "Switched on from “yes” to “no”",
        "A new address",
    ):
        assert words in page
    assert "[]" not in page


# The test button


def press_test(client: Client, channel: NotificationChannel, **headers: str) -> Any:
    return client.post(f"{LIST}{channel.pk}/test/", headers=headers)


def test_a_test_is_sent_without_a_reload(
    alice: User, client_of: ClientOf, channel: NotificationChannel, receiver: Receiver
) -> None:
    client = client_of(alice)
    queued = press_test(client, channel, hx_request="true").content.decode()
    assert "Queued" in queued
    assert f'hx-get="{LIST}?channel={channel.pk}"' in queued
    deliver(Delivery.objects.get())
    ended = client.get(f"{LIST}?channel={channel.pk}", headers={"hx-request": "true"}).content.decode()
    assert "hx-get" not in ended
    assert "On-call: Sent." in ended
    assert "asked for by alice" in receiver.messages[0]["message"]


def test_a_test_without_javascript_leads_back_to_the_page(
    alice: User, client_of: ClientOf, channel: NotificationChannel
) -> None:
    client = client_of(alice)
    assert press_test(client, channel)["Location"] == LIST
    assert "A test is on its way to “On-call”" in client.get(LIST).content.decode()


def test_a_test_that_fails_is_not_repeated(alice: User, channel: NotificationChannel, receiver: Receiver) -> None:
    receiver.status = 500
    delivery = deliver(notifying.send_test(channel=channel, by=alice, path=LIST))
    assert (delivery.state, delivery.error) == ("failed", "The service answered with status 500.")


def test_a_second_click_starts_no_second_test(alice: User, channel: NotificationChannel) -> None:
    first = notifying.send_test(channel=channel, by=alice, path=LIST)
    assert notifying.send_test(channel=channel, by=alice, path=LIST) == first
    assert Notice.objects.count() == 1


def test_a_channel_that_is_switched_off_can_be_tested(
    alice: User, channel: NotificationChannel, receiver: Receiver
) -> None:
    NotificationChannel.objects.update(enabled=False)
    channel.refresh_from_db()
    assert deliver(notifying.send_test(channel=channel, by=alice, path=LIST)).state == "sent"


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


def test_a_member_who_may_test_may_not_delete(bob: User, client_of: ClientOf, channel: NotificationChannel) -> None:
    allow(bob, "organisations.view_notificationchannel", "organisations.change_notificationchannel")
    page = client_of(bob).get(LIST).content.decode()
    assert "Send a test" in page
    assert "/delete/" not in page
