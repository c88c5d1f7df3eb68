"""What came in through the webhooks of applications."""

import datetime as dt

from django.db import models
from django.utils import timezone

from applications.models import Application
from organisations.models import IdField


class WebhookDelivery(models.Model):
    """One call of an application's webhook and what came of it; of what was sent no more than is shown here."""

    SHOWN_LENGTH = 300
    LINK_LENGTH = 1500
    # A confirmation that Amazon SNS asks for can be given for three days.
    LINK_LIFE = dt.timedelta(days=3)

    class Outcome(models.TextChoices):
        QUEUED = "queued", "Deployment queued"
        IGNORED = "ignored", "Ignored"
        REFUSED = "refused", "Refused"

    id = IdField()
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="webhook_deliveries")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    sender = models.CharField(max_length=40, blank=True, help_text="Who sent it, as far as its shape tells.")
    named = models.CharField(max_length=SHOWN_LENGTH, blank=True, help_text="The images that it named.")
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    words = models.CharField(max_length=SHOWN_LENGTH, blank=True, help_text="Why, for people.")
    deployment = models.ForeignKey("Deployment", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    link = models.CharField(max_length=LINK_LENGTH, blank=True, help_text="Where a person has to confirm something.")

    class Meta:
        verbose_name_plural = "webhook deliveries"
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["application", "-created_at"], name="webhook_delivery_history"),
            models.Index(fields=["created_at"], name="webhook_delivery_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()}: {self.named or self.sender}"

    @property
    def chip(self) -> str:
        """The outcome, in the word that colours it in the pages."""
        return {"queued": "passed", "ignored": "skipped", "refused": "failed"}[self.outcome]

    @property
    def open_link(self) -> str:
        """The link while it still leads somewhere."""
        return self.link if self.created_at + self.LINK_LIFE > timezone.now() else ""


class WebhookSignature(models.Model):
    """A signature that was accepted, so that it is accepted once, whichever process sees it the second time."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="+")
    signature = models.CharField(max_length=64)
    seen_at = models.DateTimeField()
    is_timeless = models.BooleanField(default=False, help_text="What was signed has no time in it.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["application", "signature"], name="webhook_signature_counts_once")
        ]
        indexes = [models.Index(fields=["is_timeless", "seen_at"], name="webhook_signature_by_age")]

    def __str__(self) -> str:
        return f"Signature for {self.application}"
