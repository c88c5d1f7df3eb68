"""What the tests of managed logins share."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from organisations.models import Organisation, User
from registries.models import Registry
from servers import ssh
from servers.models import Server
from tests.lab import sshd
from tests.lab.aws import Aws
from tests.lab.fixtures import ECR_HOST, NewCloudRegistry
from tests.lab.registry import BasicRegistry, BearerRegistry
from tests.registries.held import make_ecr, registry_of
from tests.registries.rows import lab_server
from tests.registries.worker import Worker


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
