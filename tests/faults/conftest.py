"""One dokreg of many processes for all tests that break parts of it: to start it takes longer than most of them."""

from collections.abc import Iterator

import pytest

from tests.faults.cluster import Cluster, NoSsh
from tests.lab.aws import Aws
from tests.lab.postgres import Postgres
from tests.lab.redis import Redis
from tests.owner import Owner


@pytest.fixture(scope="session")
def mint() -> Iterator[Aws]:
    with Aws() as started:
        yield started


@pytest.fixture(scope="session")
def whole_cluster(tmp_path_factory: pytest.TempPathFactory, mint: Aws) -> Iterator[Cluster]:
    """Its PostgreSQL and its Redis are its own: they are broken, too."""
    folder = tmp_path_factory.mktemp("cluster", numbered=True)
    for path in (folder, folder.parent, folder.parent.parent):
        path.chmod(0o711)  # PostgreSQL is another user
    with Postgres(folder / "postgres") as postgres, Redis(folder / "redis") as redis:
        cluster = Cluster(folder / "data", postgres, redis, DOKREG_AWS_ENDPOINT_URL=mint.url)
        try:
            cluster.start()
            Owner(cluster)
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
