"""What the tests of deployments share: a server of the lab that nothing runs on, a registry, and a free port."""

import subprocess
from collections.abc import Iterator

import pytest
from django.test import Client
from pytest_django import Settings

from applications.models import Application
from organisations.models import Organisation, User
from registries import tokens
from registries.models import Registry, TokenRefresh
from servers import ssh
from servers.models import Server
from tests.applications.rows import make_application
from tests.lab import sshd
from tests.lab.aws import Aws
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, ECR_HOST, NewCloudRegistry, NewFolder
from tests.lab.ports import free_port
from tests.lab.registry import BasicRegistry
from tests.people import ClientOf
from tests.registries.held import make_ecr
from tests.registries.rows import lab_server, make_registry
from tests.servers.rows import make_server


@pytest.fixture
def server(
    settings: Settings, organisation: Organisation, engine_one: Engine, server_one: sshd.Server
) -> Iterator[Server]:
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield lab_server(organisation, server_one, name="one")
    ssh.close_all()
    engine_one.remove_containers()


@pytest.fixture
def other_server(
    settings: Settings, organisation: Organisation, engine_two: Engine, server_two: sshd.Server
) -> Iterator[Server]:
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield lab_server(organisation, server_two, name="two")
    ssh.close_all()
    engine_two.remove_containers()


@pytest.fixture
def registry(organisation: Organisation, alice: User, lab_registry: BasicRegistry) -> Registry:
    return make_registry(
        organisation, alice, "Lab", url=lab_registry.host, username=ALICE.username, password=ALICE.password
    )


@pytest.fixture
def ecr(organisation: Organisation, alice: User, aws: Aws, new_cloud_registry: NewCloudRegistry) -> Registry:
    """A registry of AWS, with its first token."""
    new_cloud_registry(ECR_HOST, aws)
    registry: Registry = make_ecr(organisation, alice)
    tokens.run(TokenRefresh.objects.get(registry=registry).pk)
    registry.refresh_from_db()
    return registry


@pytest.fixture
def small_engine(new_folder: NewFolder) -> Iterator[Engine]:
    """An engine on a disk of 32 MB."""
    folder = new_folder()
    (folder / "data").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder / "data")], check=True)
    try:
        with Engine(folder) as engine:
            yield engine
    finally:
        subprocess.run(["umount", "--lazy", str(folder / "data")], check=False)  # dockerd may have done it


@pytest.fixture
def port() -> int:
    return free_port("127.0.0.1")


@pytest.fixture
def client(alice: User, client_of: ClientOf) -> Client:
    return client_of(alice)


@pytest.fixture
def host(organisation: Organisation) -> Server:
    return make_server(organisation)


@pytest.fixture
def application(organisation: Organisation, host: Server) -> Application:
    """One without a server of the lab: nothing of it is really deployed."""
    return make_application(organisation, server=host, registry=None, image="nginx:1.27")
