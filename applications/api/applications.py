"""Applications: what is deployed, from which image, with which account."""

from typing import Annotated, Any, Literal

from django.db import transaction
from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema

from applications import deploying, saving
from applications.api.projects import Status, one_project, status_of
from applications.container_settings import as_command, as_lines, ports_of, volumes_of
from applications.deploying import CannotDeploy
from applications.forms import ApplicationForm
from applications.models import MOST_POLL_MINUTES, Application, Deployment
from applications.webhooks import keys as webhook_keys
from organisations import throttle
from organisations.forms import as_posted
from organisations.procedures import (
    Caller,
    Code,
    Refusal,
    Schema,
    Timestamp,
    invalid,
    mutation,
    not_found,
    query,
    refused_form,
    revealed,
)
from registries import references
from registries.models import Registry, credentials_mark
from servers import watching
from servers.api import server_named
from servers.models import Server

VIEW, ADD = "applications.view_application", "applications.add_application"
CHANGE, DELETE = "applications.change_application", "applications.delete_application"
DEPLOY, USE_REGISTRY = "applications.deploy_application", "registries.use_registry"
REMOVED_WITHIN_SECONDS = 90.0
ON_THE_WIRE = {
    "name": "name",
    "description": "description",
    "registry": "registryId",
    "image": "dockerImage",
    "server": "serverId",
    "container_name": "appName",
    "environment": "env",
    "ports": "ports",
    "volumes": "volumes",
    "command": "command",
    "restart_policy": "restartPolicy",
    "network": "network",
    "health_command": "healthCommand",
    "memory_mb": "memoryMb",
    "cpus": "cpus",
    "order": "order",
    "poll_minutes": "pollMinutes",
    "__all__": "",
}
# Null leaves these; the environment is emptied by an empty text alone.
NEVER_EMPTIED_BY_NULL = (
    "name", "server", "container_name", "environment", "restart_policy", "network", "order", "poll_minutes",
)  # fmt: skip
EXAMPLE_ID = "Gx2nVb7tKq4MwRz9LpYsE"
EXAMPLE = {
    "applicationId": EXAMPLE_ID,
    "name": "web",
    "appName": "shop-web",
    "description": "",
    "dockerImage": "web:1.4",
    "reference": "registry.example.com:5000/acme/web:1.4",
    "sourceType": "docker",
    "registryId": "V1StGXR8Z5jdHi6BmyTab",
    "serverId": "Zk3vQm8xWc2LrPz7NvYsB",
    "environmentId": "Pw8kLm3zRc5TvXy1QsNbD",
    "projectId": "Pw8kLm3zRc5TvXy1QsNbD",
    "applicationStatus": "done",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "envNames": ["DATABASE_URL"],
    "ports": ["8080:80"],
    "volumes": [],
    "command": "",
    "restartPolicy": "unless-stopped",
    "network": "bridge",
    "healthCommand": "",
    "memoryMb": None,
    "cpus": None,
    "order": "auto",
    "pollMinutes": 0,
    "hasWebhook": True,
    "digest": "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
}


class ApplicationRecord(Schema):
    """An application. Its environment's values, and the address of its webhook, are in no answer."""

    application_id: str
    name: str
    app_name: str = Field(description="The name of its container.")
    description: str
    docker_image: str | None
    reference: str | None = Field(description="What is pulled, in full; null where the image makes no reference.")
    source_type: Literal["docker"]
    registry_id: str | None
    server_id: str
    environment_id: str
    project_id: str
    application_status: Status
    created_at: Timestamp
    env_names: list[str]
    ports: list[str]
    volumes: list[str]
    command: str
    restart_policy: str
    network: str
    health_command: str
    memory_mb: int | None
    cpus: float | None
    order: str
    poll_minutes: int
    has_webhook: bool
    digest: str | None = Field(description="What its container runs.")


class ApplicationId(Schema):
    application_id: Annotated[str, Field(min_length=1)]


class ToDelete(ApplicationId):
    leave_container: bool | None = Field(None, description="Leave the container as it is on its server.")


def _docker_alone(source: str) -> str:
    if source != "docker":
        raise ValueError("dokreg builds no images: the source is docker. Let CI build and push it.")
    return source


SourceType = Annotated[
    Literal["docker", "github", "git", "gitlab", "bitbucket", "gitea", "drop"],
    AfterValidator(_docker_alone),
    WithJsonSchema({"type": "string", "enum": ["docker"]}),
]


