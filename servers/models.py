"""Where containers run: servers, the keys that open them, and the tests of them."""

import datetime as dt
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from dokreg.encryption import SecretField
from dokreg.ids import ID_LENGTH
from organisations.models import OwnedByOrganisation, OwnedQuerySet, User
from servers import keys

validate_unix_user = RegexValidator(
    r"^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}\$?\Z",
    "Enter the user's name as the server knows it, such as deploy.",
)


class SSHKey(OwnedByOrganisation):
    """A key pair that dokreg signs in to servers with; used by any number of them."""

    name = models.CharField(max_length=100)
    description = models.CharField(max_length=300, blank=True)
    public_key = models.TextField(editable=False, help_text="OpenSSH line: type and key.")
    private_key = SecretField(editable=False)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = "SSH key"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"],
                name="ssh_key_name_once",
                violation_error_message="Another SSH key of this organisation has this name.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("servers:key_detail", kwargs={"organisation": self.organisation.slug, "key_id": self.pk})

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as ssh-keygen prints it."""
        return keys.fingerprint(self.public_key)

    @property
    def type_name(self) -> str:
        """`Ed25519`, `ECDSA` or `RSA`."""
        return keys.type_name(self.public_key)

    @property
    def authorized_line(self) -> str:
        """The line for ~/.ssh/authorized_keys on a server."""
        return f"{self.public_key} dokreg"

    @property
    def install_command(self) -> str:
        """What to paste into a shell on the server, as the user that dokreg signs in as."""
        return (
            f"mkdir -p ~/.ssh && chmod 700 ~/.ssh && echo '{self.authorized_line}' >> ~/.ssh/authorized_keys "
            "&& chmod 600 ~/.ssh/authorized_keys"
        )


# What a sweep looks for: few rows, however many are over.
UNFINISHED = Q(state__in=["queued", "running"])


class Run(OwnedByOrganisation):
    """One try of something on a server, run in the background: this row is the truth about it.

    The broker carries only its id. A worker claims it by a conditional UPDATE (`servers.runs`), writes each
    rung as it is reached, and the sweep turns it into `lost` if the worker died.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        PASSED = "passed", "Passed"
        FAILED = "failed", "Failed"
        LOST = "lost", "Lost"

    # What a subclass with states of its own calls a pass.
    SUCCESS: str = State.PASSED

    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    rungs = models.JSONField(default=list, help_text="The ladder: see servers.ladder.")
    verdict = models.CharField(max_length=60, blank=True, help_text="The code of the cause; empty if all is well.")
    revision = models.PositiveIntegerField(default=0, help_text="Counts what a page may have to show anew.")
    asked_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    sent_at = models.DateTimeField(
        default=timezone.now, null=True, help_text="When the broker was last given its id; empty: its turn comes later."
    )
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    claim = models.CharField(max_length=ID_LENGTH, blank=True, help_text="Of the worker that runs it.")
    worker = models.CharField(max_length=300, blank=True, help_text="The process that runs it: machine and number.")
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    @property
    def is_over(self) -> bool:
        return self.state not in {Run.State.QUEUED, Run.State.RUNNING}

    @property
    def is_running(self) -> bool:
        return not self.is_over

    @property
    def chip(self) -> str:
        """The state as lists show it: a pass with a reservation is a warning, and first contact is no failure."""
        if self.verdict == "host_key_unconfirmed":
            return "unconfirmed"
        return "warning" if self.state == self.SUCCESS and self.verdict else self.state

    @property
    def duration(self) -> dt.timedelta | None:
        """How long it ran; None while it does, or if it never began."""
        return self.finished_at - self.started_at if self.finished_at and self.started_at else None

    def fact(self, name: str) -> str:
        """What a rung learned, such as a version; empty if it was not reached."""
        return next((str(rung["fact"]) for rung in self.rungs if rung["name"] == name), "")

    @property
    def failing_rung(self) -> dict[str, Any] | None:
        """The rung that failed or has a reservation, if there is one."""
        return next((rung for rung in self.rungs if rung["state"] in {"failed", "warning"}), None)

    @property
    def explanation(self) -> str:
        """Cause and fix in a sentence or two, of the rung that failed or has a reservation; empty if none has."""
        rung = self.failing_rung or {}
        return " ".join(filter(None, [rung.get("cause"), rung.get("fix")]))

    @property
    def explanation_with_words(self) -> str:
        """The same, and the other side's own words on the lines below."""
        words = str((self.failing_rung or {}).get("words", "")).strip()
        return f"{self.explanation}\n{words}" if words else self.explanation


