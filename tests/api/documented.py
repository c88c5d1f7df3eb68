"""The things that the examples of the API's document name, as rows: so every example can be sent as it stands."""

from collections.abc import Iterator, Mapping
from typing import Any

from applications.api import applications, deployments, projects
from applications.models import Application, Deployment, Project
from dokreg.api import load
from organisations import api as people
from organisations.api_key_models import ApiKey
from organisations.models import Organisation, User
from organisations.procedures import Procedure, all_procedures
from registries import api as registries
from registries.models import Registry
from servers import api as servers
from servers.models import Server, SSHKey
from tests.people import membership_of
from tests.registries.rows import make_registry
from tests.servers.rows import HOST_KEY, PAIR, make_server, make_test

load()
PROCEDURES = {procedure.name: procedure for procedure in all_procedures()}
IDS = {
    "organizationId": people.ORGANISATION_ID,
    "apiKeyId": people.KEY_ID,
    "sshKeyId": servers.EXAMPLE_KEY_ID,
    "serverId": servers.EXAMPLE_ID,
    "registryId": registries.EXAMPLE_ID,
    "projectId": projects.EXAMPLE_ID,
    "environmentId": projects.EXAMPLE_ID,
    "applicationId": applications.EXAMPLE_ID,
    "id": applications.EXAMPLE_ID,
    "deploymentId": deployments.EXAMPLE_ID,
}


def id_fields(procedure: Procedure) -> Iterator[tuple[str, ...]]:
    """The paths of the fields in a procedure's input that name something."""
    return _ids_in(procedure.takes.model_json_schema(), ())


def _ids_in(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name in schema.get("properties", {}):
        if name == "id" or name.endswith("Id"):
            yield (*path, name)
    for name, inner in schema.get("$defs", {}).items():
        yield from _ids_in(inner, (*path, name[0].lower() + name[1:]))


def make_things(organisation: Organisation, by: User, ids: Mapping[str, str] = IDS) -> None:
    """One of each with these ids, each used by another; their names are not those that the examples give."""
    key = SSHKey(organisation=organisation, id=ids["sshKeyId"], name="key of before", public_key=PAIR.public)
    key.private_key = PAIR.private
    key.save()
    server = make_server(organisation, "server of before", id=ids["serverId"], ssh_key=key, host_key=HOST_KEY)
    make_test(server)
    registry = make_registry(
        organisation, by, "Images of before", id=ids["registryId"], url="registry.example.com:5000"
    )
    project = Project.objects.create(organisation=organisation, id=ids["projectId"], name="Shop of before")
    _make_application(registry, server, project, ids)
    membership = membership_of(by)
    ApiKey.objects.create(
        organisation=organisation, id=ids["apiKeyId"], membership=membership, name="CI", start="aBcDeF", key_hash=by.pk
    )


def _make_application(registry: Registry, server: Server, project: Project, ids: Mapping[str, str]) -> None:
    application = Application(
        organisation=project.organisation,
        id=ids["applicationId"],
        project=project,
        name="web of before",
        server=server,
        registry=registry,
        image="web:1.4",
        container_name="shop-before",
        environment_names=["TOKEN"],
    )
    application.environment = "TOKEN=s3cret"
    application.save()
    application.serving = application.last_deployment = Deployment.objects.create(
        organisation=project.organisation,
        id=ids["deploymentId"],
        application=application,
        server=server,
        state=Deployment.State.SUCCEEDED,
        reference="registry.example.com:5000/web:1.4",
        digest=f"sha256:{'a' * 64}",
        log="Pulled in 3 s.\n",
    )
    application.save()
