"""What is deployed: projects, their applications, and every change of an application's container."""

import datetime as dt
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from dokreg.encryption import OptionalSecretField
from organisations.models import OwnedByOrganisation, OwnedQuerySet
from registries.models import Registry
from servers.models import UNFINISHED, Run, Server

CONTAINER_NAME_TAKEN = "Another application on this server has a container of this name."
MOST_POLL_MINUTES = 7 * 24 * 60
# Docker's own rule for names of containers, short enough for the suffix that a new one has until it takes over.
validate_container_name = RegexValidator(
    r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}\Z",
    "Use letters, digits, “-”, “_” and “.”, with a letter or a digit first; 63 characters at most.",
)
validate_network = RegexValidator(
    r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}\Z", "Enter the name of a network, such as bridge, host or none."
)


class Project(OwnedByOrganisation):
    """Applications that belong together."""

    name = models.CharField(max_length=100)
    description = models.CharField(max_length=300, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"],
                name="project_name_once",
                violation_error_message="Another project of this organisation has this name.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("applications:project", kwargs={"organisation": self.organisation.slug, "project_id": self.pk})


class Application(OwnedByOrganisation):
    """An image that runs as one container on one server.

    Lists hold what `applications.container_settings` reads and writes. The names of environment variables stand
    beside their encrypted values, so that a page can name them and opens nothing.
    """

    class RestartPolicy(models.TextChoices):
        UNLESS_STOPPED = "unless-stopped", "Unless stopped"
        ALWAYS = "always", "Always"
        ON_FAILURE = "on-failure", "On failure"
        NO = "no", "Never"

    class Order(models.TextChoices):
        AUTO = "auto", "As its ports and volumes allow"
        START_FIRST = "start_first", "Start the new container first"
        STOP_FIRST = "stop_first", "Stop the old container first"

    project = models.ForeignKey(Project, on_delete=models.RESTRICT, related_name="applications")
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=300, blank=True)
    server = models.ForeignKey(Server, on_delete=models.RESTRICT, related_name="applications")
    registry = models.ForeignKey(
        Registry, on_delete=models.RESTRICT, null=True, blank=True, related_name="applications"
    )
    image = models.CharField(max_length=1024)
    container_name = models.CharField(max_length=63, validators=[validate_container_name])
    ports = models.JSONField(default=list, blank=True)
    environment = OptionalSecretField(editable=False)
    environment_names = models.JSONField(default=list, blank=True, editable=False)
    environment_changed_at = models.DateTimeField(null=True, blank=True, editable=False)
    volumes = models.JSONField(default=list, blank=True)
    command = models.JSONField(default=list, blank=True)
    restart_policy = models.CharField(
        max_length=20, choices=RestartPolicy.choices, default=RestartPolicy.UNLESS_STOPPED
    )
    network = models.CharField(max_length=63, default="bridge", validators=[validate_network])
    health_command = models.CharField(max_length=1000, blank=True)
    health_interval_seconds = models.PositiveIntegerField(
        default=10, validators=[MinValueValidator(1), MaxValueValidator(3600)]
    )
    health_timeout_seconds = models.PositiveIntegerField(
        default=5, validators=[MinValueValidator(1), MaxValueValidator(600)]
    )
    health_retries = models.PositiveIntegerField(default=3, validators=[MinValueValidator(1), MaxValueValidator(100)])
    health_start_seconds = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(3600)])
    memory_mb = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(6)])
    cpus = models.DecimalField(
        max_digits=6, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0.01)]
    )
    order = models.CharField(max_length=20, choices=Order.choices, default=Order.AUTO)
    settle_seconds = models.PositiveIntegerField(default=3, validators=[MaxValueValidator(300)])
    stop_seconds = models.PositiveIntegerField(default=10, validators=[MaxValueValidator(300)])

    last_deployment = models.ForeignKey(
        "Deployment", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    serving = models.ForeignKey(
        "Deployment",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        help_text="The deployment whose container is the application's.",
    )
    settings_changed_at = models.DateTimeField(default=timezone.now, editable=False)

    webhook_key = OptionalSecretField(editable=False)
    webhook_key_hash = models.CharField(max_length=64, blank=True, editable=False, db_index=True)
    webhook_secret = OptionalSecretField(editable=False)
    webhook_takes_unsigned = models.BooleanField(
        default=False, editable=False, help_text="Beside a signing secret: whether senders that cannot sign may call."
    )
    webhook_changed_at = models.DateTimeField(null=True, blank=True, editable=False)

    poll_minutes = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MOST_POLL_MINUTES)])
    poll_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    polled_at = models.DateTimeField(null=True, blank=True, editable=False)
    polled_digest = models.CharField(max_length=140, blank=True, editable=False)
    poll_failures = models.PositiveIntegerField(default=0, editable=False)
    poll_cause = models.TextField(blank=True, editable=False)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        permissions = [("deploy_application", "Can deploy applications")]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="application_name_once",
                violation_error_message="Another application of this project has this name.",
            ),
            models.UniqueConstraint(
                fields=["server", "container_name"],
                name="container_name_once",
                violation_error_message=CONTAINER_NAME_TAKEN,
            ),
        ]
        indexes = [models.Index(fields=["poll_due_at"], name="application_by_poll")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse(
            "applications:detail", kwargs={"organisation": self.organisation.slug, "application_id": self.pk}
        )

    @property
    def container_server(self) -> Server:
        """Where its container is, which is not yet its server if it was moved and not deployed since."""
        return (self.serving.server if self.serving is not None else None) or self.server

    @property
    def is_changed(self) -> bool:
        """Whether its container still runs with settings of before."""
        if self.serving is None:
            return False
        return (self.serving.started_at or self.serving.created_at) < self.settings_changed_at


class Deployment(Run):
    """One change of an application's container: a deployment in the strict sense, or a start, a stop, and so on.

    One runs at a time per application, and one more may wait.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        LOST = "lost", "Lost"

    class Action(models.TextChoices):
        DEPLOY = "deploy", "Deploy"
        ROLLBACK = "rollback", "Roll back"
        START = "start", "Start"
        STOP = "stop", "Stop"
        RESTART = "restart", "Restart"
        REMOVE = "remove", "Remove the container"
        DELETE = "delete", "Delete"
        TIDY = "tidy", "Tidy up"

    class Reason(models.TextChoices):
        ASKED = "asked", "Somebody asked for it"
        WEBHOOK = "webhook", "A webhook asked for it"
        POLL = "poll", "The tag has a new digest"
        LOST = "lost", "What was lost is put right"

    SUCCESS = State.SUCCEEDED
    PULLS = frozenset({Action.DEPLOY, Action.ROLLBACK})
    NOUNS = {
        Action.DEPLOY: "deployment",
        Action.ROLLBACK: "rollback",
        Action.REMOVE: "removal",
        Action.DELETE: "removal",
        Action.TIDY: "tidying",
    }

    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="deployments")
    action = models.CharField(max_length=10, choices=Action.choices, default=Action.DEPLOY)
    reason = models.CharField(max_length=10, choices=Reason.choices, default=Reason.ASKED)
    note = models.CharField(max_length=300, blank=True, help_text="What asked for it, such as a sender's name.")
    server = models.ForeignKey(Server, on_delete=models.SET_NULL, null=True, related_name="deployments")
    server_name = models.CharField(max_length=100, blank=True)
    container_name = models.CharField(max_length=63, blank=True)
    reference = models.CharField(max_length=1200, blank=True, help_text="What is pulled, in full.")
    digest = models.CharField(max_length=140, blank=True, help_text="What the reference was resolved to.")
    container_id = models.CharField(max_length=64, blank=True)
    replaces = models.JSONField(
        default=list, blank=True, help_text="The containers of before, {id, ran}; see applications.recovery."
    )
    log = models.TextField(blank=True)
    progress = models.JSONField(default=dict, blank=True, help_text="See applications.pulling.")
    cancel_asked_at = models.DateTimeField(null=True, blank=True)
    cancel_asked_by = models.CharField(max_length=150, blank=True)
    to_tidy = models.BooleanField(default=False, help_text="It may have left something on its server.")

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["application"], condition=Q(state="running"), name="one_deployment_runs_at_a_time"
            ),
            models.UniqueConstraint(
                fields=["application"], condition=Q(state="queued"), name="one_deployment_waits_at_a_time"
            ),
        ]
        indexes = [
            models.Index(fields=["application", "-created_at"], name="deployment_history"),
            models.Index(fields=["state", "sent_at", "created_at"], condition=UNFINISHED, name="deployment_due"),
            models.Index(fields=["to_tidy"], condition=Q(to_tidy=True), name="deployment_to_tidy"),
            models.Index(fields=["created_at"], name="deployment_by_age"),
            models.Index(fields=["finished_at"], condition=Q(action="tidy"), name="deployment_tidying"),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} of {self.application}"

    def get_absolute_url(self) -> str:
        return reverse(
            "applications:deployment", kwargs={"organisation": self.organisation.slug, "deployment_id": self.pk}
        )

    @property
    def pulls(self) -> bool:
        """Whether it brings an image; else it does something to the container that is there."""
        return self.action in self.PULLS

    @property
    def can_be_cancelled(self) -> bool:
        return self.is_running and self.pulls and self.cancel_asked_at is None

    @property
    def noun(self) -> str:
        """What it is, in a sentence: "deployment", "restart"."""
        return self.NOUNS.get(Deployment.Action(self.action), self.action)

    @property
    def title(self) -> str:
        """What it is, as a heading, without the application's name."""
        return self.noun.capitalize()

    @property
    def short_digest(self) -> str:
        """Enough of its digest to tell it from others: the first 12 digits."""
        return self.digest.rpartition(":")[2][:12]

    @property
    def step(self) -> str:
        """The rung that is being climbed; empty before the first and after the last."""
        return next((str(rung["name"]) for rung in self.rungs if rung["state"] == "running"), "")

    def progress_of(self, name: str) -> Any:
        """A number of its progress; 0 if it is not known."""
        return self.progress.get(name, 0)


class ContainerLook(Run):
    """One look at an application's container: its state, and the last lines that it wrote."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="looks")
    answer = models.JSONField(default=dict, blank=True, help_text="See applications.containers.")
    log = models.TextField(blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["application", "-created_at"], name="container_look_history"),
            models.Index(fields=["state", "created_at"], condition=UNFINISHED, name="container_look_due"),
            models.Index(fields=["created_at"], name="container_look_by_age"),
        ]

    def __str__(self) -> str:
        return f"Look at {self.application}"

    def get_absolute_url(self) -> str:
        return reverse("applications:look_detail", kwargs={"organisation": self.organisation.slug, "look_id": self.pk})

    @property
    def container_state(self) -> str:
        """How the container was: its health if it has a health check and runs, else Docker's word for it.

        `up` for Docker's “running”, which is a state of runs as well; `missing` if there was none; "" if nobody knows.
        """
        if self.verdict == "container_missing":
            return "missing"
        status = str(self.answer.get("status", ""))
        if status == "running":
            return str(self.answer.get("health") or "up")
        return status

    @property
    def is_up(self) -> bool:
        """Whether the container ran, however well."""
        return self.answer.get("status") in {"running", "restarting", "paused"}

    @property
    def since(self) -> dt.datetime | None:
        """Since when it is as it is: it started then, or ended."""
        return parse_datetime(str(self.answer.get("started_at" if self.is_up else "finished_at", "")))


# Models of this app, in a file of their own that needs the classes above.
import applications.webhook_models  # noqa: E402, F401
