"""What an organisation is told, and where it is told: notices, channels, and each delivery of one by the other."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from dokreg.encryption import OptionalSecretField
from dokreg.ids import ID_LENGTH
from organisations.models import IdField, OwnedByOrganisation, OwnedQuerySet


class NotificationChannel(OwnedByOrganisation):
    """A place where an organisation wants to be told: a chat or push service, or mailboxes."""

    class How(models.TextChoices):
        APPRISE = "apprise", "Chat or push service"
        EMAIL = "email", "E-mail"

    SHOWN_LENGTH = 200

    name = models.CharField(max_length=100)
    how = models.CharField("sent by", max_length=10, choices=How.choices, default=How.APPRISE)
    # Of a service, as apprise writes it: it holds tokens.
    address = OptionalSecretField()
    address_changed_at = models.DateTimeField(null=True, blank=True, editable=False)
    recipients = models.JSONField(default=list, blank=True)
    shown_as = models.CharField("service", max_length=SHOWN_LENGTH, editable=False)
    enabled = models.BooleanField("switched on", default=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"],
                name="one_notification_channel_per_name",
                violation_error_message="Another notification channel of this organisation has this name.",
            ),
            models.CheckConstraint(
                condition=Q(how="apprise", address__isnull=False) | Q(how="email", address__isnull=True),
                name="notification_channel_has_its_address",
                violation_error_message="A service needs its address, and e-mail has none.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Notice(OwnedByOrganisation):
    """Something that an organisation was told; kept for 90 days."""

    TITLE_LENGTH = 200

    class Level(models.TextChoices):
        INFO = "info", "Info"
        SUCCESS = "success", "Success"
        WARNING = "warning", "Warning"
        FAILURE = "failure", "Failure"

    level = models.CharField(max_length=10, choices=Level.choices)
    title = models.CharField(max_length=TITLE_LENGTH)
    text = models.TextField(blank=True)
    path = models.CharField(max_length=300, help_text="Of the page that it is about, such as /acme/settings/.")
    is_test = models.BooleanField(default=False)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["organisation", "-created_at"], name="notice_by_time"),
            models.Index(fields=["created_at"], name="notice_by_age"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def chip(self) -> str:
        """The level, in the word that colours it in the pages."""
        return {"success": "passed", "failure": "failed"}.get(self.level, self.level)


class Delivery(models.Model):
    """One notice on its way to one channel."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        SENDING = "sending", "Sending"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"

    UNDER_WAY = (State.QUEUED, State.SENDING)

    id = IdField()
    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(NotificationChannel, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    interruptions = models.PositiveSmallIntegerField(default=0, help_text="Workers that died in the middle of it.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    due_at = models.DateTimeField(default=timezone.now, help_text="When to try (again).")
    handed_over_at = models.DateTimeField(
        null=True, blank=True, help_text="When the broker was last given it; empty: it waits for its turn."
    )
    claim = models.CharField(max_length=ID_LENGTH, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, help_text="Why the last attempt did not succeed, for people.")
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["notice", "channel"], name="one_delivery_per_notice_and_channel")
        ]
        indexes = [
            models.Index(fields=["channel", "-created_at"], name="delivery_by_channel"),
            models.Index(fields=["due_at"], name="delivery_due", condition=Q(state__in=["queued", "sending"])),
        ]

    def __str__(self) -> str:
        return f"{self.notice} to {self.channel}"

    @property
    def is_retried(self) -> bool:
        """Whether it failed at least once and waits for its next attempt."""
        return self.state == self.State.QUEUED and bool(self.attempts)

    @property
    def is_moving(self) -> bool:
        """Whether its state will be another one within seconds, if all is well."""
        return self.state in self.UNDER_WAY and not self.is_retried

    @property
    def chip(self) -> str:
        """The state, in the word that colours it in the pages."""
        words: dict[Any, str] = {self.State.SENDING: "running", self.State.SENT: "passed"}
        return "warning" if self.is_retried else words.get(self.state, self.state)

    @property
    def word(self) -> str:
        """The state, for people."""
        return "Retrying" if self.is_retried else self.get_state_display()
