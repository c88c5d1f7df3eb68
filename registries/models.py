"""What may be pulled: registries, the tests of them, and what somebody is about to add."""

import datetime as dt
import hashlib
import hmac

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from dokreg.encryption import OptionalSecretField, SecretField
from organisations.models import OwnedByOrganisation, OwnedQuerySet, User
from registries import kinds
from servers.docker import OWN_HOST
from servers.models import Run, Server

DRAFT_LIFE = dt.timedelta(hours=1)


class Registry(OwnedByOrganisation):
    """An account at a registry. Several may share a host with different accounts."""

    organisation = models.ForeignKey("organisations.Organisation", on_delete=models.CASCADE, related_name="registries")
    name = models.CharField("registry name", max_length=100)
    kind = models.CharField("provider", max_length=30, help_text="The slug of a class under registries/kinds/.")
    url = models.CharField("registry URL", max_length=260, help_text="The host alone, or host:port.")
    username = models.CharField(max_length=255, blank=True, help_text="Empty where the secret stands for it.")
    password = SecretField(editable=False)
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
    credentials_mark = models.CharField(max_length=64, blank=True, editable=False)
    last_test = models.ForeignKey(
        "RegistryTest", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "registries"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"],
                name="registry_name_once",
                violation_error_message="Another registry of this organisation has this name.",
            )
        ]
        indexes = [
            models.Index(fields=["organisation", "url"], name="registry_by_url"),
            models.Index(fields=["organisation", "username"], name="registry_by_username"),
            models.Index(fields=["organisation", "created_at"], name="registry_by_age"),
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
    def secret_ends_at(self) -> dt.datetime | None:
        """When a pasted short-lived token has ended at the latest; None if it does not end by itself."""
        hours = self.provider.secret_life_hours
        return self.secret_changed_at + dt.timedelta(hours=hours) if hours else None

    @property
    def is_ended(self) -> bool:
        """Whether the stored token has surely ended."""
        return self.secret_ends_at is not None and self.secret_ends_at <= timezone.now()

    @property
    def is_tested(self) -> bool:
        """Whether the last test was of the credentials as they are now."""
        return self.last_test is not None and self.last_test.credentials_mark == self.credentials_mark


class RegistryTest(Run):
    """A test of a saved registry, or of what stands in the form: then the draft's secret is kept here until it ends.

    What is not secret of a draft stays, so that the form can be shown again as it was typed, and so that a test of
    exactly these credentials counts for the registry that is saved with them.
    """

    registry = models.ForeignKey(Registry, on_delete=models.CASCADE, null=True, blank=True, related_name="tests")
    server = models.ForeignKey(Server, on_delete=models.SET_NULL, null=True, blank=True, related_name="registry_tests")
    server_name = models.CharField(
        max_length=100, blank=True, help_text="As it was called then; empty: dokreg's own host."
    )
    image = models.CharField(max_length=512, blank=True, help_text="Whose pull right is tested.")
    kind = models.CharField(max_length=30)
    url = models.CharField(max_length=260)
    username = models.CharField(max_length=255, blank=True, help_text="Empty where the secret stands for it.")
    image_prefix = models.CharField(max_length=200, blank=True)
    draft_password = OptionalSecretField(editable=False)
    to_tidy = models.BooleanField(default=False, help_text="It was cut off, and may have left a folder on the server.")
    credentials_mark = models.CharField(max_length=64, blank=True, help_text="Tells equal credentials apart.")

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["registry", "-created_at"], name="registry_test_history"),
            models.Index(fields=["state", "lease_until"], name="registry_test_due"),
            models.Index(fields=["organisation", "credentials_mark"], name="registry_test_mark"),
        ]

    def __str__(self) -> str:
        return f"Test of {self.registry or self.url}"

    @property
    def place(self) -> str:
        """Where it runs, in words."""
        return self.server_name or OWN_HOST

    def get_absolute_url(self) -> str:
        return reverse("registries:test_detail", kwargs={"organisation": self.organisation.slug, "test_id": self.pk})


class Draft(OwnedByOrganisation):
    """What somebody pasted or typed and has not saved: the form's values, with the secret encrypted.

    It lets a form come back whole without ever sending a secret to the browser. Belongs to one person, and ends
    after an hour.
    """

    created_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField()
    values = models.JSONField(default=dict, help_text="Form field → text; nothing secret.")
    password = OptionalSecretField(editable=False)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="draft_by_end")]

    def __str__(self) -> str:
        return f"Draft of {self.values.get('url') or 'a registry'}"


def credentials_mark(*, url: str, username: str, password: str) -> str:
    """A keyed hash that tells whether two sets of credentials are equal; useless without the secret key."""
    mac = hmac.new(settings.SECRET_KEY.encode(), digestmod=hashlib.sha256)
    for part in (url, username, password):
        mac.update(f"{len(part)}:{part}".encode())
    return mac.hexdigest()
