"""New credentials for a registry in use: staged, tested where it is used, then switched."""

from django.db import models
from django.db.models import Q
from django.urls import reverse

from dokreg.encryption import OptionalSecretField
from organisations.models import OwnedByOrganisation, OwnedQuerySet, User
from registries.models.registry import Registry


class Rotation(OwnedByOrganisation):
    """New credentials that wait until every server that uses the registry has logged in with them.

    Its secrets are wiped when it is over; after a failure they stay until `expires_at`, so that a person can look at
    what failed, and switch all the same.
    """

    class State(models.TextChoices):
        STAGED = "staged", "Preparing"
        TESTING = "testing", "Testing"
        SWITCHED = "switched", "Switched"
        KEPT = "kept", "Not switched"
        DISCARDED = "discarded", "Discarded"

    registry = models.ForeignKey(Registry, on_delete=models.CASCADE, related_name="rotations")
    asked_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    state = models.CharField(max_length=10, choices=State.choices, default=State.STAGED)
    kind = models.CharField(max_length=30, blank=True, help_text="Of the new credentials; empty: as it was.")
    url = models.CharField(max_length=260)
    username = models.CharField(max_length=255, blank=True)
    method = models.CharField(max_length=30, blank=True)
    account = models.JSONField(default=dict, blank=True)
    secret_ends_on = models.DateField(null=True, blank=True)
    also = models.JSONField(
        default=dict, blank=True, help_text="Columns of the registry that change with its credentials, or not at all."
    )
    password = OptionalSecretField(editable=False)
    token = OptionalSecretField(editable=False)
    token_issued_at = models.DateTimeField(null=True, blank=True)
    token_expires_at = models.DateTimeField(null=True, blank=True)
    cause = models.TextField(blank=True, help_text="Why it was not switched, if no test says so.")
    fix = models.TextField(blank=True)
    words = models.TextField(blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="When its secrets are wiped at the latest.")

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["registry"], condition=Q(state__in=["staged", "testing"]), name="one_rotation_at_a_time"
            )
        ]
        indexes = [models.Index(fields=["state", "expires_at"], name="rotation_by_end")]

    def __str__(self) -> str:
        return f"New credentials of {self.registry}"

    @property
    def is_under_way(self) -> bool:
        return self.state in {self.State.STAGED, self.State.TESTING}

    @property
    def can_be_switched(self) -> bool:
        """Whether somebody may still switch to it all the same."""
        return self.state == self.State.KEPT and (self.password is not None or self.token is not None)

    def get_absolute_url(self) -> str:
        return reverse("registries:rotation", kwargs={"organisation": self.organisation.slug, "rotation_id": self.pk})
