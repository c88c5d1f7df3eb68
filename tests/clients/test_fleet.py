"""What a registry is for, through each of the clients: a server is added, and an image deployed there."""

import secrets

import pytest

from tests.clients.calling import ROBOT, Client
from tests.lab import sshd
from tests.lab.engine import Engine
from tests.lab.ports import free_port
from tests.lab.registry import BasicRegistry
from tests.lab.web import answer_of, push_web
from tests.running import Running

# The first process of a container ignores the SIGTERM that it has not asked for.
COMMAND = '["/bin/busybox", "sh", "-c", "trap exit TERM; /bin/busybox httpd -f -p {port} -h /etc & wait"]'
# What no client of Dokploy can say: an engine of the lab has no bridge, and nobody here wants to wait.
OF_THE_LAB = "UPDATE applications_application SET network = 'host', settle_seconds = 0 WHERE id = ?"
UNFINISHED = "SELECT COUNT(*) FROM applications_deployment WHERE application_id = ? AND finished_at IS NULL"


def test_a_server_is_added_with_its_ssh_key(client: Client, server_one: sshd.Server) -> None:
    name = f"web-{secrets.token_hex(4)}"
    member = client.ask("user.get")
    ssh_key = client.ask(
        "sshKey.create",
        name=name,
        privateKey=server_one.private_key,
        publicKey=server_one.public_key,
        organizationId=member["organizationId"],
    )
    assert ssh_key["publicKey"].split()[:2] == server_one.public_key.split()[:2]
    server = client.ask(
        "server.create",
        name=name,
        description="",
        ipAddress=server_one.host,
        port=server_one.port,
        username=server_one.user,
        sshKeyId=ssh_key["sshKeyId"],
        serverType="deploy",
    )
    assert server["hostKeyFingerprint"] == server_one.fingerprint
    assert client.ask("server.validate", serverId=server["serverId"])["docker"]["enabled"] is True
    (listed,) = [found for found in client.ask("server.all") if found["serverId"] == server["serverId"]]
    assert listed == server | {"lastTest": listed["lastTest"]}
    assert listed["lastTest"]["state"] == "passed"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def image(engine_one: Engine, registry: BasicRegistry, port: int) -> str:
    """The reference of an image that waits in the registry; its container answers on the port."""
    reference = f"{registry.host}/acme/web:{port}"
    push_web(engine_one, reference, port=port, marker=f"web {port}", command=COMMAND.format(port=port), account=ROBOT)
    return reference


def test_an_image_is_deployed_with_the_account_of_a_saved_registry(
    client: Client, registry: BasicRegistry, server: str, image: str, port: int, dokreg: Running
) -> None:
    account = {"username": ROBOT.username, "password": ROBOT.password, "registryUrl": registry.host}
    client.ask("registry.create", registryName=f"images-{port}", registryType="cloud", imagePrefix="", **account)
    project = client.ask("project.create", name=f"shop-{port}")["project"]
    environment = client.ask("project.one", projectId=project["projectId"])["environments"][0]["environmentId"]
    application = client.ask("application.create", name=f"web-{port}", environmentId=environment, serverId=server)
    of_it = {"applicationId": application["applicationId"]}
    assert client.ask("application.saveDockerProvider", dockerImage=image, **of_it, **account) is True
    assert dokreg.change(OF_THE_LAB, of_it["applicationId"]) == 1
    deploying = client.ask("application.deploy", **of_it, title="From a client")
    dokreg.wait_for(lambda: dokreg.column(UNFINISHED, of_it["applicationId"]) == [0], "the deployment to end")
    (deployment,) = client.ask("deployment.all", **of_it)
    assert (deployment["deploymentId"], deployment["status"]) == (deploying["deploymentId"], "done"), deployment
    assert answer_of(port) == f"web {port}"
    assert client.ask("application.one", **of_it)["applicationStatus"] == "done"
    assert client.ask("application.delete", **of_it)["name"] == f"web-{port}"
    assert answer_of(port, seconds=0) == ""
