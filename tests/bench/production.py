"""PostgreSQL and Redis, with web, worker and beat as processes of their own: a Test against bare `ssh`, and memory."""

from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from tests.bench.apart import apart
from tests.bench.figures import Figure, compared, rest_of, side_by_side, timed
from tests.bench.single import BY_HAND, ROUNDS, SHORT, Bench
from tests.lab.daemons import wait_until
from tests.lab.engine import Engine
from tests.lab.registry import Account, BearerRegistry
from tests.lab.sshd import Server

WORK = "Test through Redis and PostgreSQL, click to verdict"


def figures(folder: Path) -> list[Figure]:
    with (
        Engine(folder / "engine") as engine,
        Server(folder / "server", engine) as machine,
        BearerRegistry(folder / "registry", [Account("short", SHORT)]) as registry,
        apart(folder) as dokreg,
    ):
        bench = Bench(dokreg, machine, registry)
        kept, beside = side_by_side(ROUNDS, lambda: bench.test("short"), bench.by_hand)
        rests: dict[str, Callable[[], Sequence[psutil.Process]]] = {
            "web server and its master": dokreg.web_processes,
            "worker": lambda: dokreg.workers,
            "beat": lambda: [dokreg.beat],
        }
        return [
            _with_new_connections(bench),
            compared(f"{WORK}, connection open", kept, BY_HAND, beside, "≤ 0.8"),
            *(rest_of(processes, f"memory at rest after these tests: {name}") for name, processes in rests.items()),
        ]


def _with_new_connections(bench: Bench) -> Figure:
    """Before each test the connection is cut that dokreg had, so that it opens one as `ssh` does."""
    mine, by_hand = [], []
    for _ in range(ROUNDS):
        _cut(bench.machine)
        mine.append(timed(lambda: bench.test("short")))
        by_hand.append(timed(bench.by_hand))
    return compared(f"{WORK}, new connection", mine, BY_HAND, by_hand, "≤ 0.8")


def _cut(machine: Server) -> None:
    machine.cut_connections()
    listener = psutil.Process(machine.pid)
    wait_until(lambda: not listener.children(recursive=True), "sshd to be alone")
