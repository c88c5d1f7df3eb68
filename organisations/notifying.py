"""Telling an organisation something: `notify` writes what there is to tell, and a worker sends it to each channel.

The rows are the truth. A task carries a delivery's id alone, may arrive twice or never, and does no harm either way:
a delivery is claimed by a conditional UPDATE before it is sent, and what is due and was not taken is handed over
again by the sweep. A few are sent at a time, so that a thousand of them leave the workers free for all else. Where a
worker dies between its claim and the end, nobody knows whether the message arrived. It is sent once more, and only
once: rather a message twice than none, and never one over and over.
"""

import datetime as dt
import logging
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.text import Truncator
from kombu.exceptions import OperationalError

from dokreg.database import patiently
from dokreg.ids import new_id
from organisations import audit, dispatching, sending
from organisations.models import Organisation, User
from organisations.notification_models import Delivery, Notice, NotificationChannel

log = logging.getLogger(__name__)
State = Delivery.State

# After each attempt that failed; after the last one the delivery has failed for good.
PAUSES = tuple(dt.timedelta(seconds=seconds) for seconds in (30, 120, 600, 1800, 7200))
LEASE = dt.timedelta(seconds=90)  # more than any message takes, apart from a mail server that drips
HAND_OVER_AGAIN_AFTER = dt.timedelta(seconds=20)
SWITCHED_OFF = "The channel was switched off before this was sent."
INTERRUPTED = "dokreg’s worker stopped twice while it was sending this. Whether it arrived is not known."


def notify(*, organisation: Organisation, level: str, title: str, text: str, path: str) -> Notice:
    """Tell an organisation something, on every channel that is switched on.

    `level` is one of Notice.Level; `title` one line, `text` plain; neither has a secret. `path` is of the page that
    it is about. The rows are written in the caller's transaction; they are sent after it is committed.
    """
    # Locked, so that none is deleted before its delivery is committed.
    channels = NotificationChannel.objects.of(organisation).filter(enabled=True).select_for_update(no_key=True)
    with transaction.atomic():
        notice = _notice(organisation, level=level, title=title, text=text, path=path)
        Delivery.objects.bulk_create(Delivery(notice=notice, channel=channel) for channel in channels)
        transaction.on_commit(dispatch)
    return notice


def save_channel(*, channel: NotificationChannel, address: str, shown_as: str, recipients: list[str]) -> None:
    """Save a channel; `address` is the new one with what may be shown of it, or "" to keep the stored one."""
    if address:
        channel.address = address
        channel.address_changed_at = timezone.now()
        channel.shown_as = shown_as
    if channel.how == NotificationChannel.How.EMAIL:
        channel.recipients = recipients
        channel.shown_as = Truncator(", ".join(recipients)).chars(NotificationChannel.SHOWN_LENGTH)
    columns = {field.name for field in NotificationChannel._meta.concrete_fields if not field.primary_key}
    # What is not entered anew may be another key's by now.
    kept = set() if address else {"address", "address_changed_at"}
    if not address and channel.how != NotificationChannel.How.EMAIL:
        kept.add("shown_as")
    channel.save(update_fields=None if channel._state.adding else columns - kept)


def send_test(*, channel: NotificationChannel, by: User, path: str) -> Delivery:
    """Send a message to one channel, also one that is switched off; the delivery tells how it ends, after one attempt.

    While a test is under way there is no second one: its delivery is answered instead.
    """
    with transaction.atomic():
        NotificationChannel.objects.select_for_update().get(pk=channel.pk)
        running = channel.deliveries.filter(notice__is_test=True, state__in=Delivery.UNDER_WAY).first()
        if running is not None:
            return running
        notice = _notice(
            channel.organisation,
            level=Notice.Level.INFO,
            title=f"Test of “{channel}”",
            text=f"A test of dokreg’s notifications for {channel.organisation}, asked for by {by}.",
            path=path,
            is_test=True,
        )
        audit.record("asked for a test", channel, actor=by)
        # On top of the places: somebody looks at the page.
        delivery = Delivery.objects.create(notice=notice, channel=channel, handed_over_at=timezone.now())
        transaction.on_commit(lambda: _hand_over([delivery.pk]))
        return delivery


