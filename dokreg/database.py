"""Being sparing with connections to the database, and patient while it is away."""

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection
from django.db.models import CharField, FloatField, Func

log = logging.getLogger(__name__)
T = TypeVar("T")
PATIENCE_SECONDS = 30.0  # a PostgreSQL that restarts, or whose standby takes over, is back by then
LOOK_SECONDS = 0.5
RETRY_SECONDS = 5  # when whoever met no database should come again
AWAY = "dokreg’s database does not answer at this moment. Most likely nothing was changed; try again in a few seconds."
# What passes by itself, of PostgreSQL's codes (its manual, appendix A) beside the class 08: shut down, crashed, not yet
# up, no connection free, a lock or a statement that took too long, a deadlock.
PASSING = frozenset({"57P01", "57P02", "57P03", "53300", "55P03", "57014", "40P01"})
NO_CONNECTION = "08"
PASSING_IN_SQLITE = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN})

LIFT_TIMEOUTS = ("SET statement_timeout = 0", "SET lock_timeout = 0", "SET idle_in_transaction_session_timeout = 0")


def give_back() -> None:
    """Put this thread's connection back into the pool, before it waits for something that is not the database.

    The next query takes one again. Without a pool, and inside of a transaction, nothing happens.
    """
    if connection.settings_dict["OPTIONS"].get("pool") and not connection.in_atomic_block:
        connection.close()


def is_away(error: BaseException) -> bool:
    """Whether something failed because the database does not answer at this moment."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in PASSING_IN_SQLITE
    code = getattr(cause, "sqlstate", None) or NO_CONNECTION  # none: it never came to the server's answer
    return code.startswith(NO_CONNECTION) or code in PASSING


def patiently(act: Callable[[], T], *, seconds: float = PATIENCE_SECONDS) -> T:
    """What a short act in the database answers, tried again for some time while the database is away.

    It may have been done although its answer was lost, and is then done twice: it must see to that itself. Inside of
    a transaction nothing is tried again.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return act()
        except (OperationalError, InterfaceError) as error:
            if connection.in_atomic_block or not is_away(error) or time.monotonic() >= end:
                raise
            log.warning("The database is away (%s); trying again.", type(error).__name__)
            connection.close()
        time.sleep(LOOK_SECONDS)


def lift_timeouts(**_: Any) -> None:
    """A migration may take longer than anything that people wait for."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for statement in LIFT_TIMEOUTS:
                cursor.execute(statement)


class AsJavaScriptWrites(Func):
    """A time as text, `2026-01-01T00:00:00.000Z`, cut off at the millisecond: made by the database.

    For lists of a thousand rows and more: to make datetimes of what it answers, and text of these, takes longer than
    the rest of the list.
    """

    output_field = CharField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "replace(substr(%(expressions)s || '.000', 1, 23), ' ', 'T') || 'Z'"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = """to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
        return self.as_sql(compiler, connection, template=template, **context)


class SecondsOf(Func):
    """A time as seconds since 1970, made by the database: for lists of a thousand rows and more, as above."""

    output_field = FloatField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "(julianday(%(expressions)s) - 2440587.5) * 86400.0"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="extract(epoch FROM %(expressions)s)::float8", **context)
