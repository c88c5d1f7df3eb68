"""An empty database gets its tables at once, older ones step by step: both come to the same in PostgreSQL's words."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import migrations, models
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.fields import AddField
from django.db.migrations.operations.models import CreateModel

from tests.dokreg.installations import on_postgres, on_sqlite
from tests.lab.postgres import Postgres
from tests.running import ROOT, Running

pytestmark = pytest.mark.once  # it has a PostgreSQL of its own

AT_ONCE = 4
# A past version's last steps: each app has some after these, and some before.
PAST = {
    "organisations": "0004_api_keys",
    "servers": "0003_config_turn",
    "registries": "0004_use_registry",
    "applications": "0001_applications",
}
# The last step of each app before the first release: nobody ran an older version beside any of them.
BEFORE_THE_FIRST_RELEASE = {
    "applications": 7,
    "dokreg": 1,
    "organisations": 7,
    "registries": 10,
    "servers": 6,
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
        with ThreadPoolExecutor(AT_ONCE) as processes:  # as many that start at once; one does it
            list(processes.map(lambda _: installation.manage("prepare"), range(AT_ONCE)))
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


def test_what_is_inserted_by_the_version_before_lacks_no_new_column() -> None:
    """It runs beside the new one during an upgrade, and names no column in its INSERTs that it does not know."""
    assert [field for migration in _since_the_first_release() for field in _lacking(migration)] == []


def test_it_would_lack_a_column_that_has_to_be_given() -> None:
    numbers: tuple[models.Field[Any, Any], ...] = (
        models.IntegerField(), models.IntegerField(default=1), models.IntegerField(null=True),
        models.IntegerField(db_default=1), models.IntegerField(default=1, db_default=1),
    )  # fmt: skip
    added = [migrations.AddField("server", f"n{index}", field) for index, field in enumerate(numbers)]
    apart = migrations.SeparateDatabaseAndState([AddField("server", "apart", models.TextField())])
    new = [CreateModel("Place", []), AddField("place", "name", models.TextField())]
    made_up = type("MadeUp", (Migration,), {"operations": [*added, apart, *new]})
    assert _lacking(made_up("0099_made_up", "servers")) == [
        "servers.0099_made_up: server.n0",
        "servers.0099_made_up: server.n1",
        "servers.0099_made_up: server.apart",
    ]


@pytest.mark.parametrize(("name", "is_later"), [("0006_by_age", False), ("0007_made_up", True), ("0010_made_up", True)])
def test_steps_are_later_by_their_number(name: str, is_later: bool) -> None:
    assert _is_later(Migration(name, "servers")) == is_later


def _since_the_first_release() -> list[Migration]:
    ours = {app.label for app in apps.get_app_configs() if Path(app.path).parent == ROOT}
    assert ours >= BEFORE_THE_FIRST_RELEASE.keys()
    every = MigrationLoader(None).disk_migrations.values()
    return [migration for migration in every if migration.app_label in ours and _is_later(migration)]


def _is_later(migration: Migration) -> bool:
    return int(migration.name[:4]) > BEFORE_THE_FIRST_RELEASE.get(migration.app_label, 0)


def _lacking(migration: Migration) -> list[str]:
    """The columns that it adds to older tables, and that a row can only have if the INSERT names them."""
    new = {operation.name_lower for operation in migration.operations if isinstance(operation, CreateModel)}
    return [
        f"{migration.app_label}.{migration.name}: {added.model_name}.{added.name}"
        for added in _added(migration.operations)
        if added.model_name_lower not in new
        and not (added.field.null or added.field.has_db_default() or added.field.many_to_many)
    ]


def _added(operations: Iterable[Any]) -> Iterator[AddField]:
    for operation in operations:
        if isinstance(operation, AddField):
            yield operation
        yield from _added(getattr(operation, "database_operations", ()))


def _empty(postgres: Postgres, name: str, folders: pytest.TempPathFactory) -> Running:
    keys_of = on_sqlite(folders.mktemp("keys") / "data")
    return on_postgres(folders.mktemp(name) / "data", postgres, name, keys_of=keys_of)


def _replacing(installation: Running) -> list[tuple[Any, ...]]:
    return installation.rows(f"{APPLIED} WHERE name LIKE '%squashed%'")


def _same(one: Running, other: Running, statement: str, *, at_least: int) -> None:
    found = sorted(one.rows(statement), key=str)
    assert found == sorted(other.rows(statement), key=str)
    assert len(found) >= at_least
