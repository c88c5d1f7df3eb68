"""How a large PostgreSQL database answers what dokreg asks it: `python -m tests.plans`, with DATABASE_URL set.

Fills the database with thousands of rows, opens every page that only reads, calls every list of the API, runs every
task of beat, looks for what should be gone as the doctor does, and lets PostgreSQL explain each query that this took.
Prints the plans that read or sort a large table whole, as JSON:
`{"asked": [[by, query], …], "large": {table: rows}, "found": [{"by", "what", "tables", "query", "plan"}, …]}`.
"""

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402 - Django must be set up first
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import reverse  # noqa: E402

from applications.models import Application  # noqa: E402
from dokreg import retention  # noqa: E402
from dokreg.celery import app  # noqa: E402
from dokreg.doctor import pruning  # noqa: E402
from dokreg.paging import BoundedPaginator  # noqa: E402
from organisations import api_keys, procedures  # noqa: E402
from organisations.models import Organisation, User  # noqa: E402
from registries.models import Registry, TestBatch  # noqa: E402
from registries.views.listing import SORTS  # noqa: E402
from servers.models import Server  # noqa: E402
from tests.bench.many import Amounts, fill  # noqa: E402
from tests.multiplied import multiply  # noqa: E402
from tests.pages import OWNED, Things, make_things  # noqa: E402
from tests.people import membership_of  # noqa: E402
from tests.plenty import Plenty  # noqa: E402

AMOUNTS = Amounts(
    registries=300, servers=300, tests=450, audit=450, refreshes=300, logins=300, applications=300, deployments=600,
    notices=300, neighbours=5, days=20,
)  # fmt: skip
TIMES = 20  # what grows, afterwards
LARGE = 5_000  # rows
EXPLAINED = re.compile(
    r"^(?:DECLARE .*? CURSOR (?:WITH HOLD )?FOR )?((?:SELECT|UPDATE|DELETE|\(?SELECT)\b.*)", re.DOTALL
)
# What people may do with the lists beside looking at the first page; words to find are looked for row by row.
MORE = {
    "registries:list": [f"?sort={sign}{sort}" for sort in SORTS for sign in ("", "-")] + ["?provider=ecr", "?page=20"],
    "organisations:audit": ["?page=2", "?what=update", "?kind=registries.registry", "?since=2026-01-01"],
    "fleet:matrix": ["?page=2&registries=9"],
}

