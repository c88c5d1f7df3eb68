"""Servers that stay logged in, and what their Docker configs were found to hold."""

from django.db import models
from django.db.models import Q

from organisations.models import OwnedByOrganisation, OwnedQuerySet
from registries.models.registry import Registry
from registries.models.testing import Draft
from servers.models import UNFINISHED, Run, Server


class Login(OwnedByOrganisation):
    """That a server stays logged in to a registry, in the Docker config of its SSH user.

    The row outlives its registry until the server is logged out. `url`, `folder`, `username` and `mark` are what the
    server was last logged in with, not what the registry says now; before the first login succeeds, with what it is
    being tried (then `mark` is empty while it is certain that nothing is there).
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        HELD = "held", "Logged in"
        FAILED = "failed", "Failed"
        LEAVING = "leaving", "Logging out"

    registry = models.ForeignKey(Registry, on_delete=models.SET_NULL, null=True, blank=True, related_name="logins")
    registry_name = models.CharField(max_length=100)
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="logins")
    url = models.CharField(max_length=260)
    username = models.CharField(max_length=255, blank=True)
    folder = models.CharField(
        max_length=60, blank=True, help_text="Of a config of its own; empty: the config of the SSH user."
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    mark = models.CharField(max_length=64, blank=True, help_text="Of what docker login was given last.")
    logged_in_at = models.DateTimeField(null=True, blank=True)
    left_at = models.DateTimeField(null=True, blank=True, help_text="Since when it is to be logged out.")
    due_at = models.DateTimeField(null=True, blank=True, help_text="When it is tried next; empty: nothing is to do.")
    failures = models.PositiveIntegerField(default=0)
    verdict = models.CharField(max_length=60, blank=True)
    cause = models.TextField(blank=True)
    fix = models.TextField(blank=True)
    words = models.TextField(blank=True, help_text="Docker's own, without secrets.")

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["server__name", "registry_name"]
        constraints = [
            models.UniqueConstraint(
                fields=["registry", "server"], condition=Q(registry__isnull=False), name="one_login_per_pair"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="login_by_due"),
            models.Index(fields=["server", "url"], name="login_by_url"),
            models.Index(fields=["organisation"], condition=Q(state="failed"), name="login_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.registry_name} on {self.server}"

    @property
    def is_leaving(self) -> bool:
        """Whether it is to be logged out; also where its registry is gone on whatever way."""
        return self.state == self.State.LEAVING or self.registry_id is None

    @property
    def may_be_there(self) -> bool:
        """Whether the server may hold its entry: it does, or a try to put it there was cut off."""
        return self.logged_in_at is not None or bool(self.mark)

    @property
    def is_busy(self) -> bool:
        """Whether something is about to be done that has not failed before."""
        return self.due_at is not None and not self.failures

    @property
    def is_trying(self) -> bool:
        """Whether it failed and is tried again by itself."""
        return self.failures > 0 and self.due_at is not None


class ConfigCheck(Run):
    """A look into a server's Docker config: which logins it really holds.

    `findings` are `{"host", "username", "folder", "state", "registry"}`, a state being `held`, `leaving`, `outdated`,
    `missing`, `foreign` or `known` (foreign, but the credentials of a saved registry). Secrets are compared in the
    worker's memory and kept nowhere, except for the one login that somebody adopts: it goes into their own draft.
    """

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="config_checks")
    findings = models.JSONField(default=list)
    adopts = models.JSONField(default=dict, blank=True, help_text="host and folder of the login that is adopted.")
    draft = models.ForeignKey(Draft, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["server", "-created_at"], name="config_check_history"),
            models.Index(fields=["state", "created_at"], condition=UNFINISHED, name="config_check_due"),
            models.Index(fields=["created_at"], name="config_check_by_age"),
        ]

    def __str__(self) -> str:
        return f"Config of {self.server}"
