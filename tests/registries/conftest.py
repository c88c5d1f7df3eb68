"""What the tests of managed logins, and those that ask registries, share."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from organisations.models import Organisation, User
from registries.models import Registry
from servers import ssh
from servers.docker import Host, OwnHost
from servers.models import Server
from tests.lab import sshd
from tests.lab.aws import Aws
from tests.lab.certificates import Authority
from tests.lab.fixtures import ECR_HOST, NewCloudRegistry
from tests.lab.registry import BasicRegistry, BearerRegistry
from tests.registries.asking import remote
from tests.registries.held import make_ecr, registry_of
from tests.registries.rows import lab_server
from tests.registries.worker import Worker

Trusting = Callable[[Authority], None]


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trusting:
    """Have dokreg know an authority, as whoever runs it does who sets SSL_CERT_FILE."""

    def trust(authority: Authority) -> None:
        bundle = tmp_path / "authority.pem"
        bundle.write_text(authority.own.certificate_pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))

    return trust


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> Worker:
    return Worker(monkeypatch, django_capture_on_commit_callbacks)


@pytest.fixture
def clean_servers(settings: Settings, server_one: sshd.Server, server_two: sshd.Server) -> Iterator[None]:
    """The servers of the lab may be reached, and are logged in to nothing; all tests share them."""
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield
    ssh.close_all()
    for server in (server_one, server_two):
        shutil.rmtree(server.home / ".docker", ignore_errors=True)


@pytest.fixture
def one(organisation: Organisation, server_one: sshd.Server) -> Server:
    return lab_server(organisation, server_one, name="one")


@pytest.fixture
def two(organisation: Organisation, server_two: sshd.Server) -> Server:
    return lab_server(organisation, server_two, name="two")


@pytest.fixture
def images(organisation: Organisation, alice: User, lab_registry: BasicRegistry) -> Registry:
    return registry_of(organisation, alice, lab_registry.host)


@pytest.fixture
def bearer(organisation: Organisation, alice: User, bearer_registry: BearerRegistry) -> Registry:
    return registry_of(organisation, alice, bearer_registry.host)


@pytest.fixture
def ecr(
    organisation: Organisation, alice: User, aws: Aws, new_cloud_registry: NewCloudRegistry, worker: Worker
) -> Registry:
    """With its first token."""
    new_cloud_registry(ECR_HOST, aws)
    registry: Registry = worker(make_ecr, organisation, alice)
    registry.refresh_from_db()
    return registry


@pytest.fixture
def asking_from_loopback(settings: Settings) -> Iterator[None]:
    """Servers and registries of the lab are on loopback; no connection outlives the test."""
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield
    ssh.close_all()


@pytest.fixture(params=["server", "own host"])
def host(request: pytest.FixtureRequest, server_one: sshd.Server) -> Host:
    """Each place from which a registry can be asked."""
    return OwnHost() if request.param == "own host" else remote(server_one)
