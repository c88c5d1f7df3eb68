"""A dokreg of many processes: web servers, workers and beats beside a PostgreSQL and a Redis, each to be killed alone.

A worker can stand in namespaces of its own: for dokreg it is then on another machine.
"""

import contextlib
import itertools
import json
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import NamedTuple, Self

import psutil
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from dokreg import keys, programs
from tests.lab.impostors import TcpImpostor
from tests.lab.postgres import Postgres
from tests.lab.redis import Redis
from tests.owner import PASSWORD, Owner
from tests.running import ROOT, START_SECONDS, Running, free_port
from tests.visitor import Visitor

MACHINE = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
NAMED = ["sh", "-c", 'hostname "$0" && exec "$@"']
WORKERS, BEATS, THREADS = 4, 2, 8
AWAY = 503
ATTEMPTS = 5


class Count(NamedTuple):
    """What became of all that was asked for; `doubled` was done more than once."""

    asked: int
    done: int
    lost: int = 0
    doubled: int = 0


class NoSsh(TcpImpostor):
    """Accepts connections on every loopback address, keeps each for a while, and is no SSH server."""

    def __init__(self, *, seconds: float = 0.3) -> None:
        super().__init__(address="0.0.0.0")
        self.seconds = seconds
        self.seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def keeping(self, seconds: float) -> Iterator[None]:
        """Keeps connections for so long while the block runs."""
        usual, self.seconds = self.seconds, seconds
        try:
            yield
        finally:
            self.seconds = usual

    def talk(self, connection: socket.socket) -> None:
        host = connection.getsockname()[0]
        with self._lock:
            self.seen[host] += 1
        self._stopped.wait(self.seconds)


class Member:
    """One process of dokreg; what it printed is in its log."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.name, self.log, self._is_inside = name, log, command[0] == MACHINE[0]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        """To the process itself, also where it is the first one of its own machine."""
        process = psutil.Process(self.process.pid)
        for one in process.children() if self._is_inside else [process]:
            one.send_signal(number)

    def kill(self) -> None:
        self.signal(SIGKILL)
        self.process.wait(30)

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """It does nothing while the block runs."""
        self.signal(SIGSTOP)
        try:
            yield
        finally:
            self.signal(SIGCONT)


class Cluster(Running):
    """Not started by `manage.py up`, but process by process, as on several machines."""

    owner: Owner

    def __init__(self, data: Path, postgres: Postgres, redis: Redis, **variables: str) -> None:
        secrets = {name: keys.new_key() for name in ("DOKREG_SECRET_KEY", "DOKREG_FERNET_KEYS")}
        super().__init__(data, DATABASE_URL=postgres.url(), REDIS_URL=redis.url)
        self.environment |= secrets | {"DOKREG_ALLOW_LOOPBACK": "true", "MALLOC_ARENA_MAX": "2"} | variables
        self.postgres, self.redis = postgres, redis
        self.members: list[Member] = []
        self._numbers = itertools.count()
        self.webs: list[str] = []

    def start(self) -> Self:
        """Prepare the database, and start everything."""
        facts = json.loads(self.manage("prepare", "--facts").splitlines()[-1])
        self.lines.append(facts["setup_link"])
        for port in (self.port, free_port()):
            self.add_web(port)
        for _ in range(BEATS):
            self.add_member("beat", programs.beat())
        self.make_whole()
        self.until(lambda: all(self._answers(url) for url in self.webs), "the web servers")
        return self

    def make_whole(self) -> None:
        """As many workers as there should be, half of them on a machine of their own."""
        missing = WORKERS - len(self.workers)
        for number in range(missing):
            self.add_worker(machine=f"host-{number}" if number % 2 else "")
        self.wait_for_workers()

    def wait_for_workers(self) -> None:
        for worker in self.workers:
            self.wait_for_worker(worker)

    def wait_for_worker(self, worker: Member) -> None:
        self.until(lambda: self.takes_tasks(worker.name), f"{worker.name} to take tasks")

    def add_web(self, port: int) -> Member:
        command = programs.web(("127.0.0.1", port), graceful_seconds=5)
        self.webs.append(f"http://127.0.0.1:{port}")
        return self.add_member(f"web-{port}", command)

    def add_worker(self, *, machine: str = "", **variables: str) -> Member:
        """A worker; `machine` is the name of one of its own."""
        name = f"worker-{next(self._numbers)}@{machine or 'here'}"
        command = [*programs.worker(), "--concurrency", str(THREADS), "--hostname", name]
        return self.add_member(name, [*MACHINE, *NAMED, machine, *command] if machine else command, **variables)

    def add_member(self, name: str, command: list[str], **variables: str) -> Member:
        log = self.data.parent / f"{name}.log"
        member = Member(name, command, self.environment | variables, log)
        self.members.append(member)
        return member

    @property
    def workers(self) -> list[Member]:
        return [member for member in self.members if "@" in member.name and member.is_running]

    @contextlib.contextmanager
    def postgres_away(self) -> Iterator[None]:
        """PostgreSQL is shut down while the block runs."""
        self.postgres.interrupt()
        with self.postgres.down():
            yield

    def takes_tasks(self, worker: str) -> bool:
        try:
            return super().takes_tasks(worker)
        except (KombuError, RedisError):
            return False  # what this process still had of a broker that was away

    def shut_down(self, worker: Member) -> None:
        """As `celery control shutdown` does it."""
        with self._celery() as beside:
            beside.control.shutdown(destination=[worker.name])

    def until(self, condition: Callable[[], object], what: str, seconds: float = START_SECONDS) -> float:
        """Wait for it, and tell how long; what the processes said otherwise."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < seconds, f"waited {seconds} s for {what}:\n{self.said}"
            time.sleep(0.05)
        return time.monotonic() - began

    @property
    def said(self) -> str:
        return "\n".join(f"{member.name}: {member.log.read_text()[-3000:]}" for member in self.members)

    def end(self) -> None:
        for member in self.members:
            member.process.kill()
        for member in self.members:
            member.process.wait(30)

    def _answers(self, url: str) -> bool:
        try:
            return Visitor(url).get("/sign-in/").status == 200
        except OSError:
            return False


