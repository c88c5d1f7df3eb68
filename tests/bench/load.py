"""A large database: pages, the API and what beat does each minute, with 10 registries and with 10,000 on PostgreSQL.

Two dokregs, each on a database of its own, are asked in turn over HTTP. In the large one are 10,000 registries, 1,000
servers, 100,000 tests and as many audit entries, and beside them an organisation with 50 registries on 200 servers.
"""

import contextlib
import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dokreg import keys
from tests.bench.figures import THE_SAME, Figure, alone, compared, side_by_side
from tests.lab.postgres import Postgres
from tests.lab.redis import Redis
from tests.owner import Owner
from tests.program import Program
from tests.running import Running, running

ROUNDS = 25
FEW = {
    "registries": 10, "servers": 10, "tests": 100, "audit": 100, "refreshes": 20, "logins": 10, "applications": 10,
    "deployments": 20, "notices": 10, "neighbours": 1,
}  # fmt: skip
MANY = {"fleet": True, "days": 20}
# What is measured: its name, its address with many rows, its address with few, the bar in ms, and that of the ratio.
PAGES = (
    ("registries page", "/acme/settings/registries/", "/acme/settings/registries/", "≤ 150", "≤ 1.5"),
    ("fleet matrix, 50 × 200", "/fleet/fleet/", "/acme/fleet/", "≤ 150", ""),
    ("fleet matrix, 10,000 × 1,000", "/acme/fleet/", "/acme/fleet/", "", ""),
    ("audit trail", "/acme/settings/audit/", "/acme/settings/audit/", "≤ 150", ""),
    ("servers page", "/acme/settings/servers/", "/acme/settings/servers/", "", ""),
    ("projects page", "/acme/projects/", "/acme/projects/", "", ""),
)
CALL, CALL_WORK = "registry.all", "registry.all with 1,000 rows, large database"
BESIDE = "with 10 registries"
PASSES = 5  # over both databases in turn, each with its share of the rounds
DUE, FEW_DUE = 1_000, 10


@dataclass
class Loaded:
    """A dokreg with so many rows, and the two who ask it: a person, and a program of another organisation."""

    dokreg: Running
    owner: Owner
    program: Program

    def open(self, address: str) -> None:
        assert self.owner.get(address).status == 200

    def list_all(self) -> None:
        assert b'"registryId"' in self.program.raw(CALL)

    def queries(self, addresses: list[str]) -> dict[str, int]:
        """Of these pages and of the call."""
        found: dict[str, int] = self._run("counted", {"pages": addresses, "calls": [CALL], "key": self.program.key})
        return found

    def beats(self, rounds: int) -> dict[str, Any]:
        """Times and queries of everything that beat sends."""
        found: dict[str, Any] = self._run("beats", rounds)
        return found

    def dispatches(self, redis: Redis) -> list[dict[str, Any]]:
        """Times and queries of the dispatch of refreshes, with many due and with few."""
        self.dokreg.stop()  # it would mint what is due
        wanted = {"due": [DUE, FEW_DUE], "rounds": ROUNDS, "redis": redis.url}
        found: list[dict[str, Any]] = self._run("due", wanted)
        return found

    def _run(self, module: str, wanted: object) -> Any:
        return json.loads(self.dokreg.run_module(f"tests.bench.{module}", wanted))


@contextlib.contextmanager
def loaded(postgres: Postgres, folder: Path, name: str, amounts: dict[str, Any], lists: str) -> Iterator[Loaded]:
    """`lists` is the slug of the organisation whose registries the program lists."""
    with contextlib.ExitStack() as stack:
        variables: dict[str, Any] = {
            "DATABASE_URL": postgres.url(stack.enter_context(postgres.database(name))),
            "DOKREG_SECRET_KEY": keys.new_key(),
            "DOKREG_FERNET_KEYS": keys.new_key(),
            "DOKREG_API_REQUESTS_PER_MINUTE": "1000000",
        }
        dokreg = stack.enter_context(running(folder / name, is_embedded=True, **variables))
        dokreg.wait_until_healthy()
        owner = Owner(dokreg)
        dokreg.run_module("tests.bench.many", amounts)
        words = ("--user", "alice", "--organisation", lists, "--name", "load")
        yield Loaded(dokreg, owner, Program(dokreg, dokreg.manage("create_api_key", *words).strip()))


def figures(folder: Path) -> list[Figure]:
    """Medians of pages and of `registry.all` over HTTP; of tasks, in a process beside it; and numbers of queries."""
    with (
        Postgres(folder / "postgres") as postgres,
        Redis(folder / "redis") as redis,
        loaded(postgres, folder, "few", FEW, "acme") as few,
        loaded(postgres, folder, "many", MANY, "thousand") as many,
    ):
        return [
            *_pages(few, many),
            *_listed(few, many),
            *_queries(few, many),
            *_nothing_due(few, many),
            _much_due(many, redis),
        ]


def _pages(few: Loaded, many: Loaded) -> Iterator[Figure]:
    for name, address, other, bar, ratio in PAGES:
        mine, others = in_turn(functools.partial(many.open, address), functools.partial(few.open, other))
        if bar:
            yield alone(f"{name}, large database", mine, bar)
        yield compared(f"{name}, large database", mine, BESIDE, others, ratio)


def _listed(few: Loaded, many: Loaded) -> Iterator[Figure]:
    mine, others = in_turn(many.list_all, few.list_all)
    yield alone(CALL_WORK, mine, "≤ 25")
    yield compared(CALL_WORK, mine, BESIDE, others, "")


def in_turn(one: Callable[[], object], other: Callable[[], object]) -> tuple[list[float], list[float]]:
    """The times of both, so that whatever else happens on the machine meets both."""
    mine, others = side_by_side(ROUNDS, one, other)
    return mine, others


def _queries(few: Loaded, many: Loaded) -> Iterator[Figure]:
    mine, others = many.queries([page[1] for page in PAGES]), few.queries([page[2] for page in PAGES])
    for name, address, other, _bar, ratio in PAGES:
        yield _counted(f"the {name}", mine[address], others[other], THE_SAME if ratio else "")
    yield _counted(CALL_WORK, mine[CALL], others[CALL], THE_SAME)


def _counted(work: str, mine: int, others: int, bar: str) -> Figure:
    return Figure(f"queries of {work}", mine, against=BESIDE, other=others, unit="queries", bar=bar)


def _nothing_due(few: Loaded, many: Loaded) -> Iterator[Figure]:
    passes = [(many.beats(ROUNDS // PASSES), few.beats(ROUNDS // PASSES)) for _ in range(PASSES)]
    for task, found in passes[-1][0].items():
        mine, others = ([ms for each in side for ms in each[task]["times"]] for side in zip(*passes, strict=True))
        against = f"{BESIDE}, {_queries_of(passes[-1][1][task])}"
        yield compared(f"{task}, nothing due, {_queries_of(found)}", mine, against, others, "")


def _much_due(many: Loaded, redis: Redis) -> Figure:
    """The last: its dokreg is ended for it."""
    mine, few = many.dispatches(redis)
    work = f"registries.tasks.dispatch_refreshes, {DUE:,} due, {_queries_of(mine)}"
    return compared(work, mine["times"], f"with {FEW_DUE} due, {_queries_of(few)}", few["times"], "")


def _queries_of(found: dict[str, Any]) -> str:
    number = found["queries"]
    return f"{number} {'query' if number == 1 else 'queries'}"
