"""What registries were found to have, and how many pulls they still allow."""

import datetime as dt

from django.db import models
from django.db.models import Q
from django.utils import timezone

from organisations.models import OwnedByOrganisation, OwnedQuerySet
from registries.models.registry import Registry
from servers.docker import OWN_HOST
from servers.models import UNFINISHED, Run, Server


class CatalogLook(Run):
    """One look at what a registry has: its repositories, or the tags of one. It is forgotten after an hour.

    `answer` is `{"repositories": [path, …], "is_complete"}` or `{"tags": [{"name", "digest", "size", "created",
    "platforms"}, …], "total", "is_total_exact", "problem"}`, each with `"place"` (from where it was asked) and `"note"`
    (why from there); `size` is in bytes, `created` as in ISO 8601, either is null where it is not known.
    """

    registry = models.ForeignKey(
        Registry,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="looks",
        help_text="Whose account is used; empty: none.",
    )
    url = models.CharField(max_length=260, help_text="The registry's host.")
    server = models.ForeignKey(Server, on_delete=models.SET_NULL, null=True, blank=True, related_name="looks")
    server_name = models.CharField(
        max_length=100, blank=True, help_text="As it was called then; empty: dokreg's own host."
    )
    repository = models.CharField(
        max_length=255, blank=True, help_text="The path of the one whose tags are listed; empty: repositories are."
    )
    answer = models.JSONField(default=dict, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["state", "created_at"], condition=UNFINISHED, name="catalog_look_due"),
            models.Index(fields=["created_at"], name="catalog_look_by_age"),
        ]

    def __str__(self) -> str:
        return f"Look at {self.url}/{self.repository}" if self.repository else f"Look at {self.url}"

    @property
    def place(self) -> str:
        """Where it is asked from, in words."""
        return self.server_name or OWN_HOST


class Quota(OwnedByOrganisation):
    """How many pulls a registry allowed when it was last asked from a place: its own figures, as its headers give them.

    Without a registry they are those of whoever comes without an account; without a server, of dokreg's own host.
    """

    host = models.CharField(max_length=260)
    registry = models.ForeignKey(Registry, on_delete=models.CASCADE, null=True, blank=True, related_name="quotas")
    server = models.ForeignKey(Server, on_delete=models.CASCADE, null=True, blank=True, related_name="quotas")
    limit = models.PositiveIntegerField(null=True, blank=True)
    remaining = models.PositiveIntegerField(null=True, blank=True)
    window_seconds = models.PositiveIntegerField(null=True, blank=True)
    source = models.CharField(
        max_length=100, blank=True, help_text="Whose quota it is: an address, or the id of an account."
    )
    seen_at = models.DateTimeField(default=timezone.now)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-seen_at"]
        # One constraint for each way to be empty: databases hold two rows with NULL for different.
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "host", "registry", "server"],
                condition=Q(registry__isnull=False, server__isnull=False),
                name="one_quota_per_account_and_server",
            ),
            models.UniqueConstraint(
                fields=["organisation", "host", "registry"],
                condition=Q(registry__isnull=False, server__isnull=True),
                name="one_quota_per_account_at_home",
            ),
            models.UniqueConstraint(
                fields=["organisation", "host", "server"],
                condition=Q(registry__isnull=True, server__isnull=False),
                name="one_quota_per_server",
            ),
            models.UniqueConstraint(
                fields=["organisation", "host"],
                condition=Q(registry__isnull=True, server__isnull=True),
                name="one_quota_at_home",
            ),
        ]

    def __str__(self) -> str:
        return f"Pulls left at {self.host}: {self.remaining} of {self.limit}"

    @property
    def window(self) -> dt.timedelta | None:
        """The time that the limit is for; None if the registry does not say it."""
        return dt.timedelta(seconds=self.window_seconds) if self.window_seconds else None

    @property
    def place(self) -> str:
        """From where it was seen, in words."""
        return self.server.name if self.server else OWN_HOST
