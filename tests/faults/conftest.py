"""One dokreg of many processes for all tests that break parts of it: to start it takes longer than most of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster, NoSsh
from tests.faults.machines import Machine, NewMachine
from tests.lab.aws import Aws
from tests.lab.engine import Engine
from tests.lab.fixtures import NewFolder, NewServer
from tests.lab.postgres import Postgres
from tests.lab.redis import Redis
from tests.owner import Owner


@pytest.fixture(scope="session")
def mint() -> Iterator[Aws]:
    with Aws() as started:
        yield started


@pytest.fixture(scope="session")
def whole_cluster(lab_folder: Path, mint: Aws) -> Iterator[Cluster]:
    """Its PostgreSQL and its Redis are its own: they are broken, too."""
    folder = lab_folder / "cluster"
    folder.mkdir()
    folder.chmod(0o711)  # PostgreSQL is another user
    # So few that who waits cannot keep one.
    settings = {"DOKREG_AWS_ENDPOINT_URL": mint.url, "DOKREG_DATABASE_CONNECTIONS": "4"}
    with Postgres(folder / "postgres") as postgres, Redis(folder / "redis") as redis:
        cluster = Cluster(folder / "data", postgres, redis, **settings)
        try:
            cluster.start()
            cluster.owner = Owner(cluster)
            yield cluster
        finally:
            cluster.end()


@pytest.fixture
def cluster(whole_cluster: Cluster) -> Cluster:
    """With all of its processes, whatever the test before has done to them."""
    whole_cluster.make_whole()
    return whole_cluster


@pytest.fixture(scope="session")
def nowhere() -> Iterator[NoSsh]:
    with NoSsh() as started:
        yield started


@pytest.fixture
def new_machine(new_folder: NewFolder, new_server: NewServer, engine_one: Engine) -> NewMachine:
    return lambda: Machine(new_folder(), new_server, engine_one)
