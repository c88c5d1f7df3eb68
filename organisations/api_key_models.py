"""Keys with which scripts and other programs use the HTTP API."""

import datetime as dt
from typing import Self

from django.db import models
from django.db.models import Case, Q, When
from django.urls import reverse
from django.utils import timezone

from dokreg import permissions
from organisations.models import Membership, OwnedByOrganisation, OwnedQuerySet, User, validate_permissions

SHOWN_LETTERS = 6
SOON = dt.timedelta(days=7)


class ApiKeyQuerySet(OwnedQuerySet["ApiKey"]):
    """Keys, whatever their state."""

    def active(self) -> Self:
        """Those that are neither revoked nor expired."""
        return self.exclude(_is_over())

    def active_first(self) -> Self:
        """Those that work before the others, the newest of each at the top."""
        return self.order_by(Case(When(_is_over(), then=1), default=0), "-created_at", "pk")


def _is_over() -> Q:
    return Q(revoked_at__isnull=False) | Q(expires_at__lte=timezone.now())


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
    made_with = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="made",
        help_text="The key with which it was asked for; it is revoked with that one.",
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it does not expire.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_from = models.GenericIPAddressField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse(
            "organisations:api_key_detail", kwargs={"organisation": self.organisation.slug, "key_id": self.pk}
        )

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

    @property
    def is_active(self) -> bool:
        """Whether it is neither revoked nor expired; its member's account may be switched off all the same."""
        return self.state == self.State.ACTIVE

    @property
    def expires_soon(self) -> bool:
        return self.is_active and self.expires_at is not None and self.expires_at <= timezone.now() + SOON

    @property
    def is_revoked_by_another(self) -> bool:
        """Whether somebody else than its member is known to have revoked it."""
        return self.revoked_by_id is not None and self.revoked_by_id != self.membership.user_id

    @property
    def chip(self) -> str:
        """The state, in the word that colours it in the pages."""
        words: dict[str, str] = {self.State.ACTIVE: "passed", self.State.REVOKED: "cancelled"}
        return "warning" if self.expires_soon else words.get(self.state, self.state)

    @property
    def word(self) -> str:
        """The state, for people."""
        return "Expires soon" if self.expires_soon else str(self.State(self.state).label)
