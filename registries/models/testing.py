"""Tests of registries, one by one and many at once; and what somebody is about to add."""

import datetime as dt

from django.db import models
from django.db.models import Q
from django.urls import reverse

from dokreg.encryption import OptionalSecretField
from organisations.models import OwnedByOrganisation, OwnedQuerySet, User
from registries.models.registry import Registry
from servers.docker import OWN_HOST
from servers.models import UNFINISHED, Run, Server

DRAFT_LIFE = dt.timedelta(hours=1)
# In a draft's values: the host that its secret goes to and no other, since nobody typed or saw the secret.
ONLY_HOST = "only_host"


class RegistryTest(Run):
    """A test of a saved registry, or of what stands in the form: then the draft's secret is kept here until it ends.

    What is not secret of a draft stays, so that the form can be shown again as it was typed, and so that a test of
    exactly these credentials counts for the registry that is saved with them.
    """

    registry = models.ForeignKey(Registry, on_delete=models.CASCADE, null=True, blank=True, related_name="tests")
    batch = models.ForeignKey("TestBatch", on_delete=models.SET_NULL, null=True, blank=True, related_name="tests")
    rotation = models.ForeignKey("Rotation", on_delete=models.SET_NULL, null=True, blank=True, related_name="tests")
    server = models.ForeignKey(Server, on_delete=models.SET_NULL, null=True, blank=True, related_name="registry_tests")
    server_name = models.CharField(
        max_length=100, blank=True, help_text="As it was called then; empty: dokreg's own host."
    )
    image = models.CharField(max_length=512, blank=True, help_text="Whose pull right is tested.")
    kind = models.CharField(max_length=30)
    url = models.CharField(max_length=260)
    username = models.CharField(max_length=255, blank=True, help_text="Empty where the secret stands for it.")
    image_prefix = models.CharField(max_length=200, blank=True)
    method = models.CharField(max_length=30, blank=True)
    account = models.JSONField(default=dict, blank=True)
    draft_password = OptionalSecretField(editable=False)
    to_tidy = models.BooleanField(default=False, help_text="It was cut off, and may have left a folder on the server.")
    credentials_mark = models.CharField(max_length=64, blank=True, help_text="Tells equal credentials apart.")

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["registry", "-created_at"], name="registry_test_history"),
            models.Index(fields=["state", "created_at"], condition=UNFINISHED, name="registry_test_due"),
            models.Index(fields=["organisation", "credentials_mark"], name="registry_test_mark"),
            models.Index(fields=["batch", "state", "sent_at", "created_at"], name="registry_test_batch"),
            models.Index(fields=["created_at"], condition=Q(to_tidy=True), name="registry_test_to_tidy"),
            models.Index(fields=["created_at"], name="registry_test_by_age"),
            # What the fleet's matrix has to look at; all the others passed.
            models.Index(
                fields=["organisation"], condition=~Q(state="passed", verdict=""), name="registry_test_not_plain"
            ),
        ]

    def __str__(self) -> str:
        return f"Test of {self.registry or self.url}"

    @property
    def place(self) -> str:
        """Where it runs, in words."""
        return self.server_name or OWN_HOST

    def get_absolute_url(self) -> str:
        return reverse("registries:test_detail", kwargs={"organisation": self.organisation.slug, "test_id": self.pk})


class TestBatch(OwnedByOrganisation):
    """Tests asked for together: of one registry on every server, of every registry on one server, or of all on all.

    Its tests are rows from the beginning, and handed to the workers a few at a time: `sent_at` is empty until then.
    """

    registry = models.ForeignKey(Registry, on_delete=models.CASCADE, null=True, blank=True, related_name="batches")
    server = models.ForeignKey(Server, on_delete=models.CASCADE, null=True, blank=True, related_name="batches")
    rotation = models.OneToOneField(
        "Rotation",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="batch",
        help_text="Whose tests it is.",
    )
    asked_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    total = models.PositiveIntegerField(default=0)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "test batches"
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["organisation", "-created_at"], name="test_batch_by_age"),
            models.Index(fields=["created_at"], name="test_batch_to_forget"),
            models.Index(fields=["created_at"], condition=Q(finished_at__isnull=True), name="test_batch_unfinished"),
        ]

    def __str__(self) -> str:
        return f"Tests of {self.registry or 'every registry'} on {self.server or 'every server'}"

    def get_absolute_url(self) -> str:
        return reverse("fleet:batch", kwargs={"organisation": self.organisation.slug, "batch_id": self.pk})


class Standing(OwnedByOrganisation):
    """How a registry stands on a server: its last test there. What the fleet's matrix shows, one row a cell."""

    registry = models.ForeignKey(Registry, on_delete=models.CASCADE, related_name="standings")
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="standings")
    last_test = models.ForeignKey(RegistryTest, on_delete=models.SET_NULL, null=True, related_name="standings")

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["registry", "server"], name="one_standing_per_pair")]

    def __str__(self) -> str:
        return f"{self.registry} on {self.server}"


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
