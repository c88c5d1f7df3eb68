"""Fixtures and helpers of the tests of exports: an organisation with one of everything, and an empty one."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from applications import saving
from applications.models import Application, Project
from organisations.models import Membership, Organisation, Role, User
from registries.models import Registry
from servers import keys
from servers.models import Server, SSHKey
from tests.applications.rows import make_application
from tests.importing import PAIR, Said, run
from tests.registries.rows import make_registry
from tests.servers.rows import HOST_KEY, make_key, make_server

PASSPHRASE = "marked correct horse battery"
ACCESS_KEY = "marked/secret+access+key/of/forty/letters"
ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
Change = Callable[[dict[str, Any]], object]
GivePassphrase = Callable[[str], None]
SETTINGS = {
    "ports": [{"host_ip": "127.0.0.1", "host_port": 5353, "container_port": 53, "protocol": "udp"}],
    "volumes": [{"source": "files", "target": "/files", "read_only": True}],
    "command": ["serve", "two words"],
    "restart_policy": "on-failure",
    "network": "shop",
    "health_command": "test -f /up",
    "health_interval_seconds": 30,
    "memory_mb": 256,
    "cpus": "0.5",
    "order": "stop_first",
    "settle_seconds": 7,
    "stop_seconds": 20,
    "poll_minutes": 5,
}


@pytest.fixture
def acme(organisation: Organisation, alice: User) -> Organisation:
    """An organisation with one of everything."""
    key = make_key(organisation, "deploy", PAIR)
    server = make_server(organisation, "web-1", host="2001:db8::5", port=2222, ssh_key=key, host_key=HOST_KEY)
    Server.objects.filter(pk=server.pk).update(description="In the cellar")
    ghcr = make_registry(
        organisation,
        alice,
        "GHCR / of Acme",
        kind="ghcr",
        url="ghcr.io",
        username="acme-bot",
        password="marked-registry-password",
        image_prefix="acme",
        server=server,
        secret_ends_on=dt.date(2027, 1, 31),
    )
    make_registry(
        organisation,
        alice,
        "ECR",
        kind="ecr",
        url=ECR,
        username="AWS",
        method="access_key",
        account={"access_key_id": "AKIAIOSFODNN7EXAMPLE", "role_arn": "", "external_id": ""},
        password=ACCESS_KEY,
    )
    web = make_application(organisation, server=server, registry=ghcr, image="web:1", name="web", **SETTINGS)
    saving.save_application(application=web, environment="TOKEN=marked-environment-value\nA='b # c'\n")
    make_application(organisation, server=server, registry=None, image="nginx:1", name="proxy")
    Project.objects.create(organisation=organisation, name="Empty", description="Nothing in it")
    return organisation


@pytest.fixture
def beta(alice: User) -> Organisation:
    """An empty organisation of the same owner."""
    beta = Organisation.objects.create(name="Beta", slug="beta")
    Membership.objects.create(organisation=beta, user=alice, role=Role.OWNER)
    return beta


@pytest.fixture
def passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GivePassphrase:
    def give(text: str) -> None:
        (tmp_path / "passphrase").write_text(text + "\n")
        monkeypatch.setenv("DOKREG_EXPORT_PASSPHRASE_FILE", str(tmp_path / "passphrase"))

    give(PASSPHRASE)
    return give


def export(*arguments: str) -> Said:
    return run("export", "--organisation", "acme", *arguments)


def exported(path: Path) -> Path:
    """A file with the secrets."""
    assert export("--with-secrets", str(path)).error == ""
    return path


def import_into(slug: str, path: Path, *arguments: str, by: str = "alice") -> Said:
    return run("import", str(path), "--organisation", slug, "--by", by, *arguments)


def tampered(path: Path, change: Change) -> Path:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


def secrets_of(organisation: Organisation) -> dict[str, str]:
    """Every secret of an organisation in clear; a private key by its public half, since it is written anew."""
    found = {registry.name: registry.open_password() for registry in Registry.objects.of(organisation)}
    for key in SSHKey.objects.of(organisation):
        found[key.name] = keys.read_private_key(key.private_key.reveal()).public
    for application in Application.objects.of(organisation):
        if application.environment is not None:
            found[application.name] = application.environment.reveal()
    return found
