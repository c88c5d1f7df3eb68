"""`manage.py up`: from nothing to the first page, and back to nothing."""

import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.running import ROOT, Running, running

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def dokreg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("up") / "data", is_fresh=True, is_embedded=True) as started:
        started.wait_until_healthy()
        yield started


def refused(started: Running) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=started.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    return done.stdout + done.stderr


def test_health_says_what_was_checked(dokreg: Running) -> None:
    assert dokreg.health() == (
        200, {"status": "ok", "checks": {"database": "ok", "broker": "ok", "worker": "ok", "beat": "ok"}},
    )  # fmt: skip


def test_keys_and_database_are_their_owners_alone(dokreg: Running) -> None:
    private = [dokreg.data / name for name in ("keys/secret_key", "keys/fernet_keys", "dokreg.sqlite3")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert {stat.S_IMODE((dokreg.data / name).stat().st_mode) for name in (".", "keys", "broker")} == {0o700}


def test_the_broker_listens_on_no_network(dokreg: Running) -> None:
    broker = dokreg.service("broker.sock")
    assert [c for c in broker.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN] == []


def test_a_second_one_on_the_same_data_is_refused(dokreg: Running) -> None:
    assert "already runs with the data folder" in refused(dokreg)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    other = Running(tmp_path / "data")
    with socket.create_server(("127.0.0.1", other.port)):
        assert f"127.0.0.1:{other.port} cannot be listened on" in refused(other)


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file stands where the folder should be")
    assert "is not writable" in refused(Running(tmp_path / "data"))


def test_a_file_for_its_data_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    said = refused(Running(tmp_path / "data", DOKREG_DATA_FILE="/nowhere/at-all"))
    assert "DOKREG_DATA: [Errno 2] No such file or directory: '/nowhere/at-all'" in said
    assert "Traceback" not in said


def test_whether_loopback_is_allowed_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "allowed").write_text("perhaps")
    said = refused(Running(tmp_path / "data", DOKREG_ALLOW_LOOPBACK_FILE=str(tmp_path / "allowed")))
    assert "DOKREG_ALLOW_LOOPBACK: write true or false." in said
    assert "both set" not in said


def test_a_service_that_dies_is_started_again(dokreg: Running) -> None:
    for word in ("broker.sock", "celery"):
        died = dokreg.service(word)
        died.kill()
        dokreg.wait_for(lambda: not died.is_running(), "it to be gone")  # noqa: B023 - called before the next turn
        dokreg.wait_until_healthy()
        assert dokreg.service(word).pid != died.pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_and_starts_again(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path / "data") as first:
        processes = first.processes()
        assert first.stop(number) == 0
        assert [process for process in processes if process.is_running()] == []
        assert "Traceback" not in first.output
        link = first.setup_link
    with running(tmp_path / "data") as second:
        assert second.setup_link != link


def test_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path / "data", is_embedded=True) as started:
        children = started.processes()[1:]
        started.process.kill()
        psutil.wait_procs(children, timeout=30)
        assert [process for process in children if process.is_running()] == []


def test_wrong_keys_are_refused_and_change_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "data", is_embedded=True) as started:
        started.stop()
    keys = tmp_path / "data/keys/fernet_keys"
    right = keys.read_text()
    keys.write_text("A" * 43 + "\n")
    database = tmp_path / "data/dokreg.sqlite3"
    before = list(sqlite3.connect(database).iterdump())
    assert "None of the keys" in refused(Running(tmp_path / "data", is_embedded=True))
    assert list(sqlite3.connect(database).iterdump()) == before
    keys.write_text(right)
    with running(tmp_path / "data", is_embedded=True) as again:
        assert again.process.poll() is None


def test_health_says_what_is_wrong(tmp_path: Path) -> None:
    with running(tmp_path / "data", is_embedded=True) as started:
        started.wait_until_healthy()
        worker = started.service("celery")
        worker.suspend()
        for child in worker.children(recursive=True):
            child.suspend()
        started.change("UPDATE dokreg_heartbeat SET at = '2020-01-01 00:00:00'")
        status, body = started.health()
        assert (status, body["status"]) == (503, "error")
        assert "No worker has been seen" in str(body["checks"])
        worker.resume()
