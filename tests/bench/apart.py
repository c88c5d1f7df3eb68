"""A dokreg as processes of their own beside PostgreSQL and Redis, started with the commands that are shipped."""

import contextlib
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import psutil

from dokreg import keys
from dokreg.programs import WORKER_THREADS
from tests.lab.postgres import Postgres
from tests.lab.redis import Redis
from tests.running import ROOT, STOP_SECONDS, Running

START = [sys.executable, "-m", "dokreg.start"]


class Apart(Running):
    """One web server, some workers, one beat; `processes` are all of them."""

    def __init__(
        self, data: Path, *, database_url: str, redis_url: str, workers: int, threads: int, **variables: str
    ) -> None:
        secrets = {name: keys.new_key() for name in ("DOKREG_SECRET_KEY", "DOKREG_FERNET_KEYS")}
        urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "DOKREG_ALLOW_LOOPBACK": "true"}
        super().__init__(data, is_fresh=True, is_embedded=False, **(secrets | urls | variables))
        self.log = data.with_suffix(".log")
        self.workers_wanted, self.threads = workers, threads
        self.workers: list[psutil.Process] = []
        self._started: list[psutil.Process] = []

    def start(self) -> "Apart":
        """Start all, which one of them prepares for, and wait until the web server and every worker answer."""
        self.process = self._run("web")
        for number in range(self.workers_wanted):
            self._run("worker", "--hostname", f"worker{number}@%h", "--concurrency", str(self.threads))
        self._run("beat")
        self.web, *self.workers, self.beat = self._started
        self.wait_for(lambda: self._answers() and self._workers_alive() == self.workers_wanted, "all to answer")
        return self

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

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

    def _run(self, *words: str) -> "subprocess.Popen[str]":
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [*START, *words],
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
def apart(folder: Path, *, workers: int = 1, threads: int = WORKER_THREADS, **variables: str) -> Iterator[Apart]:
    """A dokreg with a PostgreSQL and a Redis of its own, gone when the block ends; so many threads in each worker."""
    with (
        Postgres(folder / "postgres") as postgres,
        Redis(folder / "redis") as redis,
        postgres.database("dokreg") as database,
    ):
        urls = {"database_url": postgres.url(database), "redis_url": redis.url}
        dokreg = Apart(folder / "data", **urls, workers=workers, threads=threads, **variables)
        try:
            yield dokreg.start()
        finally:
            dokreg.end()
