"""How a large PostgreSQL database answers what dokreg asks it: `python -m tests.plans`, with DATABASE_URL set.

Fills the database with thousands of rows, opens every page that only reads, calls every list of the API, runs every
task of beat, and lets PostgreSQL explain each query that this took. Prints the plans that read or sort a large table
whole, as JSON:
`{"asked": number of queries, "large": {table: rows}, "found": [{"by", "what", "query", "plan"}, …]}`.
"""

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402 - Django must be set up first
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from applications.models import Application  # noqa: E402
from dokreg.celery import app  # noqa: E402
from dokreg.paging import BoundedPaginator  # noqa: E402
from organisations import api_keys, procedures  # noqa: E402
from organisations.models import Organisation, User  # noqa: E402
from registries.models import Registry  # noqa: E402
from registries.views.listing import SORTS  # noqa: E402
from servers.models import Server  # noqa: E402
from tests.bench.many import Amounts, fill  # noqa: E402
from tests.multiplied import multiply  # noqa: E402
from tests.pages import OWNED, Things, make_things  # noqa: E402
from tests.people import membership_of  # noqa: E402

AMOUNTS = Amounts(
    registries=300, servers=200, tests=450, audit=450, refreshes=300, logins=300, applications=300, deployments=300,
    notices=300, neighbours=5, days=20,
)  # fmt: skip
TIMES = 20  # what grows, afterwards
LARGE = 5_000  # rows
EXPLAINED = re.compile(r"^(?:DECLARE .*? CURSOR WITH HOLD FOR )?((?:SELECT|UPDATE|DELETE|\(?SELECT)\b.*)", re.DOTALL)
# What people may do with the lists beside looking at the first page; words to find are looked for row by row.
MORE = {
    "registries:list": [f"?sort={sign}{sort}" for sort in SORTS for sign in ("", "-")] + ["?provider=ecr", "?page=20"],
    "organisations:audit": ["?page=2", "?what=update", "?kind=registries.registry", "?since=2026-01-01"],
    "fleet:matrix": ["?page=2&registries=9"],
}

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


def _asked(by: str, work: Callable[[], Any]) -> list[Query]:
    with CaptureQueriesContext(connection) as asked:
        answer = work()
    status = getattr(answer, "status_code", 200)
    assert status in {200, 302, 303, 404}, (by, status)
    return [(by, query["sql"]) for query in asked.captured_queries]


def large_tables() -> dict[str, int]:
    """The tables that have so many rows, and how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, reltuples FROM pg_class WHERE relkind = 'r' AND reltuples > %s", [LARGE])
        return {name: int(rows) for name, rows in cursor.fetchall()}


def faults(plan: dict[str, Any], large: dict[str, int]) -> Iterator[str]:
    """What a plan does to a large table that it should not: in words."""
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in large:
        yield f"reads all of {plan['Relation Name']}"
    if plan["Node Type"] == "Sort" and plan["Plans"][0]["Plan Rows"] > LARGE:
        yield f"sorts {plan['Plans'][0]['Plan Rows']} rows"
    parts = plan.get("Plans", [])
    if plan["Node Type"] == "Limit" and plan["Total Cost"] < parts[0]["Total Cost"] / 10:
        return  # it stops at the first rows
    for part in parts:
        yield from faults(part, large)


def explain(query: str) -> tuple[dict[str, Any], str]:
    """The plan as PostgreSQL keeps it, and as people read it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {query}")
        plan = cursor.fetchone()[0][0]["Plan"]
        cursor.execute(f"EXPLAIN {query}")
        return plan, "\n".join(line for (line,) in cursor.fetchall())


def main() -> dict[str, Any]:
    settings.ALLOWED_HOSTS.append("testserver")
    BoundedPaginator.MOST = AMOUNTS.audit * TIMES // 10  # as far below what there is as with a hundred thousand
    large_organisation = fill(AMOUNTS)
    multiply(TIMES)
    alice = User.objects.get(username="alice")
    things = _with_history(make_things(large_organisation, alice), large_organisation)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # as autovacuum does: it decides on index-only scans
    large = large_tables()
    seen: set[str] = set()
    found = []
    for by, sql in [*pages(things, alice), *api(alice), *tasks()]:
        query = EXPLAINED.match(sql)
        shape = re.sub(r"'[^']*'|\b\d+\b", "?", sql)
        if query is None or shape in seen:
            continue
        seen.add(shape)
        plan, text = explain(query[1])
        found += [{"by": by, "what": what, "query": query[1], "plan": text} for what in faults(plan, large)]
    return {"asked": len(seen), "large": large, "found": found}


def _with_history(things: Things, organisation: Organisation) -> Things:
    """With a registry, a server and an application that much has happened to."""
    application = Application.objects.of(organisation).filter(last_deployment__isnull=False)[0]
    registry = Registry.objects.of(organisation).filter(last_test__isnull=False, method__gt="")[0]
    assert application.last_deployment is not None
    assert registry.last_test is not None
    return dataclasses.replace(
        things,
        registry=registry,
        registry_test=registry.last_test,
        server=Server.objects.of(organisation).filter(last_test__isnull=False)[0],
        project=application.project,
        application=application,
        deployment=application.last_deployment,
    )


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
