"""Projects, applications and deployments, as a test needs them."""

from typing import Any

from applications import deploy, deploying
from applications.models import Application, Deployment, Project
from organisations.models import Organisation, User
from registries.models import Registry
from servers.models import Server


def make_application(
    organisation: Organisation, *, server: Server, registry: Registry | None, image: str, **values: Any
) -> Application:
    """An application in the project Shop that runs in the server's own network."""
    project, _is_new = Project.objects.get_or_create(organisation=organisation, name="Shop")
    name = values.pop("name", "web")
    environment = values.pop("environment", None)
    values = {"container_name": name, "network": "host", "settle_seconds": 0, "stop_seconds": 1} | values
    application = Application(
        organisation=organisation, project=project, name=name, server=server, registry=registry, image=image, **values
    )
    application.environment = environment
    application.save()
    return application


def deployed(application: Application, by: User | None = None) -> Deployment:
    """Deploy an application as a worker does, in this process; the row when it is over."""
    return ran(deploying.ask(application=application, asked_by=by))


def ran(deployment: Deployment) -> Deployment:
    deploy.run(deployment.pk)
    deployment.refresh_from_db()
    return deployment
