"""A registry: an account somewhere, the secret of it, and the token that is minted with the secret."""

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Mapping

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from dokreg.encryption import OptionalSecretField, SecretUnreadable
from organisations.models import OwnedByOrganisation, OwnedQuerySet
from registries import kinds
from registries.kinds.methods import Method
from servers.models import Server


class Registry(OwnedByOrganisation):
    """An account at a registry. Several may share a host with different accounts."""

    organisation = models.ForeignKey("organisations.Organisation", on_delete=models.CASCADE, related_name="registries")
    name = models.CharField("registry name", max_length=100)
    kind = models.CharField("provider", max_length=30, help_text="The slug of a class under registries/kinds/.")
    url = models.CharField("registry URL", max_length=260, help_text="The host alone, or host:port.")
    username = models.CharField(max_length=255, blank=True, help_text="Empty where the secret stands for it.")
    method = models.CharField(
        max_length=30,
        blank=True,
        help_text="How tokens are minted: a method of the provider's class; empty: the secret is used as it is.",
    )
    account = models.JSONField(default=dict, blank=True, help_text="What the method wants to know and is no secret.")
    password = OptionalSecretField(editable=False, help_text="The long-lived secret; none where a method needs none.")
    image_prefix = models.CharField(max_length=200, blank=True)
    server = models.ForeignKey(
        Server,
        on_delete=models.RESTRICT,
        null=True,
        blank=True,
        related_name="registries",
        help_text="Where it is tested; empty: dokreg's own host.",
    )
    secret_fact = models.CharField(
        max_length=255,
        blank=True,
        editable=False,
        help_text="What may be shown of the secret, such as whose key it is.",
    )
    secret_changed_at = models.DateTimeField(default=timezone.now, editable=False)
    secret_ends_on = models.DateField(
        "ends on", null=True, blank=True, help_text="The day on which the provider ends the secret, if it does."
    )
    credentials_mark = models.CharField(
        max_length=64, blank=True, editable=False, help_text="Of what is stored: tells whether a test was of it."
    )
    login_mark = models.CharField(
        max_length=64, blank=True, editable=False, help_text="Of what docker login is given: changes with the token."
    )

    token = OptionalSecretField(editable=False)
    token_issued_at = models.DateTimeField(null=True, blank=True, editable=False)
    token_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    refresh_due_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the next token is minted; empty: not by itself."
    )
    refresh_failures = models.PositiveIntegerField(
        default=0, editable=False, help_text="Failed tries since the last token."
    )
    last_refresh = models.ForeignKey(
        "TokenRefresh", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    last_test = models.ForeignKey(
        "RegistryTest", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    tested_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its last test was asked for: what lists are ordered by."
    )

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "registries"
        ordering = ["name"]
        permissions = [("use_registry", "Can use a registry for applications")]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"],
                name="registry_name_once",
                violation_error_message="Another registry of this organisation has this name.",
            )
        ]
        indexes = [
            # Many have the same host or user name: the order goes on by the id.
            models.Index(fields=["organisation", "url", "id"], name="registry_by_url"),
            models.Index(fields=["organisation", "username", "id"], name="registry_by_username"),
            models.Index(fields=["organisation", "created_at"], name="registry_by_age"),
            models.Index(fields=["organisation", "kind", "name"], name="registry_by_kind"),
            models.Index(fields=["refresh_due_at"], name="registry_by_refresh"),
            models.Index(fields=["token_expires_at"], condition=Q(method__gt=""), name="registry_by_token_end"),
            models.Index(
                fields=["secret_ends_on"], condition=Q(secret_ends_on__isnull=False), name="registry_by_secret_end"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("registries:detail", kwargs={"organisation": self.organisation.slug, "registry_id": self.pk})

    @property
    def provider(self) -> kinds.Kind:
        """The class of its provider."""
        return kinds.get(self.kind)

    @property
    def kind_name(self) -> str:
        return self.provider.name

    @property
    def minting(self) -> Method | None:
        """How its tokens are minted; None if the stored secret is used as it is."""
        return self.provider.method(self.method) if self.method else None

    @property
    def account_facts(self) -> list[tuple[str, str]]:
        """What the method knows of the account and may be shown: label and value."""
        fields = self.minting.fields if self.minting else ()
        return [(entry.label, self.account[entry.name]) for entry in fields if self.account.get(entry.name)]

    def open_password(self) -> str:
        """The stored secret in clear; "" where a method needs none. Raises SecretUnreadable."""
        if self.password is None:
            if self.minting is None or self.minting.needs_secret:
                raise SecretUnreadable(f"Registry {self.pk} has no secret stored.")
            return ""
        return self.password.reveal()

    @property
    def has_token(self) -> bool:
        """Whether there is a token that still lives."""
        return self.token is not None and self.token_expires_at is not None and self.token_expires_at > timezone.now()

    @property
    def is_refresh_stopped(self) -> bool:
        """Whether a failure that no retry mends has ended the refreshing; saving or asking starts it again."""
        return bool(self.method) and self.refresh_due_at is None and self.refresh_failures > 0

    @property
    def token_state(self) -> str:
        """`""` (none is minted), `waiting` (for the first), `fresh`, `failing` (the old one still lives), `expired`."""
        if not self.method:
            return ""
        if self.has_token:
            return "failing" if self.refresh_failures else "fresh"
        return "expired" if self.token_issued_at or self.refresh_failures else "waiting"

    @property
    def secret_ends_at(self) -> dt.datetime | None:
        """When the stored secret has ended at the latest; None if it does not end, or nobody knows when."""
        if self.secret_ends_on is not None:
            return dt.datetime.combine(self.secret_ends_on, dt.time.max, tzinfo=dt.UTC)  # it ends with that day
        hours = None if self.method else self.provider.life_hours(self.username)
        return self.secret_changed_at + dt.timedelta(hours=hours) if hours else None

    @property
    def is_ended(self) -> bool:
        """Whether the stored token has surely ended."""
        return self.secret_ends_at is not None and self.secret_ends_at <= timezone.now()

    @property
    def is_tested(self) -> bool:
        """Whether the last test was of the credentials as they are now."""
        return self.last_test is not None and self.last_test.credentials_mark == self.credentials_mark


def credentials_mark(
    *, url: str, username: str, password: str, method: str = "", account: Mapping[str, str] | None = None
) -> str:
    """A keyed hash that tells whether two sets of credentials are equal; useless without the secret key."""
    mac = hmac.new(settings.SECRET_KEY.encode(), digestmod=hashlib.sha256)
    parts = [url, username, password]
    if method:
        parts += [method, json.dumps(account or {}, sort_keys=True)]
    for part in parts:
        mac.update(f"{len(part)}:{part}".encode())
    return mac.hexdigest()
