"""Backup and restore: what is in the file, what comes back, and what is refused."""

import contextlib
import itertools
import json
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dokreg import keys
from tests.dokreg.installations import contents, fill, on_postgres, on_sqlite, refusal, repacked, unpack
from tests.lab.postgres import Postgres
from tests.running import ROOT, Running, running

pytestmark = pytest.mark.once  # both databases are in here
RECORDED = "organisations.AuditEntry"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Running:
    installation = on_sqlite(tmp_path_factory.mktemp("filled") / "data")
    fill(installation)
    return installation


@pytest.fixture(scope="module")
def backup(filled: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("backup") / "dokreg.tar.gz"
    filled.manage("backup", str(file))
    return file


@pytest.fixture
def other(tmp_path: Path) -> Running:
    """Another installation with the same keys."""
    return on_sqlite(tmp_path / "other")


def without_record(found: dict[str, Any]) -> dict[str, Any]:
    """Without the entries that say of a restore."""
    entries = {pk: row for pk, row in found[RECORDED].items() if row["event"] != "restored a backup"}
    return found | {RECORDED: entries}


def test_there_is_a_row_of_everything(filled: Running) -> None:
    """Else the tests below would say nothing about what is missing here."""
    empty = {label for label, rows in contents(filled).items() if not rows}
    assert empty == {
        "dokreg.Heartbeat", "organisations.SetupLink", "registries.Draft", "sessions.Session",  # they do not come back
        "admin.LogEntry", "auth.Group_permissions", "axes.AccessAttemptExpiration", "axes.AccessFailureLog",
    }  # fmt: skip


def test_from_sqlite_to_postgresql_and_back_everything_stays(
    filled: Running, backup: Path, other: Running, postgres: Postgres, tmp_path: Path
) -> None:
    with postgres.database("grown") as name:
        grown = on_postgres(tmp_path / "grown", postgres, name, keys_of=filled)
        assert "are restored" in grown.manage("restore", str(backup))
        there = contents(grown)
        grown.manage("backup", str(tmp_path / "second.tar.gz"))
        added = grown.run_module("tests.dokreg.adding", None)
        assert "are restored" in grown.manage("restore", "--replace", str(tmp_path / "second.tar.gz"))
        again = contents(grown)
    assert "are restored" in other.manage("restore", str(tmp_path / "second.tar.gz"))
    assert without_record(there) == without_record(again) == without_record(contents(other)) == contents(filled)
    assert json.loads(added) == {"new": True}


def test_what_is_restored_is_in_the_audit_trail(backup: Path, other: Running) -> None:
    other.manage("restore", str(backup))
    assert other.column("SELECT COUNT(*) FROM organisations_auditentry WHERE event = 'restored a backup'") == [1]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_taken_under_writes_is_of_one_moment(kind: str, postgres: Postgres, tmp_path: Path) -> None:
    with (
        postgres.database("written_to") as name,
        running(tmp_path / "data", is_embedded=True, **variables_of(kind, postgres.url(name))) as dokreg,
    ):
        dokreg.wait_until_healthy()
        with writing_pairs(dokreg):
            dokreg.wait_for(lambda: number_of_pairs(dokreg) > 20, "pairs to be written")
            dokreg.manage("backup", str(tmp_path / "b.tar.gz"))
            during = number_of_pairs(dokreg)
            dokreg.wait_for(lambda: number_of_pairs(dokreg) > during, "writing to go on")
    with contextlib.closing(sqlite3.connect(unpack(tmp_path / "b.tar.gz", tmp_path))) as found:
        first = set(found.execute("SELECT name FROM dokreg_heartbeat WHERE name LIKE 'pair %'"))
        second = set(found.execute("SELECT session_key FROM django_session WHERE session_key LIKE 'pair %'"))
        assert found.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert first == second
    assert 20 < len(first) <= during


def variables_of(kind: str, url: str) -> dict[str, Any]:
    """Without any it is SQLite, and the keys lie in the data folder."""
    if kind == "sqlite":
        return {}
    return {"DATABASE_URL": url, "DOKREG_SECRET_KEY": keys.new_key(), "DOKREG_FERNET_KEYS": keys.new_key()}


@contextlib.contextmanager
def writing_pairs(dokreg: Running) -> Iterator[None]:
    """Two rows in each transaction, as fast as it goes: in the tables that are read first and last, or nearly so."""
    is_over = threading.Event()

    def write() -> None:
        with contextlib.closing(dokreg.database()) as database:
            for number in itertools.count():
                if is_over.is_set():
                    return
                for table, columns, values in (
                    ("dokreg_heartbeat", "name, at", f"'pair {number}', '2100-01-01'"),
                    ("django_session", "session_key, expire_date, session_data", f"'pair {number}', '2100-01-01', ''"),
                ):
                    database.execute(f"INSERT INTO {table} ({columns}) VALUES ({values})")
                database.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        is_over.set()
        writer.join()


def number_of_pairs(dokreg: Running) -> int:
    return int(dokreg.column("SELECT COUNT(*) FROM dokreg_heartbeat WHERE name LIKE 'pair %'")[0])


def test_the_file_is_its_owners_and_nothing_is_left_beside_it(filled: Running, tmp_path: Path) -> None:
    before = sorted(path.name for path in filled.data.iterdir())
    file = tmp_path / "dokreg.tar.gz"
    file.write_text("what was there before")
    file.chmod(0o644)
    filled.manage("backup", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert sorted(path.name for path in filled.data.iterdir()) == before


def test_neither_secrets_nor_keys_are_in_the_file(filled: Running, backup: Path, tmp_path: Path) -> None:
    unpack(backup, tmp_path)
    every = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    secrets = [(filled.data / "keys" / name).read_bytes().strip() for name in ("secret_key", "fernet_keys")]
    assert [secret for secret in (*secrets, "🐋 word".encode(), b"KEY=VALUE") if secret in every] == []


def test_it_goes_through_pipes(filled: Running, other: Running) -> None:
    made = subprocess.run(
        [sys.executable, "manage.py", "backup", "-"], cwd=ROOT, env=filled.environment, capture_output=True, check=True
    )
    restored = subprocess.run(
        [sys.executable, "manage.py", "restore", "-"],
        cwd=ROOT,
        env=other.environment,
        input=made.stdout,
        capture_output=True,
        check=True,
    )
    assert b"are restored" in restored.stdout
    assert other.column("SELECT username FROM organisations_user ORDER BY username") == ["alice", "bob"]


def test_a_file_that_cannot_be_written_is_named(filled: Running, tmp_path: Path) -> None:
    said = refusal(filled, "backup", str(tmp_path / "nowhere" / "dokreg.tar.gz"))
    assert "No such file or directory" in said
    assert "There is no backup" in said


def test_with_other_keys_it_is_refused_and_nothing_changes(backup: Path, tmp_path: Path) -> None:
    stranger = Running(tmp_path / "stranger", is_embedded=True, DOKREG_FERNET_KEYS=keys.new_key())
    stranger.manage("prepare")
    before = contents(stranger)
    assert "None of the present keys opens" in refusal(stranger, "restore", str(backup))
    assert contents(stranger) == before


def test_an_installation_begun_with_other_keys_can_be_restored_with_the_right_ones(
    filled: Running, backup: Path, tmp_path: Path
) -> None:
    begun = Running(tmp_path / "begun", is_embedded=True, DOKREG_FERNET_KEYS=keys.new_key())
    begun.manage("prepare")
    begun.environment["DOKREG_FERNET_KEYS"] = (filled.data / "keys" / "fernet_keys").read_text().strip()
    said = begun.manage("restore", str(backup))
    assert "The secret key is another one" in said
    assert contents(begun)["registries.Registry"] == contents(filled)["registries.Registry"]


def test_a_backup_can_be_taken_whatever_the_keys_are(tmp_path: Path) -> None:
    """Such as before a restore replaces what the present keys do not open."""
    begun = Running(tmp_path / "begun", is_embedded=True, DOKREG_FERNET_KEYS=keys.new_key())
    begun.manage("prepare")
    begun.environment["DOKREG_FERNET_KEYS"] = keys.new_key()
    begun.manage("backup", str(tmp_path / "b.tar.gz"))
    assert (tmp_path / "b.tar.gz").stat().st_size > 0


def test_a_data_folder_that_nothing_can_be_written_to_is_named(filled: Running, backup: Path, tmp_path: Path) -> None:
    data = tmp_path / "read-only"
    shutil.copytree(filled.data, data)
    with mounted_read_only(data):
        for words in (
            ["backup", str(tmp_path / "b.tar.gz")],
            ["restore", str(backup)],
            ["restore", "--check", str(backup)],
        ):
            said = refusal(on_sqlite(data), *words)
            assert f"{data} cannot be written to: Read-only file system." in said
            assert "Traceback" not in said


@contextlib.contextmanager
def mounted_read_only(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("app", ["shop", "organisations"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_database_of_another_application_is_left_as_it_is(
    kind: str, app: str, filled: Running, backup: Path, postgres: Postgres, tmp_path: Path
) -> None:
    with postgres.database("others") as name:
        others = (
            on_sqlite(tmp_path / "others")
            if kind == "sqlite"
            else on_postgres(tmp_path / "others", postgres, name, keys_of=filled)
        )
        for table in ("django_migrations", "django_session", "servers_inventory"):
            others.change(f"DROP TABLE IF EXISTS {table}")
        others.change("CREATE TABLE django_migrations (id integer, app text, name text, applied text)")
        for number, label in enumerate((app, "staff")):
            others.change("INSERT INTO django_migrations VALUES (?, ?, '0001_initial', '2030-01-01')", number, label)
        others.change("CREATE TABLE servers_inventory (id integer)")
        for how in ("--replace", "--check"):
            assert "belongs to another application" in refusal(others, "restore", how, str(backup))
        assert others.column("SELECT app FROM django_migrations ORDER BY id") == [app, "staff"]


def test_a_table_of_somebody_else_beside_dokregs_stays(
    filled: Running, backup: Path, postgres: Postgres, tmp_path: Path
) -> None:
    with postgres.database("beside") as name:
        beside = on_postgres(tmp_path / "beside", postgres, name, keys_of=filled)
        beside.manage("restore", str(backup))
        beside.change("CREATE TABLE servers_inventory (id integer)")
        beside.change("INSERT INTO servers_inventory VALUES (7)")
        beside.manage("restore", "--replace", str(backup))
        assert beside.column("SELECT id FROM servers_inventory") == [7]


def test_tables_that_a_later_version_has_go_with_the_rest(
    filled: Running, backup: Path, postgres: Postgres, tmp_path: Path
) -> None:
    """Its own, and those of a package that it has in a later version; else its next migration would find them there."""
    with postgres.database("later") as name:
        later = on_postgres(tmp_path / "later", postgres, name, keys_of=filled)
        later.manage("restore", str(backup))
        for app, of in (("servers", "servers_server"), ("axes", "axes_accessattempt")):
            later.change("INSERT INTO django_migrations (app, name, applied) VALUES (?, '9999_later', now())", app)
            later.change(f"CREATE TABLE {app}_later AS SELECT id FROM {of}")
        later.change("ALTER TABLE axes_later ADD FOREIGN KEY (id) REFERENCES axes_accessattempt (id)")
        later.manage("restore", "--replace", str(backup))
        tables = later.column("SELECT table_name FROM information_schema.tables")
        assert {"axes_accessattempt", "servers_server"} <= set(tables)
        assert {"axes_later", "servers_later"}.isdisjoint(tables)


def test_what_somebody_has_set_up_is_replaced_only_if_that_is_asked_for(backup: Path, other: Running) -> None:
    fill(other)
    before = contents(other)
    said = refusal(other, "restore", str(backup))
    assert "--replace" in said
    assert contents(other) == before
    other.manage("restore", "--replace", str(backup))
    assert contents(other)["registries.Registry"].keys().isdisjoint(before["registries.Registry"])


def test_a_check_changes_nothing(backup: Path, other: Running) -> None:
    before = contents(other)
    assert "could be restored here" in other.manage("restore", "--check", str(backup))
    assert contents(other) == before


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_of_a_newer_version_is_refused_and_its_database_can_be_replaced(
    kind: str, filled: Running, backup: Path, postgres: Postgres, tmp_path: Path
) -> None:
    """The second is the way back after an update that did not go well."""
    with postgres.database("newer") as name:
        newer = (
            on_sqlite(tmp_path / "newer")
            if kind == "sqlite"
            else on_postgres(tmp_path / "newer", postgres, name, keys_of=filled)
        )
        newer.manage("restore", str(backup))
        newer.change(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('registries', '9999_later', '2030-01-01')"
        )
        newer.change("ALTER TABLE registries_registry ADD COLUMN later integer")
        newer.change("CREATE TABLE registries_later (id integer)")
        if kind == "sqlite":
            newer.manage("backup", str(tmp_path / "newer.tar.gz"))
            said = refusal(filled, "restore", "--replace", str(tmp_path / "newer.tar.gz"))
            assert "registries.9999_later" in said
        else:
            assert "of another version" in refusal(newer, "backup", str(tmp_path / "newer.tar.gz"))
        newer.manage("restore", "--replace", str(backup))
        assert newer.column("SELECT COUNT(*) FROM django_migrations WHERE name = '9999_later'") == [0]
        assert without_record(contents(newer)) == contents(filled)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_of_an_older_version_is_brought_up_to_this_one(
    kind: str, filled: Running, backup: Path, other: Running, postgres: Postgres, tmp_path: Path
) -> None:
    other.manage("restore", str(backup))
    other.run_module("tests.dokreg.older", {"applications": "0003_order_and_signatures"})
    assert "description" not in str(other.rows("SELECT sql FROM sqlite_master WHERE name = 'applications_application'"))
    other.manage("backup", str(tmp_path / "older.tar.gz"))
    with postgres.database("younger") as name:
        younger = (
            on_sqlite(tmp_path / "younger")
            if kind == "sqlite"
            else on_postgres(tmp_path / "younger", postgres, name, keys_of=filled)
        )
        younger.manage("restore", str(tmp_path / "older.tar.gz"))
        assert younger.column("SELECT description FROM applications_application") == [""]
        assert "No planned migration operations" in younger.manage("migrate", "--plan")


def test_what_is_no_backup_is_refused_and_nothing_changes(backup: Path, other: Running, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(backup.read_bytes()[:-2000])
    assert "This is no backup of dokreg, or it is cut off" in refusal(other, "restore", str(cut))
    missing = repacked(backup, tmp_path, rows={"organisations_user": 3})
    assert "rows are missing" in refusal(other, "restore", str(missing))
    assert other.column("SELECT COUNT(*) FROM organisations_user") == [0]


def test_what_a_killed_process_left_is_removed_by_the_next(filled: Running, backup: Path, other: Running) -> None:
    left = other.data / ".staging-left"
    left.mkdir()
    (left / "dokreg.sqlite3").write_text("half of it")
    other.manage("restore", "--check", str(backup))
    assert not left.exists()
