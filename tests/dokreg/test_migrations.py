"""An empty database gets its tables at once, older ones step by step: both come to the same in PostgreSQL's words."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.dokreg.installations import on_postgres, on_sqlite
from tests.lab.postgres import Postgres
from tests.running import Running

pytestmark = pytest.mark.once  # it has a PostgreSQL of its own

# A past version's last steps: each app has some after these, and some before.
PAST = {
    "organisations": "0004_api_keys",
    "servers": "0003_config_turn",
    "registries": "0004_use_registry",
    "applications": "0001_applications",
}
COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
    pg_get_expr(d.adbin, d.adrelid), col.collname
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation col ON col.oid = a.attcollation
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
"""
INDEXES = """
SELECT x.indrelid::regclass::text, i.relname, pg_get_indexdef(x.indexrelid)
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE i.relnamespace = 'public'::regnamespace
"""
CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, contype, condeferrable, condeferred, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
"""
APPLIED = "SELECT app, name FROM django_migrations"


@pytest.fixture(scope="module")
def at_once(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with postgres.database("at_once") as name:
        installation = _empty(postgres, name, tmp_path_factory)
        installation.manage("prepare")
        yield installation


@pytest.fixture(scope="module")
def step_by_step(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A past version's database, after an upgrade."""
    with postgres.database("step_by_step") as name:
        installation = _empty(postgres, name, tmp_path_factory)
        installation.run_module("tests.dokreg.older", PAST)
        applied = installation.rows(APPLIED)
        assert set(PAST.items()) < set(applied)
        assert not {("servers", "0004_descriptions"), *_replacing(installation)} & set(applied)
        installation.manage("prepare")
        yield installation


def test_both_ways_lead_to_the_same_columns(at_once: Running, step_by_step: Running) -> None:
    _same(at_once, step_by_step, COLUMNS, at_least=300)


def test_both_ways_lead_to_the_same_indexes(at_once: Running, step_by_step: Running) -> None:
    _same(at_once, step_by_step, INDEXES, at_least=100)


def test_both_ways_lead_to_the_same_constraints(at_once: Running, step_by_step: Running) -> None:
    _same(at_once, step_by_step, CONSTRAINTS, at_least=100)


def test_both_have_every_step_noted_and_what_replaces_it(at_once: Running, step_by_step: Running) -> None:
    """So that the steps can go one day."""
    _same(at_once, step_by_step, APPLIED, at_least=70)
    assert len(_replacing(at_once)) == len(PAST)


def test_what_replaces_them_is_noted_where_nothing_is_to_be_done(step_by_step: Running) -> None:
    """The version before this one has made every step already."""
    before = sorted(step_by_step.rows(APPLIED))
    assert step_by_step.change("DELETE FROM django_migrations WHERE name LIKE '%squashed%'") == len(PAST)
    step_by_step.manage("prepare")
    assert sorted(step_by_step.rows(APPLIED)) == before


def _empty(postgres: Postgres, name: str, folders: pytest.TempPathFactory) -> Running:
    keys_of = on_sqlite(folders.mktemp("keys") / "data")
    return on_postgres(folders.mktemp(name) / "data", postgres, name, keys_of=keys_of)


def _replacing(installation: Running) -> list[tuple[Any, ...]]:
    return installation.rows(f"{APPLIED} WHERE name LIKE '%squashed%'")


def _same(one: Running, other: Running, statement: str, *, at_least: int) -> None:
    found = sorted(one.rows(statement), key=str)
    assert found == sorted(other.rows(statement), key=str)
    assert len(found) >= at_least
