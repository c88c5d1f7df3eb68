"""A dokreg as processes of their own beside PostgreSQL and Redis, started with the commands of the README."""

import contextlib
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import psutil

from dokreg import keys
from tests.lab.postgres import Postgres
from tests.lab.redis import Redis
from tests.running import ROOT, STOP_SECONDS, Running

WEB = ["gunicorn", "dokreg.wsgi", "--worker-class", "gthread", "--threads", "64"]
WORKER = ["celery", "--app", "dokreg", "worker", "--queues", "default,ssh", "--pool", "threads", "--concurrency", "28"]
BEAT = ["celery", "--app", "dokreg", "beat"]


class Apart(Running):
    """One web server, some workers, one beat; `processes` are all of them."""

    def __init__(self, data: Path, *, database_url: str, redis_url: str, workers: int, **variables: str) -> None:
        secrets = {name: keys.new_key() for name in ("DOKREG_SECRET_KEY", "DOKREG_FERNET_KEYS")}
        urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "DOKREG_ALLOW_LOOPBACK": "true"}
        super().__init__(data, is_fresh=True, is_embedded=False, **(secrets | urls | variables))
        self.log = data.with_suffix(".log")
        self.workers_wanted = workers
        self.workers: list[psutil.Process] = []
        self._started: list[psutil.Process] = []

    def start(self) -> "Apart":
        """Start all, and wait until the web server and every worker answer."""
        self.manage("prepare")
        self._setup_link = self.manage("setup_link").strip()
        self.process = self._run([*WEB, "--bind", f"127.0.0.1:{self.port}"])
        for number in range(self.workers_wanted):
            self._run([*WORKER, "--hostname", f"worker{number}@%h"])
        self._run(BEAT)
        self.web, *self.workers, self.beat = self._started
        self.wait_for(lambda: self._answers() and self._workers_alive() == self.workers_wanted, "all to answer")
        return self

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def setup_link(self) -> str:
        return self._setup_link

    def processes(self) -> list[psutil.Process]:
        return [*self.web_processes(), *self.workers, self.beat]

    def web_processes(self) -> list[psutil.Process]:
        """gunicorn's master and its worker."""
        return [self.web, *self.web.children(recursive=True)]

    def end(self) -> None:
        """End all, at once."""
        for process in self._started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _gone, left = psutil.wait_procs(self._started, timeout=STOP_SECONDS)
        for process in left:
            process.kill()

    def _run(self, command: list[str]) -> "subprocess.Popen[str]":
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._started.append(psutil.Process(process.pid))
        return process

    def _answers(self) -> bool:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return self.health()[0] == 200
        return False

    def _workers_alive(self) -> int:
        with self._celery() as beside:
            return len(beside.control.ping(timeout=1) or [])


@contextlib.contextmanager
def apart(folder: Path, *, workers: int = 1, **variables: str) -> Iterator[Apart]:
    """A dokreg with a PostgreSQL and a Redis of its own, gone when the block ends."""
    with (
        Postgres(folder / "postgres") as postgres,
        Redis(folder / "redis") as redis,
        postgres.database("dokreg") as database,
    ):
        dokreg = Apart(
            folder / "data", database_url=postgres.url(database), redis_url=redis.url, workers=workers, **variables
        )
        try:
            yield dokreg.start()
        finally:
            dokreg.end()
