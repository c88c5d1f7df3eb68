"""How tests ask registries what they have."""

from collections.abc import Callable
from typing import Any

import pytest

from registries import kinds, registry_api
from registries.credentials import DockerLogin
from registries.registry_api import Access, NotAnswered
from servers.docker import Host, OwnHost, RemoteHost
from servers.models import Server as ServerRow
from servers.models import SSHKey
from tests.lab import sshd
from tests.lab.fixtures import ALICE
from tests.lab.impostors import (
    Behaviour,
    HttpImpostor,
)


def remote(server: sshd.Server) -> RemoteHost:
    key = SSHKey(public_key=server.public_key)
    key.private_key = server.private_key
    row = {"host": server.host, "port": server.port, "user": server.user, "host_key": server.host_key}
    return RemoteHost(ServerRow(name="web-1", ssh_key=key, **row))


def access(
    registry: str,
    *,
    host: Host | None = None,
    username: str = ALICE.username,
    password: str = ALICE.password,
    kind: str = "generic",
) -> Access:
    return Access(host or OwnHost(), kinds.get(kind), registry, DockerLogin(registry, username, password))


def anybody(registry: str, kind: str = "generic") -> Access:
    return Access(OwnHost(), kinds.get(kind), registry)


def refusal(function: Callable[..., Any], **arguments: Any) -> NotAnswered:
    with pytest.raises(NotAnswered) as refused:
        function(**arguments)
    return refused.value


def code_of(behaviour: Behaviour, function: Callable[..., Any] = registry_api.list_tags, **arguments: Any) -> str:
    """The code of what a registry with this behaviour is said to be."""
    with HttpImpostor(behaviour) as impostor:
        arguments = {"repository": "acme/web"} | arguments if function is registry_api.list_tags else arguments
        return refusal(function, access=access(impostor.host), **arguments).verdict.code


class Counting(OwnHost):
    """A host that counts what is connected through it, and where to."""

    def __init__(self, inner: Host) -> None:
        super().__init__()
        self.inner = inner
        self.asked: list[str] = []

    @property
    def connections(self) -> int:
        return len(self.asked)

    def connect(self, host: str, port: int, *, deadline: float) -> Any:
        self.asked.append(f"{host}:{port}")
        return self.inner.connect(host, port, deadline=deadline)