class Settings(Schema):
    """What is left out stays as it is. Lists have a line per entry, as `docker run` takes them."""

    description: str | None = None
    app_name: str | None = Field(None, description="The name of its container.")
    server_id: str | None = None
    source_type: SourceType | None = None
    docker_image: str | None = None
    registry_id: str | None = Field(None, description="Whose account pulls it; empty: nobody's.")
    env: SecretStr | None = Field(None, description="Lines of NAME=value; stored encrypted, in no answer.")
    ports: list[str] | None = None
    volumes: list[str] | None = None
    command: str | None = None
    args: list[str] | None = Field(None, description="The words of the command, in place of `command`.")
    restart_policy: Literal["unless-stopped", "always", "on-failure", "no"] | None = None
    network: str | None = None
    health_command: str | None = None
    memory_mb: Annotated[int, Field(ge=6, le=2**31 - 1)] | None = None
    cpus: Annotated[float, Field(ge=0.01, le=9999, allow_inf_nan=False)] | None = None
    order: Literal["auto", "start_first", "stop_first"] | None = None
    poll_minutes: Annotated[int, Field(ge=0, le=MOST_POLL_MINUTES)] | None = None


class NewApplication(Settings):
    """`serverId` may be left out where the organisation has one server alone."""

    name: Annotated[str, Field(min_length=1)]
    environment_id: Annotated[str, Field(min_length=1)]


class ChangedApplication(Settings, ApplicationId):
    name: str | None = None
    environment_id: str | None = None


class DockerProvider(ApplicationId):
    """The image, and whose account pulls it: that of the saved registry with these credentials."""

    docker_image: str | None
    username: str | None = None
    password: SecretStr | None = None
    registry_url: str | None = None


class ToDeploy(ApplicationId):
    title: str | None = Field(None, description="What the history says of it.")
    description: str | None = None


class Deploying(Schema):
    """What was begun; how it ends is told by deployment.all."""

    success: Literal[True]
    message: str
    application_id: str
    deployment_id: str


EXAMPLE_DEPLOYING = {
    "success": True,
    "message": "Deployment queued",
    "applicationId": EXAMPLE_ID,
    "deploymentId": "Jd6cXw1mTb8NqRz3KvYsF",
}


@query("application.one", VIEW, takes=ApplicationId, answers=ApplicationRecord,
       example={"applicationId": EXAMPLE_ID}, answer_example=EXAMPLE)  # fmt: skip
def show_one(caller: Caller, values: ApplicationId) -> ApplicationRecord:
    """Show an application."""
    return _record(one_application(caller, values.application_id))


@mutation("application.create", ADD, takes=NewApplication, answers=ApplicationRecord, answer_example=EXAMPLE,
          example={
              "name": "web",
              "environmentId": "Pw8kLm3zRc5TvXy1QsNbD",
              "serverId": "Zk3vQm8xWc2LrPz7NvYsB",
          })  # fmt: skip
def create(caller: Caller, values: NewApplication) -> ApplicationRecord:
    """Add an application. Its image may be named now, or with application.saveDockerProvider."""
    project = one_project(caller, values.environment_id, called="Environment")
    application = Application(organisation=caller.organisation, project=project)
    if not values.server_id:
        values = values.model_copy(update={"server_id": _only_server(caller)})
    return _saved(caller, application, values)


@mutation("application.update", CHANGE, takes=ChangedApplication, answers=Literal[True], answer_example=True,
          example={"applicationId": EXAMPLE_ID, "dockerImage": "web:1.5"})  # fmt: skip
def update(caller: Caller, values: ChangedApplication) -> bool:
    """Change an application; its container stays as it is until the next deployment."""
    with transaction.atomic():  # what others change at the same moment is not changed back
        application = one_application(caller, values.application_id, locked=True)
        if values.environment_id and values.environment_id != application.project_id:
            application.project = one_project(caller, values.environment_id, called="Environment")
        _saved(caller, application, values)
    return True


@mutation("application.saveDockerProvider", CHANGE, takes=DockerProvider, answers=Literal[True], answer_example=True,
          example={
              "applicationId": EXAMPLE_ID,
              "dockerImage": "web:1.4",
              "username": None,
              "password": None,
              "registryUrl": None,
          })  # fmt: skip
def save_docker_provider(caller: Caller, values: DockerProvider) -> bool:
    """Choose the image. Credentials choose the saved registry that has them; they are stored with none but that.

    Without credentials the registry stays as it is; application.update chooses one by its `registryId`.
    """
    given: dict[str, Any] = {"docker_image": values.docker_image or ""}
    one_application(caller, values.application_id)
    if values.username or revealed(values.password):
        given["registry_id"] = _registry_with(caller, values).pk
    with transaction.atomic():
        application = one_application(caller, values.application_id, locked=True)
        _saved(caller, application, Settings(**given))
    return True


