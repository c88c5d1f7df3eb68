"""Registries, and servers of the lab, as a test needs them."""

from typing import Any

from organisations.models import Organisation, User
from registries import saving, testing
from registries.credentials import Credentials
from registries.models import Registry, RegistryTest
from servers.keys import KeyPair
from servers.models import Server
from tests.lab import sshd
from tests.servers.rows import make_key, make_server


def make_registry(organisation: Organisation, by: User, name: str = "Images", **values: Any) -> Registry:
    """A saved registry."""
    values = {"kind": "generic", "url": "registry.example.com", "username": "robot"} | values
    password = values.pop("password", "s3cret")
    registry = Registry(organisation=organisation, name=name, **values)
    saving.save_registry(registry=registry, password=password, by=by)
    return registry


def lab_server(organisation: Organisation, server: sshd.Server, **values: Any) -> Server:
    """The row of a server of the lab, with its host key confirmed."""
    name = values.pop("name", f"server-{server.port}")
    key = make_key(organisation, f"key of {name}", KeyPair(private=server.private_key, public=server.public_key))
    values = {"host": server.host, "port": server.port, "user": server.user, "host_key": server.host_key} | values
    return make_server(organisation, name, ssh_key=key, **values)


def run_test(credentials: Credentials, *, server: Server | None, by: User, image: str = "") -> RegistryTest:
    """Test credentials as the button Test does, in this process; the row when it is over."""
    organisation = by.organisations.get()
    test = testing.ask_for_draft(
        organisation=organisation, credentials=credentials, server=server, image=image, asked_by=by
    )
    testing.run(test.pk)
    test.refresh_from_db()
    return test


def states(test: RegistryTest) -> dict[str, str]:
    """Rung → state."""
    return {rung["name"]: rung["state"] for rung in test.rungs}
