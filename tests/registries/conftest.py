"""What the tests of managed logins, those that ask registries, and those that mint tokens share."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from organisations.models import Organisation, User
from registries.kinds import aws_calls
from registries.models import Registry
from servers import ssh
from servers.docker import Host, OwnHost
from servers.models import Server
from tests.lab import sshd
from tests.lab.aws import CONTAINER_KEYS, MACHINE_KEY, Aws
from tests.lab.azure import CLIENT_ID, CLIENT_SECRET, TENANT, Azure
from tests.lab.certificates import Authority
from tests.lab.fixtures import ACR_HOST, ECR_HOST, ECR_PUBLIC_HOST, GOOGLE_HOST, NewCloudRegistry
from tests.lab.google import EMAIL, MACHINE, Google
from tests.lab.registry import BasicRegistry, BearerRegistry
from tests.registries.asking import remote
from tests.registries.held import make_ecr, registry_of
from tests.registries.minted import KEY_ID, ROLE, SECRET_KEY, Case
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


@pytest.fixture
def machine_without_rights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No rights of the machine that the tests run on."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    aws_calls._machine_session.cache_clear()
    yield
    aws_calls._machine_session.cache_clear()


@pytest.fixture
def ecr_key(aws: Aws) -> Case:
    aws.keys[KEY_ID] = SECRET_KEY
    return Case("ecr", "access_key", ECR_HOST, aws, {"access_key_id": KEY_ID}, SECRET_KEY, KEY_ID)


@pytest.fixture
def ecr_public(ecr_key: Case) -> Case:
    return Case("ecr_public", "access_key", ECR_PUBLIC_HOST, ecr_key.cloud, ecr_key.account, ecr_key.secret, KEY_ID)


@pytest.fixture
def ecr_machine(aws: Aws, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Case:
    settings.DOKREG_MACHINE_IDENTITY = True
    settings.DOKREG_MACHINE_ROLES = [ROLE]
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", aws.url + CONTAINER_KEYS)
    return Case("ecr", "machine", ECR_HOST, aws, owner=MACHINE_KEY)


@pytest.fixture
def google_key(google: Google) -> Case:
    return Case("google", "service_account", GOOGLE_HOST, google, secret=google.key_file(), owner=EMAIL)


@pytest.fixture
def google_machine(google: Google, settings: Any) -> Case:
    settings.DOKREG_MACHINE_IDENTITY = True
    return Case("google", "machine", GOOGLE_HOST, google, owner=MACHINE)


@pytest.fixture
def acr(azure: Azure) -> Case:
    account = {"tenant": TENANT, "client_id": CLIENT_ID}
    return Case("acr", "service_principal", ACR_HOST, azure, account, CLIENT_SECRET, CLIENT_ID)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Case)
    return found
