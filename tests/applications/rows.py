"""Projects and applications, and images of the lab that answer on a port, as a test needs them."""

import time
import urllib.error
import urllib.request
from typing import Any

from applications import deploy, deploying
from applications.models import Application, Deployment, Project
from organisations.models import Organisation, User
from registries.models import Registry
from servers.models import Server
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE

ANSWERS = '["/bin/busybox", "httpd", "-f", "-p", "{port}", "-h", "/etc"]'


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


def push_web(engine: Engine, reference: str, *, port: int, marker: str, command: str = "", padding: int = 0) -> str:
    """Push an image whose container answers `marker` at /marker on the port; its digest. The engine forgets it.

    `padding` are bytes that nothing compresses, for an image that takes a while to pull.
    """
    engine.import_image(reference, command=command or ANSWERS.format(port=port), marker=marker, padding=padding)
    engine.push(reference, ALICE)
    digests = engine.docker("image", "inspect", "--format", '{{join .RepoDigests " "}}', reference).stdout.split()
    engine.remove_image(reference)
    repository = reference.rpartition(":")[0]
    return next(text for text in digests if text.startswith(f"{repository}@")).rpartition("@")[2]


def deployed(application: Application, by: User | None = None) -> Deployment:
    """Deploy an application as a worker does, in this process; the row when it is over."""
    return ran(deploying.ask(application=application, asked_by=by))


def ran(deployment: Deployment) -> Deployment:
    deploy.run(deployment.pk)
    deployment.refresh_from_db()
    return deployment


def answer_of(port: int, *, seconds: float = 3) -> str:
    """What answers on the port; "" if nothing does in that time."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/marker", timeout=1) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            if time.monotonic() > end:
                return ""
            time.sleep(0.05)


def containers_on(engine: Engine) -> dict[str, str]:
    """Name → state of every container of an engine."""
    lines = engine.docker("ps", "--all", "--format", "{{.Names}} {{.State}}").stdout.splitlines()
    return dict(line.split(maxsplit=1) for line in lines)