def deliver(delivery_id: str) -> None:
    """Send what is due, once; leaves quietly if it is gone, was sent, or another worker has it."""
    delivery = _claim(delivery_id)
    if delivery is None:
        return
    if not (delivery.channel.enabled or delivery.notice.is_test):
        _end(delivery, State.FAILED, error=SWITCHED_OFF)
        return
    try:
        sending.send(delivery.channel, sending.Message.of(delivery.notice))
    except sending.NotSent as problem:
        _failed(delivery, problem)
    else:
        _end(delivery, State.SENT, error="", sent_at=timezone.now())


def dispatch() -> None:
    """Hand what is due to the workers, as many as may be sent at once; first what a person waits for.

    Called when there is something to tell, when a worker is done with a message, and by the sweep.
    """
    now = timezone.now()
    due = Delivery.objects.filter(state=State.QUEUED, due_at__lte=now)
    waiting = due.filter(Q(handed_over_at=None) | Q(handed_over_at__lte=now - HAND_OVER_AGAIN_AFTER))
    if not waiting.exists():
        return
    with transaction.atomic():
        dispatching.take_turns()
        on_their_way = due.filter(handed_over_at__gt=now - HAND_OVER_AGAIN_AFTER)
        being_sent = Delivery.objects.filter(state=State.SENDING, lease_until__gt=now)
        room = settings.DOKREG_DELIVERIES_AT_ONCE - on_their_way.count() - being_sent.count()
        first = waiting.order_by("-notice__is_test", "due_at").values_list("pk", flat=True)
        ids = list(first[: max(room, 0)])
        Delivery.objects.filter(pk__in=ids).update(handed_over_at=now)
    _hand_over(ids)


def sweep() -> None:
    """Free what a dead worker held, hand over what is due."""
    now = timezone.now()
    abandoned = Delivery.objects.filter(state=State.SENDING, lease_until__lt=now)
    abandoned.filter(interruptions__gt=0).update(state=State.FAILED, lease_until=None, error=INTERRUPTED)
    abandoned.update(state=State.QUEUED, lease_until=None, due_at=now, interruptions=F("interruptions") + 1)
    dispatch()


def _notice(
    organisation: Organisation, *, level: str, title: str, text: str, path: str, is_test: bool = False
) -> Notice:
    return Notice.objects.create(
        organisation=organisation,
        level=Notice.Level(level),
        title=" ".join(title.split())[: Notice.TITLE_LENGTH],
        text=text,
        path=path,
        is_test=is_test,
    )


def _hand_over(delivery_ids: Sequence[str]) -> None:
    """Give the ids to the broker; what it does not take now, the sweep hands over again."""
    from organisations.tasks import deliver_notification

    try:
        for delivery_id in delivery_ids:
            deliver_notification.delay(delivery_id)
    except (OperationalError, OSError) as error:
        log.warning("The broker took no notification (%s); the sweep hands it over again.", type(error).__name__)


def _claim(delivery_id: str) -> Delivery | None:
    """The delivery, if the conditional UPDATE made it this worker's to send."""
    now, word = timezone.now(), new_id()
    due = Delivery.objects.filter(pk=delivery_id, state=State.QUEUED, due_at__lte=now)
    mine = Delivery.objects.select_related("notice", "channel").filter(pk=delivery_id, claim=word)

    def take() -> Delivery | None:
        due.update(state=State.SENDING, claim=word, lease_until=now + LEASE, attempts=F("attempts") + 1)
        return mine.first()

    return patiently(take)


def _failed(delivery: Delivery, problem: sending.NotSent) -> None:
    is_last = problem.is_final or delivery.notice.is_test or delivery.attempts > len(PAUSES)
    if is_last:
        _end(delivery, State.FAILED, error=str(problem))
    else:
        due_at = timezone.now() + PAUSES[delivery.attempts - 1]
        _end(delivery, State.QUEUED, error=str(problem), due_at=due_at)


def _end(delivery: Delivery, state: str, **also: object) -> None:
    """End this attempt, unless the delivery was taken away meanwhile.

    What was sent and is not noted would be sent once more.
    """
    mine = Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim, state=State.SENDING)
    patiently(lambda: mine.update(state=state, lease_until=None, **also))