class Clicks:
    """People who press Test, each on a server of their own, through all web servers in turn, and again when told so."""

    def __init__(self, cluster: Cluster, *, people: int = 4) -> None:
        self.cluster = cluster
        self.people = [Visitor(cluster.webs[number % len(cluster.webs)]) for number in range(people)]
        for visitor in self.people:
            visitor.sign_in("alice", PASSWORD)
            visitor.get("/acme/settings/servers/")
        self.turned_away = 0
        self.pages: list[str] = []

    def press(self, server_ids: Iterable[str], *, pause: float = 0) -> None:
        """Press once for each; returns when all were taken."""
        waiting = list(server_ids)
        lock = threading.Lock()

        def work(visitor: Visitor) -> None:
            while True:
                with lock:
                    if not waiting:
                        return
                    server = waiting.pop()
                self._press(visitor, server)
                time.sleep(pause)

        with ThreadPoolExecutor(len(self.people)) as threads:
            list(threads.map(work, self.people))

    def _press(self, visitor: Visitor, server: str) -> None:
        end = time.monotonic() + 60
        while (page := visitor.htmx_post(f"/acme/settings/servers/{server}/test/")).status != 200:
            assert page.status == AWAY, f"{page.status} {page.text}\n{self.cluster.said}"
            assert int(page.headers["Retry-After"]) > 0
            assert time.monotonic() < end, page
            self.turned_away += 1
            self.pages.append(page.text)
            time.sleep(0.2)


class Servers:
    """Some servers of one name in a dokreg, each with an address of its own at which nobody speaks SSH."""

    _blocks = itertools.count(1)

    def __init__(self, cluster: Cluster, nowhere: NoSsh, name: str, count: int) -> None:
        self.cluster, self.nowhere, second = cluster, nowhere, next(self._blocks)
        self.hosts = [f"127.{second}.{number // 250}.{number % 250 + 1}" for number in range(count)]
        wanted = {"name": name, "hosts": self.hosts, "port": nowhere.port}
        self.ids: list[str] = json.loads(cluster.run_module("tests.faults.server_rows", wanted))
        self._like = f"{name} %"

    def states(self) -> Counter[str]:
        rows = self.cluster.column(
            "SELECT t.state FROM servers_servertest t JOIN servers_server s ON s.id = t.server_id WHERE s.name LIKE ?",
            self._like,
        )
        return Counter(rows)

    def workers(self) -> Counter[str]:
        """How many tests each worker had in hand."""
        rows = self.cluster.column(
            "SELECT t.worker FROM servers_servertest t JOIN servers_server s ON s.id = t.server_id WHERE s.name LIKE ?",
            self._like,
        )
        return Counter(rows)

    def lost_ids(self) -> list[str]:
        """The servers whose test is lost."""
        return self.cluster.column(
            "SELECT s.id FROM servers_servertest t JOIN servers_server s ON s.id = t.server_id"
            " WHERE s.name LIKE ? AND t.state = 'lost'",
            self._like,
        )

    @classmethod
    def all_at_it(cls, cluster: Cluster, nowhere: NoSsh, clicks: Clicks, name: str, count: int) -> "Servers":
        """Servers each of which is being tested; others where the machine was so slow that the first had ended."""
        for attempt in range(ATTEMPTS):
            servers = cls(cluster, nowhere, f"{name}{attempt}", count)
            clicks.press(servers.ids)
            servers.wait_until_begun()
            if servers.states()["running"] == count:
                return servers
            servers.wait_until_over()
        raise AssertionError(f"never {count} at the same time")

    def wait_until_begun(self) -> None:
        self.cluster.until(lambda: not self.states()["queued"], "all to begin")

    def wait_until_over(self, seconds: float = 120) -> float:
        def is_over() -> bool:
            states = self.states()
            return not states["queued"] and not states["running"] and states.total() >= len(self.ids)

        return self.cluster.until(is_over, "the tests to be over", seconds)

    def count(self) -> Count:
        states = self.states()
        seen = [self.nowhere.seen[host] for host in self.hosts]
        doubled = sum(max(0, times - 1) for times in seen)
        return Count(states.total(), states["failed"], states["lost"], doubled)
