"""One registry tested on 1,000 servers at once, with one and with four worker processes, on PostgreSQL and Redis.

A hundred real sshd, each with ten keys and as many rows of servers: a connection belongs to its key, so that dokreg
opens a thousand, as the same logins by hand do. One engine and one registry serve all of them, on the same machine.
"""

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.apart import Apart, apart
from tests.bench.figures import Figure, alone, once, resident, timed
from tests.bench.fleet import ACCOUNT, BY_HAND_AT_ONCE, ByHand
from tests.lab.engine import Engine
from tests.lab.registry import BearerRegistry
from tests.lab.sshd import KeyPair, Server
from tests.owner import Owner
from tests.stock import row_of, stock

MACHINES, ROWS_EACH = 100, 10
SERVERS = MACHINES * ROWS_EACH
# More than the default, which leaves the machine to those who click; as many as xargs runs.
AT_ONCE = BY_HAND_AT_ONCE
THREADS = AT_ONCE + 4  # of each worker: it has others to do as well, such as sweeps
LONGEST_SECONDS = 600.0
LOOK_SECONDS = 0.25
BATCH = "FROM registries_registrytest WHERE batch_id IS NOT NULL"
UNFINISHED = f"SELECT count(*) {BATCH} AND state IN ('queued', 'running')"
OUTCOME = f"SELECT state, count(*), count(DISTINCT server_id) {BATCH} GROUP BY state"
SECONDS = f"SELECT extract(epoch FROM finished_at - started_at) {BATCH}"


class Peaks:
    """The most that the workers held at any moment, all together, and any one of them."""

    def __init__(self, dokreg: Apart) -> None:
        self.dokreg = dokreg
        self.memory = self.files = self.threads = 0.0
        self._over = threading.Event()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            self._over.set()
            watcher.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.memory = max(self.memory, resident(self.dokreg.workers))
            self.files = max([self.files, *(worker.num_fds() for worker in self.dokreg.workers)])
            self.threads = max([self.threads, *(worker.num_threads() for worker in self.dokreg.workers)])


class Thousand:
    """The lab, without a dokreg yet."""

    def __init__(self, machines: list[Server], registry: BearerRegistry) -> None:
        self.machines, self.registry = machines, registry
        self.keys = [KeyPair.generate() for _ in range(ROWS_EACH)]
        for machine in machines:
            machine.let_in(pair.public for pair in self.keys)

    def rows(self) -> list[dict[str, Any]]:
        """A thousand servers, a key each."""
        return [
            row_of(machine, f"server-{place}-{number}")
            | {"private_key": pair.private, "public_key": pair.public}
            for place, machine in enumerate(self.machines)
            for number, pair in enumerate(self.keys)
        ]  # fmt: skip

    def save_into(self, dokreg: Apart) -> str:
        """The address of the button Test everywhere."""
        registry = {"name": "Images", "url": self.registry.host, **ACCOUNT._asdict()}
        registry_id = stock(dokreg, servers=self.rows(), registries=[registry])[0]
        return f"/acme/fleet/registries/{registry_id}/test/"


def test_everywhere(dokreg: Apart, owner: Owner, address: str) -> float:
    """Seconds from the click to the end of the last test; all of them passed, each server tested once."""
    owner.get("/acme/settings/registries/")
    started = time.monotonic()
    owner.post(address)
    while dokreg.column(UNFINISHED)[0]:
        assert time.monotonic() < started + LONGEST_SECONDS, dokreg.rows(OUTCOME)
        time.sleep(LOOK_SECONDS)
    took = time.monotonic() - started
    assert dokreg.rows(OUTCOME) == [("passed", SERVERS, SERVERS)], dokreg.rows(OUTCOME)
    return took


@dataclass(frozen=True)
class Run:
    """What one test of all servers took, with so many worker processes."""

    workers: int
    seconds: float
    logins: int
    times: list[float]  # of each test, in ms
    peaks: Peaks

    def figures(self, *, by_hand: float) -> list[Figure]:
        name = f"{SERVERS:,} servers tested at once, {self.workers} worker process{'es' * (self.workers > 1)}"
        took = round(self.seconds * 1000)
        return [
            Figure(
                name, took, f"{AT_ONCE} at a time, {THREADS} threads in each worker",
                f"xargs -P {BY_HAND_AT_ONCE} ssh docker login, mean of one run before and one after",
                round(by_hand), round(took / by_hand, 2), bar="≤ 1.0",
            ),
            once(f"{name}: throughput", SERVERS / self.seconds, "tests/s"),
            alone(f"{name}: one test, from its start to its verdict", self.times),
            once(f"{name}: the slowest test", max(self.times), "ms"),
            once(f"{name}: logins lost or doubled", abs(self.logins - SERVERS), "", bar="≤ 0"),
            once(f"{name}: workers' memory at most, all together", round(self.peaks.memory), "MB"),
            once(f"{name}: open files of one worker at most", self.peaks.files, ""),
            once(f"{name}: threads of one worker at most", self.peaks.threads, ""),
        ]  # fmt: skip


def measured(lab: Thousand, folder: Path, workers: int) -> Run:
    """With so many worker processes; every connection is new."""
    folder.mkdir(mode=0o711)
    with apart(folder, workers=workers, threads=THREADS, DOKREG_TESTS_AT_ONCE=str(AT_ONCE)) as dokreg:
        owner = Owner(dokreg)
        address = lab.save_into(dokreg)
        before = lab.registry.tokens.issued
        peaks = Peaks(dokreg)
        with peaks.watched():
            seconds = test_everywhere(dokreg, owner, address)
        times = [float(took) * 1000 for took in dokreg.column(SECONDS)]
    return Run(workers, seconds, lab.registry.tokens.issued - before, times, peaks)


def log_in_everywhere(lab: Thousand, by_hand: ByHand) -> float:
    """Milliseconds that the same logins take by hand."""
    before = lab.registry.tokens.issued
    took = timed(lambda: by_hand.log_in(times=ROWS_EACH))
    assert lab.registry.tokens.issued - before == SERVERS
    return took


@contextlib.contextmanager
def lab_of(folder: Path) -> Iterator[Thousand]:
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(Engine(folder / "e"))
        registry = stack.enter_context(BearerRegistry(folder / "registry", [ACCOUNT]))
        machines = [Server(folder / f"s{place}", engine, address=f"127.0.1.{place + 1}") for place in range(MACHINES)]
        for machine in machines:
            machine.launch()
        for machine in machines:
            stack.enter_context(machine)
        yield Thousand(machines, registry)
        for machine in machines:
            machine.ask_to_stop()


def figures(folder: Path) -> list[Figure]:
    with lab_of(folder) as lab:
        by_hand = ByHand(folder / "by-hand", lab.machines, lab.registry.host)
        found = []
        before = log_in_everywhere(lab, by_hand)
        for workers in (1, 4):
            run = measured(lab, folder / f"{workers}-workers", workers)
            after = log_in_everywhere(lab, by_hand)
            found += run.figures(by_hand=statistics.mean((before, after)))
            before = after
        return found
