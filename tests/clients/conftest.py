"""A whole dokreg, a registry and servers of the lab, and the clients that speak to it: one of each for the run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import mcp as mcp_server
from tests.clients.calling import MARK, PACKAGES, ROBOT, Client, NewSite, Site
from tests.clients.cli import Cli
from tests.clients.dokli import Dokli
from tests.clients.mcp import Mcp
from tests.clients.sdk import Sdk
from tests.lab import sshd
from tests.lab.engine import Engine
from tests.lab.registry import BasicRegistry
from tests.owner import Owner
from tests.program import key_of
from tests.running import Running, running

LONG_ENOUGH = 40  # shorter lines of a private key could stand anywhere by chance


@pytest.fixture(scope="session")
def registry(lab_folder: Path) -> Iterator[BasicRegistry]:
    """Its one account has a marked password."""
    with BasicRegistry(lab_folder / "registry-of-clients", [ROBOT]) as started:
        yield started


@pytest.fixture(scope="session")
def dokreg(tmp_path_factory: pytest.TempPathFactory, engine_one: Engine) -> Iterator[Running]:
    """Its own host has Docker."""
    with running(tmp_path_factory.mktemp("dokreg") / "data", DOCKER_HOST=engine_one.url) as started:
        started.wait_until_healthy()
        yield started


@pytest.fixture(scope="session")
def owner(dokreg: Running) -> Owner:
    return Owner(dokreg)


@pytest.fixture(scope="session")
def key(dokreg: Running, owner: Owner) -> str:
    return key_of(dokreg)


@pytest.fixture(scope="session")
def server(owner: Owner, server_two: sshd.Server) -> str:
    """The id of a server whose host key is confirmed."""
    return owner.add_server("web-1", server_two)


@pytest.fixture(scope="session")
def new_site(dokreg: Running, key: str, server_one: sshd.Server, tmp_path_factory: pytest.TempPathFactory) -> NewSite:
    """Folders for clients: `new_site()`, or with a key that does not work."""
    if not PACKAGES.is_dir():
        pytest.fail("The clients are not installed: make .venv/.installed-clients")
    lines = [line for line in server_one.private_key.splitlines() if len(line) >= LONG_ENOUGH]

    def make(key: str = key) -> Site:
        return Site(dokreg, key, tmp_path_factory.mktemp("site"), secrets=[MARK, key, *lines])

    return make


@pytest.fixture(scope="session")
def cli(new_site: NewSite) -> Cli:
    return Cli(new_site())


@pytest.fixture(scope="session")
def mcp(new_site: NewSite) -> Iterator[Mcp]:
    with mcp_server.talking(new_site()) as talking:
        yield talking


@pytest.fixture(scope="session")
def sdk(new_site: NewSite) -> Sdk:
    return Sdk(new_site())


@pytest.fixture(scope="session")
def dokli(new_site: NewSite) -> Dokli:
    return Dokli(new_site())


@pytest.fixture(params=["cli", "mcp", "sdk", "dokli"])
def client(request: pytest.FixtureRequest) -> Client:
    """Each of them in turn."""
    found: Client = request.getfixturevalue(request.param)
    return found
