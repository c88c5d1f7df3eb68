"""PostgreSQL in the lab."""

import psutil
import psycopg
import pytest

from tests.lab import packages
from tests.lab.postgres import Postgres


def test_it_runs_as_nobody_and_on_no_network(postgres: Postgres) -> None:
    first = psutil.Process(postgres.pid)  # the others come and go, and have its user and its sockets
    assert first.username() == "nobody"
    assert first.net_connections("inet") == []


def test_a_database_is_there_for_one_test(postgres: Postgres) -> None:
    with postgres.database("passing") as name, postgres.connected(name) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("passing",)
    with pytest.raises(psycopg.OperationalError, match="does not exist"), postgres.connected("passing"):
        pass


def test_its_programs_are_found_where_debian_puts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "SEARCH_PATH", "/nowhere")
    for program in packages.PROGRAMS["postgresql"]:
        path = packages.find(program)
        assert path is not None
        assert path.is_relative_to(packages.VERSIONED)
