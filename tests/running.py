"""A whole dokreg, started as a person starts it: `manage.py up` with a data folder and a port of its own."""

import contextlib
import datetime as dt
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis
from celery import Celery

from tests import beside, prepared
from tests.forking import Forking

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 90.0
STOP_SECONDS = 60.0


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """The supervisor's process, what it printed, and what it runs."""

    def __init__(self, data: Path, *, is_fresh: bool = False, is_embedded: bool = False, **variables: str) -> None:
        """A fresh one has nothing yet, not even a database; an embedded one has its own, whatever is beside it."""
        self.data = data
        if beside.is_there() and not is_embedded and "DATABASE_URL" not in variables:
            name = beside.new_database(template="template0" if is_fresh else beside.PREPARED)
            variables = beside.variables(name, beside.new_broker()) | variables
        elif not is_fresh and not data.exists() and not any("KEY" in name or "_URL" in name for name in variables):
            prepared.copy_to(data)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # XDG_RUNTIME_DIR is left out: what stands there is as private as /tmp/dokreg-…, but may not exist in CI.
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "DOKREG_DATA": str(data),
            "DOKREG_BIND": f"127.0.0.1:{self.port}",
        } | variables
        self.lines: list[str] = []
        self._forking: Forking | None = None

    def start(self) -> "Running":
        """Start it, and wait until it says that it is ready."""
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.wait_for(lambda: "dokreg is ready" in self.output, "it to be ready")
        return self

    @property
    def output(self) -> str:
        return "".join(self.lines)

    @property
    def setup_link(self) -> str:
        """The one-time link that the terminal shows."""
        found = re.search(r"http://\S+/setup/\S+", self.output)
        assert found, self.output
        return found[0]

    def health(self) -> tuple[int, dict[str, object]]:
        """Status and body of /healthz."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz") as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def wait_until_healthy(self) -> None:
        self.wait_for(lambda: self.health()[0] == 200, "it to be healthy")

    def manage(self, *arguments: str, stdin: str = "") -> str:
        """Run a management command beside it; its output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment | {"DOKREG_ALLOW_LOOPBACK": "true"},
            input=stdin,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query of its database answers."""
        with contextlib.closing(self.database()) as database:
            rows: list[tuple[Any, ...]] = database.execute(self._spelt(statement), values).fetchall()
            return rows

    def column(self, statement: str, *values: object) -> list[Any]:
        """The first column of that."""
        return [row[0] for row in self.rows(statement, *values)]

    def change(self, statement: str, *values: object) -> int:
        """Change rows behind its back, such as a time that would have to be waited for; how many they were."""
        with contextlib.closing(self.database()) as database, database:
            return int(database.execute(self._spelt(statement), values).rowcount)

    @property
    def database_url(self) -> str:
        """Where its PostgreSQL is; empty for SQLite."""
        return self.environment.get("DATABASE_URL", "")

    def database(self) -> Any:
        """A new connection to its database."""
        if self.database_url:
            return psycopg.connect(self.database_url, options="-c timezone=UTC")
        return sqlite3.connect(self.data / "dokreg.sqlite3", timeout=60)

    def _spelt(self, statement: str) -> str:
        """SQLite's statement as this database wants it."""
        return statement.replace("%", "%%").replace("?", "%s") if self.database_url else statement

    def run_module(self, name: str, wanted: object) -> str:
        """Run a module of the tests that writes to its database, with something for stdin as JSON; what it printed."""
        environment = self.environment | {"DJANGO_SETTINGS_MODULE": "dokreg.settings", "DOKREG_ALLOW_LOOPBACK": "true"}
        if self._forking is None or self._forking.environment != environment:
            self._forking = Forking(environment)
        return self._forking.run(name, json.dumps(wanted))

    def send(self, task: str, *arguments: str) -> None:
        """Hand a task to its broker, as beat does it when its time has come."""
        with self._celery() as beside:
            beside.conf.task_default_queue = "default"
            beside.send_task(task, arguments, ignore_result=True)

    def takes_tasks(self, worker: str) -> bool:
        """Whether the worker of this name answers, which it does once it takes tasks as well."""
        with self._celery() as beside:
            return bool(beside.control.ping(destination=[worker], timeout=5))

    def _celery(self) -> Celery:
        return Celery("beside", broker=self.broker_url, set_as_current=False)

    @property
    def broker_url(self) -> str:
        """Where its broker is: a Redis beside it, or its own."""
        if url := self.environment.get("REDIS_URL"):
            return url
        found = re.search(r"/\S+broker\.sock", _command(self.service("broker.sock")))
        assert found, self.output
        return f"redis+socket://{found[0]}"

    def kill_broker(self) -> None:
        """As if it were killed; a Redis beside it loses what it had as well."""
        if "REDIS_URL" not in self.environment:
            self.service("broker.sock").kill()
            return
        with redis.Redis.from_url(self.broker_url) as client:
            client.flushdb()
            client.client_kill_filter(_type="normal", skipme=True)

    @contextlib.contextmanager
    def beside(self, *arguments: str) -> Iterator[psutil.Process]:
        """One more process of Celery with the same environment: `beside("beat")`, `beside("worker", …)`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "--app", "dokreg", "--quiet", *arguments],
            cwd=ROOT,
            env=self.environment | {"DOKREG_ALLOW_LOOPBACK": "true"},
            start_new_session=True,
        )
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            finally:
                process.kill()

    def processes(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def service(self, word: str) -> psutil.Process:
        """The oldest process whose command line has the word (such as `celery` or `broker.sock`), once there is one."""
        found: list[psutil.Process] = []

        def look() -> bool:
            found[:] = [process for process in self.processes()[1:] if word in _command(process)]
            return bool(found)

        self.wait_for(look, f"{word} to run")
        return min(found, key=lambda process: process.create_time())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=STOP_SECONDS)

    def wait_for(self, condition: object, what: str, seconds: float = START_SECONDS) -> None:
        """Wait until the condition holds; fails with the terminal's output otherwise."""
        assert callable(condition)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return
            assert self.process.poll() is None, f"it ended while waiting for {what}:\n{self.output}"
            time.sleep(0.1)
        raise AssertionError(f"waited {seconds} s for {what}:\n{self.output}")

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as terminal:
            for line in terminal:
                self.lines.append(line)


def moment(*, seconds_ago: float = 0) -> str:
    """A time as it stands in a statement for either database."""
    at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds_ago)
    return f"'{at:%Y-%m-%d %H:%M:%S.%f}'"


@contextlib.contextmanager
def running(data: Path, *, is_fresh: bool = False, is_embedded: bool = False, **variables: str) -> Iterator[Running]:
    """A dokreg that is gone when the block ends."""
    dokreg = Running(data, is_fresh=is_fresh, is_embedded=is_embedded, **variables)
    try:
        yield dokreg.start()
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            dokreg.stop()
        dokreg.process.kill()


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""  # ended meanwhile
