"""Fixtures: a Dokploy in a real PostgreSQL, and one behind a stand-in for its API, ready to be imported from."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from organisations.models import User
from tests.applications.dokploy_rows import Importer
from tests.importing import AUTH_SECRET
from tests.lab.dokploy import Dokploy, DokployApi
from tests.lab.postgres import Postgres

Fill = Callable[[Dokploy], Importer]
API_KEY = "marked-api-key"


@pytest.fixture
def new_importer(alice: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Importer]:
    """An importer that knows the key of the environments; further secrets stand in files as well."""

    def make(*where: str, **secrets: str) -> Importer:
        importer = Importer(monkeypatch, *where)
        for name, secret in {"DOKPLOY_ENCRYPTION_KEY": AUTH_SECRET, **secrets}.items():
            (tmp_path / name).write_text(secret + "\n")
            importer.set(**{f"{name}_FILE": tmp_path / name})
        return importer

    return make


@pytest.fixture
def dokploy_database(postgres: Postgres) -> Iterator[str]:
    with postgres.database("dokploy") as name:
        yield name


@pytest.fixture
def database_of(postgres: Postgres, dokploy_database: str, new_importer: Callable[..., Importer]) -> Fill:
    def fill(dokploy: Dokploy) -> Importer:
        with postgres.connected(dokploy_database) as connection:
            dokploy.fill(connection)
        url = postgres.url(dokploy_database, password="marked-database-password")
        return new_importer(DOKPLOY_DATABASE_URL=url)

    return fill


@pytest.fixture
def api() -> Iterator[DokployApi]:
    with DokployApi(key=API_KEY) as api:
        yield api


@pytest.fixture
def api_of(api: DokployApi, new_importer: Callable[..., Importer]) -> Fill:
    def fill(dokploy: Dokploy) -> Importer:
        api.dokploy = dokploy
        return new_importer("--api", api.url, DOKPLOY_API_KEY=API_KEY)

    return fill


@pytest.fixture(params=["database", "api"])
def importer_of(request: pytest.FixtureRequest, alice: User) -> Fill:
    """Both ways, one after the other: they have to come to the same."""
    fill: Fill = request.getfixturevalue(f"{request.param}_of")
    return fill
