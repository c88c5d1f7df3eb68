"""The database: which, how large, how quick, and what keeps it busy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from dokreg.doctor.checks import ERROR, OK, WARNING, Finding, round_trip, size
from dokreg.doctor.checks import age as in_words

LONG_TRANSACTION_SECONDS = 60
FULL = 0.8  # of the connections
CLOCK_SECONDS = 2  # leases and due times are compared over machines
BAD_CLOCK_SECONDS = 15


def look_at_it() -> Iterator[Finding]:
    yield Finding("Kind", _kind())
    yield Finding("Size", size(_size()))
    why = "Each page asks a dozen times: it waits for the way to the database."
    yield round_trip(lambda: _one("SELECT 1"), why=why, fix="Run dokreg closer to its database.")


def look_at_migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    pending = [str(step) for step, _backwards in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    if not pending:
        yield Finding("Migrations", "all are applied")
        return
    why = f"dokreg is newer than its database: {', '.join(pending[:5])}."
    yield Finding("Migrations", f"{len(pending)} not applied", ERROR, why, "Run manage.py prepare.")


def look_at_connections() -> Iterator[Finding]:
    """PostgreSQL alone: how many are taken, and who has had a transaction open for long."""
    if connection.vendor != "postgresql":
        return
    taken = _one("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    most = int(_one("SELECT current_setting('max_connections')"))
    why = "Who comes when all are taken is refused."
    fix = "Raise max_connections in PostgreSQL, or run fewer processes."
    yield Finding("Connections", f"{taken} of {most}", *_if(taken > most * FULL, why, fix))
    oldest = _one(
        "SELECT extract(epoch FROM max(clock_timestamp() - xact_start)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    is_long = (oldest or 0) > LONG_TRANSACTION_SECONDS
    why = "It may hold locks that others wait for, and keeps PostgreSQL from tidying up."
    fix = "Look in pg_stat_activity who it is; dokreg's own end after a minute."
    yield Finding("Longest transaction", in_words(oldest or 0), *_if(is_long, why, fix))


def look_at_the_clock() -> Iterator[Finding]:
    """How far this machine's clock is from the database's; SQLite has no other."""
    if connection.vendor != "postgresql":
        return
    apart = abs((_one("SELECT clock_timestamp()") - timezone.now()).total_seconds())
    state = ERROR if apart > BAD_CLOCK_SECONDS else WARNING if apart > CLOCK_SECONDS else OK
    fact = f"{apart:.1f} s from the database's"
    if state == OK:
        yield Finding("Clock", fact)
        return
    why = "Processes on several machines compare times: runs are taken for lost, and tokens for fresh."
    yield Finding("Clock", fact, state, why, "Let every machine take its time by NTP.")


def _kind() -> str:
    if connection.vendor == "postgresql":
        return f"PostgreSQL {_one('SHOW server_version')}"
    return f"SQLite {_one('SELECT sqlite_version()')}"


def _size() -> int:
    if connection.vendor == "postgresql":
        return int(_one("SELECT pg_database_size(current_database())"))
    return int(_one("PRAGMA page_count")) * int(_one("PRAGMA page_size")) + _size_of_log()


def _size_of_log() -> int:
    log = Path(f"{connection.settings_dict['NAME']}-wal")
    return log.stat().st_size if log.exists() else 0


def _one(statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def _if(is_bad: bool, why: str, fix: str) -> tuple[str, str, str]:  # noqa: FBT001 - read as a sentence
    return (WARNING, why, fix) if is_bad else (OK, "", "")
