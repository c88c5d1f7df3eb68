"""Being sparing with connections to the database."""

from typing import Any

from django.db import connection

LIFT_TIMEOUTS = ("SET statement_timeout = 0", "SET lock_timeout = 0", "SET idle_in_transaction_session_timeout = 0")


def give_back() -> None:
    """Put this thread's connection back into the pool, before it waits for something that is not the database.

    The next query takes one again. Without a pool, and inside of a transaction, nothing happens.
    """
    if connection.settings_dict["OPTIONS"].get("pool") and not connection.in_atomic_block:
        connection.close()


def lift_timeouts(**_: Any) -> None:
    """A migration may take longer than anything that people wait for."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for statement in LIFT_TIMEOUTS:
                cursor.execute(statement)
