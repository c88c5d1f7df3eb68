"""`manage.py prepare`: whoever comes first prepares, the others wait and find it done."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.core.files.base import ContentFile

from dokreg.keys import new_key
from dokreg.management.commands.prepare import LOCK
from dokreg.static_files import StaticFiles
from tests.lab.daemons import wait_until
from tests.lab.postgres import Postgres
from tests.patience import SOON
from tests.running import ROOT

pytestmark = pytest.mark.once  # each of these has a database of its own, of either kind

AT_ONCE = 4
KEYS = {"DOKREG_SECRET_KEY": new_key(), "DOKREG_FERNET_KEYS": new_key()}


def start(data: Path, **variables: str) -> "subprocess.Popen[str]":
    environment = {"PATH": os.environ["PATH"], "DOKREG_DATA": str(data)} | variables
    command = [sys.executable, "manage.py", "prepare", "--facts"]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: "subprocess.Popen[str]") -> str:
    """What it said on both channels; it has to have succeeded."""
    said = "".join(process.communicate(timeout=120))
    assert process.returncode == 0, said
    return said


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    with postgres.database("prepared") as name:
        yield name


def prepared_once(postgres: Postgres, database: str) -> None:
    with postgres.connected(database) as connection:
        twice = connection.execute("SELECT app, name FROM django_migrations GROUP BY 1, 2 HAVING count(*) > 1")
        assert twice.fetchall() == []
        assert connection.execute("SELECT count(*) FROM dokreg_keycanary").fetchone() == (1,)


def test_an_empty_postgresql_is_migrated_once(postgres: Postgres, database: str, tmp_path: Path) -> None:
    started = [start(tmp_path / str(number), DATABASE_URL=postgres.url(database), **KEYS) for number in range(AT_ONCE)]
    for process in started:
        end(process)
    prepared_once(postgres, database)


def test_the_others_wait_for_the_first(postgres: Postgres, database: str, tmp_path: Path) -> None:
    with postgres.connected(database) as first:
        first.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        second = start(tmp_path / "data", DATABASE_URL=postgres.url(database), **KEYS)
        waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND pid <> pg_backend_pid()"
        asked = ["%pg_try_advisory_lock%"]
        wait_until(lambda: first.execute(waits, asked).fetchone() == (1,), "the second to ask")
        assert second.poll() is None
        assert first.execute("SELECT to_regclass('django_migrations')").fetchone() == (None,)
    assert "waits" in end(second)
    prepared_once(postgres, database)


def test_a_data_folder_is_prepared_once(tmp_path: Path) -> None:
    started = [start(tmp_path / "data") for _ in range(AT_ONCE)]
    for process in started:
        end(process)


def test_static_files_that_are_collected_already_are_left_alone(tmp_path: Path) -> None:
    """Also if the sources have other times, as in the layers of an image, and nothing may be written."""
    data, collected = tmp_path / "data", tmp_path / "collected"
    end(start(data, DOKREG_STATIC_ROOT=str(collected)))
    stamp = (collected / ".collected").stat().st_mtime_ns
    shutil.copystat(ROOT / "manage.py", collected / ".collected")
    other_times = (collected / ".collected").stat().st_mtime_ns
    end(start(data, DOKREG_STATIC_ROOT=str(collected)))
    assert (collected / ".collected").stat().st_mtime_ns == other_times != stamp
    assert not (data / "static").exists()


def test_nothing_that_lies_beside_the_static_files_is_deleted(tmp_path: Path) -> None:
    """What somebody else keeps there, or what the version before still serves."""
    data, collected = tmp_path / "data", tmp_path / "collected"
    collected.mkdir()
    (collected / "index.html").write_text("mine")
    for _ in range(2):
        end(start(data, DOKREG_STATIC_ROOT=str(collected)))
        assert (collected / "index.html").read_text() == "mine"
        assert list(collected.glob("dokreg.*.css"))
        (collected / ".collected").write_text("of another version")


def test_a_static_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """A full disk, or an end in the middle, leaves nothing under its name that the next start would keep."""

    class BreaksOff(ContentFile[bytes]):
        def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
            yield b"half"
            raise OSError(errno.ENOSPC, "No space left on device")

    static = StaticFiles(tmp_path)
    with pytest.raises(OSError, match="No space"):
        static.save("icons.svg", BreaksOff(b""))
    assert not static.exists("icons.svg")
    assert static.save("icons.svg", ContentFile(b"whole")) == "icons.svg"
    assert (tmp_path / "icons.svg").read_bytes() == b"whole"


def test_a_container_that_is_told_to_end_while_it_waits_ends_at_once(tmp_path: Path) -> None:
    """Its first process hears no signal that it does not ask for."""
    data = tmp_path / "data"
    data.mkdir()
    with (data / ".prepare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-m", "dokreg.start", "worker"]
        environment = {"PATH": os.environ["PATH"], "DOKREG_DATA": str(data)}
        with subprocess.Popen(command, cwd=ROOT, env=environment) as outside:
            (inside,) = children_once_there(outside.pid)
            children_once_there(inside.pid)
            inside.terminate()
            assert outside.wait(SOON) == 128 + signal.SIGTERM


def children_once_there(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    wait_until(lambda: bool(process.children()), f"a child of {process.cmdline()}")
    return process.children()


def test_a_database_that_is_away_is_said(tmp_path: Path) -> None:
    process = start(tmp_path / "data", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", **KEYS)
    said = "".join(process.communicate(timeout=120))
    assert process.returncode == 1
    assert "The database cannot be used" in said
