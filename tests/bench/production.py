"""PostgreSQL and Redis, with web, worker and beat as processes of their own: a Test against bare `ssh`, and memory."""

import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.bench.apart import Apart, apart
from tests.bench.figures import REST_SECONDS, Figure, Held, compared, held_by, memory, side_by_side, timed
from tests.bench.single import BY_HAND, SHORT, Bench
from tests.lab.daemons import wait_until
from tests.lab.engine import Engine
from tests.lab.registry import Account, BearerRegistry
from tests.lab.sshd import Server

STARTS, ROUNDS = 3, 10  # rounds after each start
WORK = "Test through Redis and PostgreSQL, click to verdict"


class Measured:
    """The times of several starts: a test and the same by hand, with the connection kept open and with a new one."""

    def __init__(self) -> None:
        self.kept: list[float] = []
        self.beside_kept: list[float] = []
        self.new: list[float] = []
        self.beside_new: list[float] = []
        self.held: dict[str, list[Held]] = {}

    def add(self, dokreg: Apart, bench: Bench) -> None:
        kept, beside = side_by_side(ROUNDS, lambda: bench.test("short"), bench.by_hand)
        self.kept += kept
        self.beside_kept += beside
        self._add_with_new_connections(bench)
        time.sleep(REST_SECONDS)
        for name, processes in _parts(dokreg).items():
            self.held.setdefault(name, []).append(held_by(processes))

    def _add_with_new_connections(self, bench: Bench) -> None:
        """Before each test the connection is cut that dokreg had, so that it opens one as `ssh` does."""
        for _ in range(ROUNDS):
            _cut(bench.machine)
            self.new.append(timed(lambda: bench.test("short")))
            self.beside_new.append(timed(bench.by_hand))


def figures(folder: Path) -> list[Figure]:
    measured = Measured()
    with (
        Engine(folder / "engine") as engine,
        Server(folder / "server", engine) as machine,
        BearerRegistry(folder / "registry", [Account("short", SHORT)]) as registry,
    ):
        for number in range(STARTS):
            place = folder / f"start-{number}"
            place.mkdir(mode=0o711)  # PostgreSQL runs as somebody else
            with apart(place) as dokreg:
                measured.add(dokreg, Bench(dokreg, machine, registry))
    return [
        compared(f"{WORK}, new connection", measured.new, BY_HAND, measured.beside_new, "≤ 0.8"),
        compared(f"{WORK}, connection open", measured.kept, BY_HAND, measured.beside_kept, "≤ 0.8"),
        *(memory(f"memory at rest after these tests: {name}", held) for name, held in measured.held.items()),
    ]


def _parts(dokreg: Apart) -> dict[str, Sequence[psutil.Process]]:
    return {"web server and its master": dokreg.web_processes(), "worker": dokreg.workers, "beat": [dokreg.beat]}


def _cut(machine: Server) -> None:
    machine.cut_connections()
    listener = psutil.Process(machine.pid)
    wait_until(lambda: not listener.children(recursive=True), "sshd to be alone")
