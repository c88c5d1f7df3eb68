"""Deployments: the history of an application, and what was logged."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from applications.api.applications import EXAMPLE_ID as APPLICATION_ID
from applications.api.applications import VIEW, ApplicationId, one_application
from applications.models import Application, Deployment
from organisations.procedures import Caller, Schema, Timestamp, not_found, query

MOST_LISTED = 100
HEAVY = ("log", "progress", "replaces")
EXAMPLE_ID = "Jd6cXw1mTb8NqRz3KvYsF"
EXAMPLE = {
    "deploymentId": EXAMPLE_ID,
    "title": "Deployment",
    "description": "",
    "status": "done",
    "state": "succeeded",
    "action": "deploy",
    "reference": "registry.example.com:5000/acme/web:1.4",
    "digest": "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
    "applicationId": APPLICATION_ID,
    "serverId": "Zk3vQm8xWc2LrPz7NvYsB",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "startedAt": "2026-01-01T00:00:01.000Z",
    "finishedAt": "2026-01-01T00:00:09.000Z",
    "errorMessage": None,
}
Status = Literal["running", "done", "error", "cancelled"]


class DeploymentRecord(Schema):
    deployment_id: str
    title: str
    description: str
    status: Status
    state: str = Field(description="More exactly: queued, running, succeeded, failed, cancelled or lost.")
    action: str
    reference: str | None
    digest: str | None
    application_id: str
    server_id: str | None
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    error_message: str | None = Field(description="Cause and fix, and the other side's own words.")


def _applications_alone(kind: str) -> str:
    if kind != "application":
        raise ValueError("dokreg deploys applications alone: ask for the type application.")
    return kind


class OfType(Schema):
    id: Annotated[str, Field(min_length=1, description="Of the application.")]
    type: Annotated[
        Literal["application", "compose", "server", "schedule", "previewDeployment", "backup", "volumeBackup"],
        AfterValidator(_applications_alone),
        WithJsonSchema({"type": "string", "enum": ["application"]}),
    ]


class ToRead(Schema):
    deployment_id: Annotated[str, Field(min_length=1)]
    tail: Annotated[int, Field(ge=1, le=10000)] = 100


@query("deployment.all", VIEW, takes=ApplicationId, answers=list[DeploymentRecord], answer_example=[EXAMPLE],
       example={"applicationId": APPLICATION_ID})  # fmt: skip
def show_all(caller: Caller, values: ApplicationId) -> list[DeploymentRecord]:
    """List an application's last 100 deployments, newest first."""
    return _of(one_application(caller, values.application_id))


@query("deployment.allByType", VIEW, takes=OfType, answers=list[DeploymentRecord], answer_example=[EXAMPLE],
       example={"id": APPLICATION_ID, "type": "application"})  # fmt: skip
def show_all_by_type(caller: Caller, values: OfType) -> list[DeploymentRecord]:
    """The same by type; dokreg deploys applications alone."""
    return _of(one_application(caller, values.id))


@query("deployment.readLogs", VIEW, takes=ToRead, answers=str, answer_example="Pulled in 3 s.\n",
       example={"deploymentId": EXAMPLE_ID, "tail": 100})  # fmt: skip
def read_logs(caller: Caller, values: ToRead) -> str:
    """Read the last lines of a deployment's log."""
    deployment = Deployment.objects.of(caller.organisation).filter(pk=values.deployment_id).only("log").first()
    if deployment is None:
        raise not_found("Deployment")
    return "".join(deployment.log.splitlines(keepends=True)[-values.tail :])


def _of(application: Application) -> list[DeploymentRecord]:
    rows = application.deployments.defer(*HEAVY).order_by("-created_at")
    return [_record(deployment) for deployment in rows[:MOST_LISTED]]


def _record(deployment: Deployment) -> DeploymentRecord:
    return DeploymentRecord(
        deployment_id=deployment.pk,
        title=deployment.title,
        description=deployment.note,
        status=_status(deployment),
        state=deployment.state,
        action=deployment.action,
        reference=deployment.reference or None,
        digest=deployment.digest or None,
        application_id=deployment.application_id,
        server_id=deployment.server_id,
        created_at=deployment.created_at,
        started_at=deployment.started_at,
        finished_at=deployment.finished_at,
        error_message=_error(deployment),
    )


def _status(deployment: Deployment) -> Status:
    if deployment.is_running:
        return "running"
    known: dict[str, Status] = {Deployment.State.SUCCEEDED: "done", Deployment.State.CANCELLED: "cancelled"}
    return known.get(deployment.state, "error")


def _error(deployment: Deployment) -> str | None:
    rung = deployment.failing_rung
    return deployment.explanation_with_words if rung is not None and rung["state"] == "failed" else None
