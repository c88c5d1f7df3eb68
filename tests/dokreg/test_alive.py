"""`python -m dokreg.alive`: what a health check learns of each process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from dokreg import alive, places
from dokreg.places import data_folder, run_folder
from tests.running import ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the signs of life of an installation of its own lie."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("DOKREG_DATA", str(tmp_path / "data"))
    return run_folder(data_folder())


class Health(HTTPServer):
    """A web server that answers what it is told to."""

    status, body = 200, b""


class Answer(BaseHTTPRequestHandler):
    server: Health

    def do_GET(self) -> None:
        assert self.path == "/healthz?only=database"
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Health]:
    with Health(("127.0.0.1", 0), Answer) as server:
        monkeypatch.setenv("DOKREG_BIND", f"0.0.0.0:{server.server_port}")
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def checks(**others: str) -> bytes:
    return json.dumps({"status": "?", "checks": {"database": "ok", "worker": "ok"} | others}).encode()


@pytest.mark.parametrize("name", alive.HEARTS)
def test_a_process_lives_while_it_leaves_signs(name: str, folder: Path) -> None:
    assert "no sign of life yet" in alive.problem(name)
    alive.leave_sign(name, folder)
    assert alive.problem(name) == ""
    os.utime(folder / name, (0, 0))
    assert "no sign of life for" in alive.problem(name)
    alive.leave_sign(name, folder)
    assert alive.problem(name) == ""


def test_signs_are_left_in_no_folder_of_somebody_else(folder: Path) -> None:
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with pytest.raises(PermissionError, match="another user"):
        alive.leave_sign("worker", folder)


def test_a_sign_follows_no_link(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "worker").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        alive.leave_sign("worker", folder)
    assert not (tmp_path / "elsewhere").exists()


def test_web_is_well_if_it_has_its_database(web: Health) -> None:
    web.body = checks()
    assert alive.problem("web") == ""
    web.status, web.body = 503, checks(worker="No worker has been seen.")
    assert alive.problem("web") == ""  # to start the web server again would bring no worker back


def test_web_is_ill_without_its_database(web: Health) -> None:
    web.status, web.body = 503, checks(database="The database does not answer.")
    assert "The database does not answer." in alive.problem("web")


@pytest.mark.parametrize("body", [b"", b"<h1>Bad gateway</h1>", b"[]", b"{}", b'{"checks": 1}'])
def test_web_is_ill_if_something_else_answers(web: Health, body: bytes) -> None:
    web.body = body
    assert "something else" in alive.problem("web")


def test_web_is_ill_if_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOKREG_BIND", "127.0.0.1:1")
    assert "does not answer" in alive.problem("web")


def test_the_exit_status_says_it(folder: Path) -> None:
    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dokreg.alive", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert ask("worker").returncode == 1
    alive.leave_sign("worker", folder)
    assert ask("worker").returncode == 0
    unknown = ask("nobody")
    assert unknown.returncode == 1
    assert "web, worker, beat" in unknown.stdout


def test_a_check_loads_no_framework() -> None:
    """It runs twice a minute on every machine, beside every process."""
    loaded = "import sys, dokreg.alive; print('django' in sys.modules, 'celery' in sys.modules)"
    command = [sys.executable, "-c", loaded]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.split() == ["False", "False"]


def test_settings_may_stand_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "setting").write_text("[::1]:8000\n")
    monkeypatch.setenv("DOKREG_BIND_FILE", str(tmp_path / "setting"))
    monkeypatch.setenv("DOKREG_DATA_FILE", str(tmp_path / "setting"))
    monkeypatch.setenv("DOKREG_BIND", "")
    monkeypatch.setenv("DOKREG_DATA", "")
    assert places.bind() == "[::1]:8000"
    assert places.data_folder().name == "[::1]:8000"
    monkeypatch.delenv("DOKREG_BIND_FILE")
    monkeypatch.delenv("DOKREG_DATA_FILE")
    assert (places.bind(), places.data_folder()) == ("127.0.0.1:8000", Path("data").absolute())
