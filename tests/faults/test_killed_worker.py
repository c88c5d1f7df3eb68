"""A worker that is killed in the middle of a Test: the row says lost, and nothing is left anywhere."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dokreg.ids import new_id
from tests.lab.engine import Engine
from tests.lab.fixtures import NewServer
from tests.lab.registry import BasicRegistry
from tests.lab.sshd import Server, path_with_docker
from tests.lab.watch import SHARED_FOLDERS, files_with, new_files
from tests.owner import Owner
from tests.running import Running, running

SECRET = f"marked-{new_id()}"  # not a constant: the tests' own source may lie where they hunt
MEMORY = Path("/dev/shm")  # where the server keeps what a login needs
SLOW_LOGIN = """
case " $* " in *" login "*) sleep 6;; esac
exec "$docker" "$@"
"""


@pytest.fixture
def dokreg(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data") as started:
        started.wait_until_healthy()
        yield started


@pytest.fixture
def slow_server(new_server: NewServer, engine_one: Engine, tmp_path: Path) -> Server:
    """Its docker takes six seconds to log in, so that there is a middle to be killed in."""
    return new_server(engine_one, environment={"PATH": path_with_docker(tmp_path / "tools", SLOW_LOGIN)})


def folders_of_runs(dokreg: Running) -> list[Path]:
    """What this dokreg's runs have on the server at this moment; others may be at work on the same machine."""
    runs = dokreg.column("SELECT id FROM registries_registrytest")
    return [path for run in runs for path in MEMORY.glob(f"dokreg.{run}.*")]


def test_a_killed_worker_loses_the_run_and_leaves_nothing(
    dokreg: Running, slow_server: Server, lab_registry: BasicRegistry
) -> None:
    owner = Owner(dokreg)
    server_id = owner.add_server("slow", slow_server)
    with new_files(MEMORY, slow_server.home) as left:
        owner.test_draft(url=lab_registry.host, username="alice", password=SECRET, server=server_id)
        dokreg.wait_for(lambda: bool(folders_of_runs(dokreg)), "the login to begin")
        dokreg.service("celery").kill()
        dokreg.wait_for(
            lambda: dokreg.column("SELECT state FROM registries_registrytest") == ["lost"], "the sweep to notice"
        )
        dokreg.wait_for(lambda: not folders_of_runs(dokreg), "the folder to be gone")
        time.sleep(7)  # until what was started on the server has ended by itself, too
    assert left == []
    assert files_with(SECRET, *SHARED_FOLDERS, slow_server.home) == []
    assert dokreg.column("SELECT draft_password FROM registries_registrytest") == [None]
    page = owner.test_draft(url=lab_registry.host, username="alice", password=SECRET, server=server_id)
    assert 'data-state="failed"' in owner.ladder(page.match(r'hx-get="([^"]+)"'))


def test_a_worker_that_is_told_to_end_finishes_what_it_runs(
    dokreg: Running, slow_server: Server, lab_registry: BasicRegistry
) -> None:
    owner = Owner(dokreg)
    server_id = owner.add_server("slow", slow_server)
    owner.test_draft(url=lab_registry.host, username="alice", password=SECRET, server=server_id)
    dokreg.wait_for(lambda: bool(folders_of_runs(dokreg)), "the login to begin")
    assert dokreg.stop() == 0
    assert dokreg.column("SELECT state FROM registries_registrytest") == ["failed"]


def test_a_broker_that_is_killed_loses_no_click(
    dokreg: Running, server_one: Server, lab_registry: BasicRegistry
) -> None:
    owner = Owner(dokreg)
    server_id = owner.add_server("web-1", server_one)
    dokreg.kill_broker()
    page = owner.test_draft(url=lab_registry.host, username="alice", password="wrong", server=server_id)
    assert page.status == 200
    assert 'data-state="failed"' in owner.ladder(page.match(r'hx-get="([^"]+)"'), seconds=90)