@mutation("application.delete", DELETE, takes=ToDelete, answers=ApplicationRecord,
          example={"applicationId": EXAMPLE_ID}, answer_example=EXAMPLE,
          refuses=[Code.CONFLICT, Code.GATEWAY_TIMEOUT])  # fmt: skip
def delete(caller: Caller, values: ToDelete) -> ApplicationRecord:
    """Delete an application, after its container was removed from its server."""
    application = one_application(caller, values.application_id)
    record = _record(application)
    with watching.place(caller.organisation.pk):
        removal = _removal(application, values, caller)
        if removal is not None:
            _wait_for_removal(removal)
    return record


@mutation("application.deploy", DEPLOY, takes=ToDeploy, answers=Deploying, example={"applicationId": EXAMPLE_ID},
          answer_example=EXAMPLE_DEPLOYING, refuses=[Code.CONFLICT])  # fmt: skip
def deploy(caller: Caller, values: ToDeploy) -> Deploying:
    """Deploy what the application's settings name. Answers at once; deployment.all tells how it goes on."""
    return _deploying(caller, values)


@mutation("application.redeploy", DEPLOY, takes=ToDeploy, answers=Deploying, example={"applicationId": EXAMPLE_ID},
          answer_example=EXAMPLE_DEPLOYING, refuses=[Code.CONFLICT])  # fmt: skip
def redeploy(caller: Caller, values: ToDeploy) -> Deploying:
    """Deploy again: the tag is asked for anew, and a new container is started in any case."""
    return _deploying(caller, values)


@mutation("application.refreshToken", CHANGE, takes=ApplicationId, answers=Literal[True], answer_example=True,
          example={"applicationId": EXAMPLE_ID})  # fmt: skip
def refresh_token(caller: Caller, values: ApplicationId) -> bool:
    """Give the application's webhook a new address; the old one leads nowhere then. Its page shows it.

    Whoever has the address may deploy, so the caller has to be allowed that as well.
    """
    caller.check(DEPLOY, purpose="to give its webhook a new address")
    webhook_keys.make_key(application=one_application(caller, values.application_id), by=caller.user)
    return True


def one_application(caller: Caller, application_id: str, *, locked: bool = False) -> Application:
    """The organisation's application of this id, which nobody else changes then if it is `locked`; raises Refusal."""
    rows = Application.objects.of(caller.organisation).select_related(
        "organisation", "project__organisation", "registry", "server", "serving", "last_deployment"
    )
    application = (rows.select_for_update(of=("self",)) if locked else rows).filter(pk=application_id).first()
    if application is None:
        raise not_found("Application")
    return application


def _record(application: Application) -> ApplicationRecord:
    return ApplicationRecord(
        application_id=application.pk,
        name=application.name,
        app_name=application.container_name,
        description=application.description,
        docker_image=application.image or None,
        reference=_reference(application),
        source_type="docker",
        registry_id=application.registry_id,
        server_id=application.server_id,
        environment_id=application.project_id,
        project_id=application.project_id,
        application_status=status_of(application.last_deployment),
        created_at=application.created_at,
        env_names=application.environment_names,
        ports=as_lines(ports_of(application.ports)).splitlines(),
        volumes=as_lines(volumes_of(application.volumes)).splitlines(),
        command=as_command(application.command),
        restart_policy=application.restart_policy,
        network=application.network,
        health_command=application.health_command,
        memory_mb=application.memory_mb,
        cpus=float(application.cpus) if application.cpus is not None else None,
        order=application.order,
        poll_minutes=application.poll_minutes,
        has_webhook=application.webhook_key is not None,
        digest=application.serving.digest or None if application.serving else None,
    )


def _reference(application: Application) -> str | None:
    try:
        return deploying.reference_of(application) if application.image else None
    except CannotDeploy:
        return None


def _only_server(caller: Caller) -> str:
    servers = list(Server.objects.of(caller.organisation).values_list("pk", flat=True)[:2])
    if len(servers) == 1:
        return servers[0]
    raise invalid({"serverId": ["Name the server on which it is to run: dokreg deploys to servers alone."]})


