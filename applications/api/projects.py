"""Projects, and the one environment that each of them has."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from applications import saving
from applications.forms import ProjectForm
from applications.models import Application, Deployment, Project
from organisations.deletion import StillUsed
from organisations.forms import as_posted
from organisations.procedures import Caller, Code, Refusal, Schema, Timestamp, mutation, not_found, query, refused_form

VIEW = "applications.view_application"
ENVIRONMENT = "production"
ONE_ENVIRONMENT = (
    "dokreg has one environment per project, which is there from the beginning. "
    "Make a project for each environment instead, such as “Shop staging”."
)
Status = Literal["idle", "running", "done", "error"]
EXAMPLE_ID = "Pw8kLm3zRc5TvXy1QsNbD"
EXAMPLE_PROJECT = {
    "projectId": EXAMPLE_ID,
    "name": "Shop",
    "description": "",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "organizationId": "bT7kQm2xWc9LrPz4NvYsA",
}
EXAMPLE_ENVIRONMENT = {
    "environmentId": EXAMPLE_ID,
    "name": ENVIRONMENT,
    "description": "",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "projectId": EXAMPLE_ID,
    "isDefault": True,
}


class ProjectRecord(Schema):
    project_id: str
    name: str
    description: str
    created_at: Timestamp
    organization_id: str


class EnvironmentRecord(Schema):
    environment_id: str = Field(description="The same as the project's id.")
    name: str
    description: str
    created_at: Timestamp
    project_id: str
    is_default: Literal[True]


class ApplicationInShort(Schema):
    application_id: str
    name: str
    app_name: str
    description: str
    created_at: Timestamp
    server_id: str
    application_status: Status


class EnvironmentWithApplications(EnvironmentRecord):
    applications: list[ApplicationInShort]


class ProjectWithEnvironments(ProjectRecord):
    environments: list[EnvironmentWithApplications]


class NewProjectAnswer(Schema):
    project: ProjectRecord
    environment: EnvironmentRecord


class ProjectId(Schema):
    project_id: Annotated[str, Field(min_length=1)]


class NewProject(Schema):
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None


class NewEnvironment(ProjectId):
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None


EXAMPLE_WHOLE = EXAMPLE_PROJECT | {"environments": [EXAMPLE_ENVIRONMENT | {"applications": []}]}


@query("project.all", VIEW, answers=list[ProjectWithEnvironments], answer_example=[EXAMPLE_WHOLE])
def show_all(caller: Caller, _values: Schema) -> list[ProjectWithEnvironments]:
    """List the organisation's projects with their applications, by name."""
    return _whole(list(Project.objects.of(caller.organisation).order_by("name")))


@query("project.one", VIEW, takes=ProjectId, answers=ProjectWithEnvironments, example={"projectId": EXAMPLE_ID},
       answer_example=EXAMPLE_WHOLE)  # fmt: skip
def show_one(caller: Caller, values: ProjectId) -> ProjectWithEnvironments:
    """Show a project with its applications."""
    return _whole([one_project(caller, values.project_id)])[0]


@mutation("project.create", "applications.add_project", takes=NewProject, answers=NewProjectAnswer,
          example={"name": "Shop", "description": ""},
          answer_example={"project": EXAMPLE_PROJECT, "environment": EXAMPLE_ENVIRONMENT})  # fmt: skip
def create(caller: Caller, values: NewProject) -> NewProjectAnswer:
    """Add a project; its environment is there with it."""
    data = as_posted({"name": values.name, "description": values.description or ""})
    form = ProjectForm(data, instance=Project(organisation=caller.organisation), organisation=caller.organisation)
    if not form.is_valid():
        raise refused_form(form, {"__all__": ""})
    project = form.save()
    return NewProjectAnswer(project=_record(project), environment=_environment(project))


@mutation("project.remove", "applications.delete_project", takes=ProjectId, answers=ProjectRecord,
          example={"projectId": EXAMPLE_ID}, answer_example=EXAMPLE_PROJECT, refuses=[Code.CONFLICT])  # fmt: skip
def remove(caller: Caller, values: ProjectId) -> ProjectRecord:
    """Delete a project; refused while it has applications."""
    project = one_project(caller, values.project_id)
    record = _record(project)
    try:
        saving.delete_project(project=project)
    except StillUsed as error:
        raise Refusal(Code.CONFLICT, f"{error} Delete those first.") from error
    return record


@mutation("environment.create", "applications.add_project", takes=NewEnvironment, answers=EnvironmentRecord,
          example={"name": "staging", "description": "", "projectId": EXAMPLE_ID},
          answer_example=EXAMPLE_ENVIRONMENT)  # fmt: skip
def create_environment(caller: Caller, values: NewEnvironment) -> EnvironmentRecord:
    """Refused: dokreg has one environment per project, which is there from the beginning."""
    one_project(caller, values.project_id)
    raise Refusal(Code.BAD_REQUEST, ONE_ENVIRONMENT)


def one_project(caller: Caller, project_id: str, *, called: str = "Project") -> Project:
    """The organisation's project of this id; raises Refusal."""
    project = Project.objects.of(caller.organisation).select_related("organisation").filter(pk=project_id).first()
    if project is None:
        raise not_found(called)
    return project


def status_of(last: Deployment | None) -> Status:
    """What has become of the last deployment, in the four words of the wire."""
    if last is None:
        return "idle"
    if last.is_running:
        return "running"
    return "done" if last.state in {Deployment.State.SUCCEEDED, Deployment.State.CANCELLED} else "error"


def _record(project: Project) -> ProjectRecord:
    return ProjectRecord(
        project_id=project.pk,
        name=project.name,
        description=project.description,
        created_at=project.created_at,
        organization_id=project.organisation_id,
    )


def _environment(project: Project) -> EnvironmentRecord:
    return EnvironmentRecord(
        environment_id=project.pk,
        name=ENVIRONMENT,
        description="",
        created_at=project.created_at,
        project_id=project.pk,
        is_default=True,
    )


def _whole(projects: Sequence[Project]) -> list[ProjectWithEnvironments]:
    """With the applications of each, in one query for all."""
    of_project: dict[str, list[ApplicationInShort]] = defaultdict(list)
    columns = (
        "name",
        "container_name",
        "description",
        "created_at",
        "server_id",
        "project_id",
        "last_deployment__state",
    )
    rows = Application.objects.filter(project__in=projects).select_related("last_deployment").only(*columns)
    for application in rows.order_by("name"):
        of_project[application.project_id].append(_in_short(application))
    return [_with_applications(project, of_project[project.pk]) for project in projects]


def _with_applications(project: Project, applications: list[ApplicationInShort]) -> ProjectWithEnvironments:
    environment = EnvironmentWithApplications(**dict(_environment(project)), applications=applications)
    return ProjectWithEnvironments(**dict(_record(project)), environments=[environment])


def _in_short(application: Application) -> ApplicationInShort:
    return ApplicationInShort(
        application_id=application.pk,
        name=application.name,
        app_name=application.container_name,
        description=application.description,
        created_at=application.created_at,
        server_id=application.server_id,
        application_status=status_of(application.last_deployment),
    )
