"""What is wrong with a registry now, so that people are told once, and once more when it is over."""

from django.db import models
from django.db.models import Q

from organisations.models import OwnedByOrganisation, OwnedQuerySet
from registries.models.registry import Registry


class Alarm(OwnedByOrganisation):
    """Something is wrong with a registry: raised once, cleared once; at most one of a kind is open at a place."""

    class Kind(models.TextChoices):
        REFRESH_FAILING = "refresh_failing", "Refreshing fails"
        TOKEN_EXPIRED = "token_expired", "Token expired"
        NOT_WORKING = "not_working", "Stopped working"
        ENDS_SOON = "ends_soon", "Secret ends soon"

    registry = models.ForeignKey(Registry, on_delete=models.CASCADE, related_name="alarms")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    text = models.TextField(blank=True, help_text="What people were told.")
    place = models.CharField(max_length=100, blank=True, help_text="Where it showed: a server's name.")
    stage = models.PositiveSmallIntegerField(default=0, help_text="How many days before an end it was told.")
    cleared_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["registry", "kind", "place"],
                condition=Q(cleared_at__isnull=True),
                name="one_open_alarm_of_a_kind",
            )
        ]
        # The open ones, which are few, are found in the constraint's.
        indexes = [models.Index(fields=["cleared_at"], condition=Q(cleared_at__isnull=False), name="alarm_cleared")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.registry}"