class Server(OwnedByOrganisation):
    """A machine with Docker that dokreg reaches over SSH."""

    name = models.CharField(max_length=100)
    description = models.CharField(max_length=300, blank=True)
    host = models.CharField(max_length=253, help_text="Host name or IP address.")
    port = models.PositiveIntegerField(default=22, validators=[MinValueValidator(1), MaxValueValidator(65535)])
    user = models.CharField(
        max_length=64,
        default="root",
        validators=[validate_unix_user],
        help_text="In the group docker, or root.",
    )
    ssh_key = models.ForeignKey(SSHKey, on_delete=models.RESTRICT, related_name="servers", verbose_name="SSH key")
    host_key = models.TextField(blank=True, editable=False, help_text="Pinned by a person; OpenSSH line.")
    seen_host_key = models.TextField(blank=True, editable=False, help_text="Shown last, not confirmed yet.")
    last_test = models.ForeignKey(
        "ServerTest", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        permissions = [("trust_server", "Can confirm the host key of a server")]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"],
                name="server_name_once",
                violation_error_message="Another server of this organisation has this name.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("servers:detail", kwargs={"organisation": self.organisation.slug, "server_id": self.pk})

    @property
    def address(self) -> str:
        """`user@host:port`, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}"

    @property
    def host_key_fingerprint(self) -> str:
        return keys.fingerprint(self.host_key)

    @property
    def seen_fingerprint(self) -> str:
        return keys.fingerprint(self.seen_host_key)

    @property
    def host_key_state(self) -> str:
        """`confirmed`, `unconfirmed` (none is pinned), or `changed` (the server has shown another one)."""
        if not self.host_key:
            return "unconfirmed"
        return "confirmed" if self.seen_host_key in {"", self.host_key} else "changed"

    @property
    def compare_command(self) -> str:
        """What to run on the server itself to read the fingerprint of the host key that it showed."""
        kind = keys.type_name(self.seen_host_key or self.host_key).lower()
        return f"ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub"


class ServerTest(Run):
    """A test of a server: SSH, Docker CLI, daemon, disk."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="tests")

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["server", "-created_at"], name="server_test_history"),
            models.Index(fields=["state", "created_at"], condition=UNFINISHED, name="server_test_due"),
            models.Index(fields=["created_at"], name="server_test_by_age"),
        ]

    def __str__(self) -> str:
        return f"Test of {self.server}"

    @property
    def daemon_version(self) -> str:
        return self.fact("daemon")

    def get_absolute_url(self) -> str:
        return reverse("servers:test_detail", kwargs={"organisation": self.organisation.slug, "test_id": self.pk})


class ConfigTurn(models.Model):
    """Whose turn it is to change the Docker config of this server: see servers.turns."""

    server = models.OneToOneField(Server, on_delete=models.CASCADE, primary_key=True, related_name="config_turn")
    claim = models.CharField(max_length=ID_LENGTH, blank=True, help_text="Of whoever has the turn; empty if nobody.")
    worker = models.CharField(max_length=300, blank=True, help_text="The process that has it: machine and number.")
    lease_until = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When the broker was last given the server's id.")

    def __str__(self) -> str:
        return f"Turn at {self.server}"
