"""Keys with which scripts and other programs use the HTTP API."""

from django.db import models
from django.utils import timezone

from dokreg import permissions
from organisations.models import Membership, OwnedByOrganisation, OwnedQuerySet, validate_permissions

SHOWN_LETTERS = 6


class ApiKey(OwnedByOrganisation):
    """A key of one member of one organisation; it may never do more than its member may at that moment.

    The key itself, 64 letters, is shown once and stored nowhere: see `organisations.api_keys`.
    """

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        EXPIRED = "expired", "Expired"
        REVOKED = "revoked", "Revoked"

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    start = models.CharField(max_length=SHOWN_LETTERS, editable=False, help_text="Its first letters, to tell it apart.")
    key_hash = models.CharField(max_length=64, unique=True, editable=False, help_text="SHA-256, in hexadecimal.")
    permissions = models.JSONField(
        null=True,
        blank=True,
        default=None,
        validators=[validate_permissions],
        help_text="What it is limited to; empty: whatever its member may do.",
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it does not expire.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_from = models.GenericIPAddressField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    @property
    def granted(self) -> frozenset[str]:
        """What it may do now: no more than its member."""
        return self.membership.granted if self.permissions is None else self.membership.granted & self.limits

    @property
    def limits(self) -> frozenset[str]:
        """What it was limited to when it was made."""
        return permissions.ALL if self.permissions is None else frozenset(self.permissions) & permissions.ALL

    @property
    def state(self) -> str:
        if self.revoked_at is not None:
            return self.State.REVOKED
        is_expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return self.State.EXPIRED if is_expired else self.State.ACTIVE
