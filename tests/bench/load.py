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
from tests.bench.figures import THE_SAME, Figure, alone, compared, timed
from tests.lab.postgres import Postgres
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
TASKS = (
    "registries.tasks.dispatch_refreshes",
    "registries.tasks.sweep_registry_tests",
    "registries.tasks.sweep_token_refreshes",
    "applications.tasks.sweep_deployments",
    "organisations.tasks.sweep_notifications",
)


@dataclass
class Loaded:
    """A dokreg with so many rows, and the two who ask it: a person, and a program of another organisation."""

    dokreg: Running
    owner: Owner
    program: Program

    def open(self, address: str) -> None:
        assert self.owner.get(address).status == 200

    def list_all(self) -> None:
        assert b'"registryId"' in self.program.raw("registry.all")

    def counted(self, addresses: list[str]) -> dict[str, Any]:
        """Of pages the number of queries, of tasks their times and queries: see `tests.bench.counted`."""
        wanted = {"pages": addresses, "tasks": TASKS, "rounds": ROUNDS}
        found: dict[str, Any] = json.loads(self.dokreg.run_module("tests.bench.counted", wanted))
        return found


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
        loaded(postgres, folder, "few", FEW, "acme") as few,
        loaded(postgres, folder, "many", MANY, "thousand") as many,
    ):
        return [*_pages(few, many), _listed(few, many), *_beside(few, many)]


def _pages(few: Loaded, many: Loaded) -> Iterator[Figure]:
    for name, address, other, bar, ratio in PAGES:
        mine, others = in_turn(functools.partial(many.open, address), functools.partial(few.open, other))
        if bar:
            yield alone(f"{name}, large database", mine, bar)
        yield compared(f"{name}, large database", mine, "with 10 registries", others, ratio)


def _listed(few: Loaded, many: Loaded) -> Figure:
    mine, _others = in_turn(many.list_all, few.list_all)
    return alone("registry.all with 1,000 rows, large database", mine, "≤ 25")


def in_turn(one: Callable[[], object], other: Callable[[], object]) -> tuple[list[float], list[float]]:
    """The times of both, so that whatever else happens on the machine meets both."""
    one()
    other()
    pairs = [(timed(one), timed(other)) for _ in range(ROUNDS)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _beside(few: Loaded, many: Loaded) -> Iterator[Figure]:
    mine, others = many.counted([page[1] for page in PAGES]), few.counted([page[2] for page in PAGES])
    for name, address, other, _bar, ratio in PAGES:
        counts = mine["pages"][address], others["pages"][other]
        yield Figure(
            f"queries of the {name}", counts[0], against="with 10 registries", other=counts[1], unit="queries",
            bar=THE_SAME if ratio else "",
        )  # fmt: skip
    for task in TASKS:
        times, number = mine["tasks"][task].values()
        other_times, _number = others["tasks"][task].values()
        yield compared(f"{task}, nothing due, {number} queries", times, "with 10 registries", other_times, "")