def _saved(caller: Caller, application: Application, values: Settings) -> ApplicationRecord:
    """Save an application with the page's own form, of which only what was sent is filled in anew."""
    _check_choices(caller, application, values)
    options: dict[str, Any] = {
        "instance": application,
        "organisation": caller.organisation,
        "may_use_registries": USE_REGISTRY in caller,
        "may_deploy": DEPLOY in caller,
    }
    stored = ApplicationForm(**options)
    data = {name: _posted(stored[name].value()) for name in stored.fields} | _changes(values)
    form = ApplicationForm(as_posted(data), **options)
    form.fields["image"].required = False  # it may be named later, by saveDockerProvider
    if not form.is_valid():
        raise refused_form(form, ON_THE_WIRE)
    saved = form.save(commit=False)
    saving.save_application(application=saved, environment=form.new_environment)
    return _record(one_application(caller, saved.pk))


def _check_choices(caller: Caller, application: Application, values: Settings) -> None:
    """Raise Refusal for a server or a registry that the organisation does not have, or that the caller may not use."""
    server_named(caller, values.server_id)
    if values.poll_minutes not in {None, application.poll_minutes}:
        caller.check(DEPLOY, purpose="to let new images be deployed by themselves")
    if not values.registry_id or values.registry_id == application.registry_id:
        return
    if not Registry.objects.of(caller.organisation).filter(pk=values.registry_id).exists():
        raise not_found("Registry")
    caller.check(USE_REGISTRY, purpose="to choose a registry")


def _posted(value: Any) -> str:
    return "" if value is None else str(getattr(value, "pk", value))


def _changes(values: Settings) -> dict[str, str]:
    """What was sent, by the names of the form's fields; null empties a field, if it may be empty."""
    lines = {"ports", "volumes"}
    fields = {wire: name for name, wire in ON_THE_WIRE.items() if wire} | {"env": "environment"}
    sent = values.model_dump(by_alias=True, include=values.given)
    changes = {fields[wire]: value for wire, value in sent.items() if wire in fields}
    for name in lines & changes.keys():
        changes[name] = "\n".join(changes[name] or [])
    if sent.get("args") is not None:
        changes["command"] = as_command(sent["args"])
    for name in NEVER_EMPTIED_BY_NULL:
        if name in changes and changes[name] is None:
            del changes[name]
    if "environment" in changes:
        changes["environment"] = revealed(values.env)
    return {name: _posted(value) for name, value in changes.items()}


def _registry_with(caller: Caller, values: DockerProvider) -> Registry:
    """The saved registry that has these very credentials; raises Refusal if there is none."""
    try:
        host = references.normalise_host(values.registry_url or "")
    except references.InvalidHost as error:
        raise invalid({"registryUrl": [str(error)]}) from error
    username = (values.username or "").strip()
    mark = credentials_mark(url=host, username=username, password=revealed(values.password))
    rows = Registry.objects.of(caller.organisation).filter(url=host, username=username, credentials_mark=mark)
    caller.check(USE_REGISTRY, purpose="to choose a registry by its credentials")
    registry = rows.first()
    if registry is None:
        throttle.check_guess(caller.membership.pk)
        raise Refusal(
            Code.BAD_REQUEST,
            f"No saved registry has these credentials for {host}. dokreg keeps none with an application: save them "
            "with registry.create, and name that registry (application.update, registryId).",
        )
    return registry


def _deploying(caller: Caller, values: ToDeploy) -> Deploying:
    application = one_application(caller, values.application_id)
    note = ": ".join(filter(None, [values.title, values.description]))
    try:
        deployment = deploying.ask(application=application, asked_by=caller.user, note=note)
    except CannotDeploy as error:
        raise Refusal(Code.CONFLICT, str(error)) from error
    return Deploying(
        success=True, message="Deployment queued", application_id=application.pk, deployment_id=deployment.pk
    )


def _removal(application: Application, values: ToDelete, caller: Caller) -> Deployment | None:
    try:
        return saving.delete_application(
            application=application, leave_container=bool(values.leave_container), by=caller.user
        )
    except (saving.StillDeploying, CannotDeploy) as error:
        raise Refusal(Code.CONFLICT, str(error)) from error


def _wait_for_removal(removal: Deployment) -> None:
    """Until the application's row is gone with its container; raises Refusal if the container could not be removed."""
    rows = Deployment.objects.filter(pk=removal.pk, state__in=deploying.UNFINISHED)
    is_over = watching.wait_until(lambda: not rows.exists(), seconds=REMOVED_WITHIN_SECONDS)
    left = Deployment.objects.filter(pk=removal.pk).first()
    if not is_over:
        raise Refusal(Code.GATEWAY_TIMEOUT, "The container is still being removed; the application goes after it.")
    if left is not None:
        said = left.explanation or "The removal was cancelled."
        raise Refusal(Code.CONFLICT, f"The container was not removed, and the application stays. {said}")
