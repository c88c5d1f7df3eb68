"""The minting of tokens, try by try."""

from django.db import models
from django.db.models import Q

from organisations.models import OwnedQuerySet
from registries.models.registry import Registry
from servers.models import UNFINISHED, Run


class TokenRefresh(Run):
    """One try to mint the next token of a registry. There is never more than one under way for a registry."""

    class Reason(models.TextChoices):
        DUE = "due", "It was due"
        SAVED = "saved", "The credentials were saved"
        NEEDED = "needed", "A test needed it"
        ASKED = "asked", "Somebody asked for it"

    registry = models.ForeignKey(Registry, on_delete=models.CASCADE, related_name="refreshes")
    reason = models.CharField(max_length=10, choices=Reason.choices, default=Reason.DUE)
    issued_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "token refreshes"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["registry"], condition=Q(state__in=["queued", "running"]), name="one_refresh_at_a_time"
            )
        ]
        indexes = [
            models.Index(fields=["registry", "-created_at"], name="token_refresh_history"),
            models.Index(fields=["state", "created_at"], condition=UNFINISHED, name="token_refresh_due"),
            models.Index(fields=["created_at"], name="token_refresh_by_age"),
        ]

    def __str__(self) -> str:
        return f"Refresh of {self.registry}"
