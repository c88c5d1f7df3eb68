"""Notifications: what is told arrives once, or the page says why not."""

import contextlib
import datetime as dt
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError
from pytest_django import Settings

from dokreg import retention
from organisations import messenger, notifying, sending, tasks
from organisations.models import Organisation, User
from organisations.notification_models import Delivery, Notice, NotificationChannel
from tests.lab.impostors import Answer, Dripping, HttpImpostor, Refusing
from tests.lab.mail import MailServer
from tests.organisations.receiving import LIST, Receiver, deliver, mailboxes, make_channel, tell
from tests.patience import SOON

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_host_is_allowed", "broker")]


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
    assert time.monotonic() - began < 3 + SOON
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


# E-mail


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