LARGE_TABLES = """
SELECT relname, reltuples FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples > %s
"""
INDEXES = """
SELECT i.relname, t.relname, a.attname, x.indpred IS NOT NULL
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_attribute a ON a.attrelid = x.indexrelid AND a.attnum = 1
WHERE t.relnamespace = 'public'::regnamespace
"""
# A bitmap heap scan reads what the index scans below it have found.
SCANS = {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan"}
Query = tuple[str, str]  # who asks, SQL


def pages(things: Things, alice: User) -> Iterator[Query]:
    """Every page of an organisation, as its owner sees it; of a thing that has a history, one with a long one."""
    client = Client()
    client.force_login(alice)
    for row in OWNED:
        if row.method == "GET":
            address = row.address(things)
            for more in ("", *MORE.get(row.name, [])):
                yield from _asked(f"{row.name}{more}", lambda url=address + more: client.get(url))  # type: ignore[misc]


def signing_in() -> Iterator[Query]:
    """Refused, which looks for what was refused before."""
    entered = {"username": "mallory 7", "password": "a guess"}
    yield from _asked("sign_in", lambda: Client().post(reverse("sign_in"), entered))


def api(alice: User) -> Iterator[Query]:
    """Every query of the API that needs no input, which are the lists."""
    _key, text = api_keys.make(membership=membership_of(alice), name="plans")
    client = Client(headers={"x-api-key": text})
    for procedure in procedures.all_procedures():
        if procedure.is_query and not any(field.is_required() for field in procedure.takes.model_fields.values()):
            yield from _asked(procedure.name, lambda name=procedure.name: client.get(f"/api/{name}"))  # type: ignore[misc]


def tasks() -> Iterator[Query]:
    """Everything that beat begins."""
    app.loader.import_default_modules()
    for name in sorted({entry["task"] for entry in app.conf.beat_schedule.values()}):
        yield from _asked(name, app.tasks[name].run)


def doctor() -> Iterator[Query]:
    """What it asks about every kind of row that is forgotten some time."""
    for rule in retention.all_rules():
        yield from _asked(f"doctor: {rule.name}", lambda rule=rule: rule.oldest(grace=pruning.GRACE))  # type: ignore[misc]


def _asked(by: str, work: Callable[[], Any]) -> list[Query]:
    with CaptureQueriesContext(connection) as asked:
        answer = work()
    status = getattr(answer, "status_code", 200)
    assert status in {200, 302, 303, 404, 422}, (by, status)
    return [(by, query["sql"]) for query in asked.captured_queries]


@dataclass(frozen=True)
class Fault:
    """What a plan does that it should not, in words, and to which large tables."""

    what: str
    tables: list[str]


@dataclass(frozen=True)
class Index:
    """Of which table, by which column first, and whether it holds a part of the rows only."""

    table: str
    column: str
    is_partial: bool

    def is_narrowed(self, condition: str) -> bool:
        """Whether a scan under this condition need not go through all of it: it has to say something of the column."""
        return re.search(rf"\b{re.escape(self.column)}\b", condition) is not None


class Reader:
    """Reads plans, knowing the large tables and the indexes."""

    def __init__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(LARGE_TABLES, [LARGE])
            self.large = {name: int(rows) for name, rows in cursor.fetchall()}
            cursor.execute(INDEXES)
            self._indexes = {name: Index(*of) for name, *of in cursor.fetchall()}

    def faults(self, plan: dict[str, Any]) -> Iterator[Fault]:
        if table := self._read_whole(plan):
            yield Fault(f"reads all of {table}", [table])
        parts = plan.get("Plans", [])
        if plan["Node Type"] == "Sort" and parts[0]["Plan Rows"] > LARGE:
            yield Fault(f"sorts {parts[0]['Plan Rows']} rows", sorted(self._large_below(plan)))
        if plan["Node Type"] == "Limit" and plan["Total Cost"] < parts[0]["Total Cost"] / 10:
            return  # it stops at the first rows
        for part in parts:
            yield from self.faults(part)

    def _read_whole(self, scan: dict[str, Any]) -> str:
        """The large table of which this reads every row, or an index from its one end to the other; "" if none."""
        index = self._indexes.get(scan.get("Index Name", ""))
        table = index.table if index else str(scan.get("Relation Name"))
        if table not in self.large or scan["Node Type"] not in SCANS:
            return ""
        is_narrow = index is not None and (index.is_partial or index.is_narrowed(scan.get("Index Cond", "")))
        return "" if is_narrow and scan["Plan Rows"] < self.large[table] / 2 else table

    def _large_below(self, plan: dict[str, Any]) -> set[str]:
        here = {plan["Relation Name"]} & self.large.keys() if "Relation Name" in plan else set()
        return here.union(*(self._large_below(part) for part in plan.get("Plans", [])))


def planned(query: str) -> dict[str, Any]:
    """The plan, as PostgreSQL keeps it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {query}")
        plan: dict[str, Any] = cursor.fetchone()[0][0]["Plan"]
        return plan


def explained(query: str) -> str:
    """The plan, as people read it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {query}")
        return "\n".join(line for (line,) in cursor.fetchall())


def main() -> dict[str, Any]:
    settings.ALLOWED_HOSTS.append("testserver")
    app.conf.update(broker_url="memory://localhost")
    BoundedPaginator.MOST = AMOUNTS.audit * TIMES // 12  # as far below what there is as with a hundred thousand
    large_organisation = fill(AMOUNTS)
    plenty = Plenty(large_organisation)
    plenty.add_history()
    multiply(TIMES)
    batch = plenty.add_work()
    alice = User.objects.get(username="alice")
    things = _with_history(make_things(large_organisation, alice), large_organisation, batch)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # as autovacuum does: it decides on index-only scans
    reader = Reader()
    asked: dict[str, Query] = {}
    found = []
    for by, sql in [*pages(things, alice), *signing_in(), *api(alice), *doctor(), *tasks()]:
        query = EXPLAINED.match(sql)
        shape = re.sub(r"'[^']*'|\b\d+\b", "?", sql)
        if query is None or shape in asked:
            continue
        asked[shape] = by, query[1]
        faults = list(reader.faults(planned(query[1])))
        text = explained(query[1]) if faults else ""
        found += [{"by": by, "query": query[1], "plan": text} | vars(fault) for fault in faults]
    return {"asked": list(asked.values()), "large": reader.large, "found": found}


def _with_history(things: Things, organisation: Organisation, batch: TestBatch) -> Things:
    """With a registry, a server and an application that much has happened to, and a batch with many tests."""
    application = Application.objects.of(organisation).filter(last_deployment__isnull=False)[0]
    registry = Registry.objects.of(organisation).filter(last_test__isnull=False, method__gt="")[0]
    assert application.last_deployment is not None
    assert registry.last_test is not None
    return dataclasses.replace(
        things,
        registry=registry,
        registry_test=registry.last_test,
        batch=batch,
        server=Server.objects.of(organisation).filter(last_test__isnull=False)[0],
        project=application.project,
        application=application,
        deployment=application.last_deployment,
    )


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
