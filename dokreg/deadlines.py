"""Bounds on what is asked about an installation: nobody waits for long to hear how it is."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from django.db import connection, transaction

USUAL_TIMEOUT = (
    "SELECT set_config('statement_timeout', reset_val, true) FROM pg_settings WHERE name = 'statement_timeout'"
)


class DeadlinePassed(Exception):
    """It took longer than it may."""


@contextlib.contextmanager
def queries_within(seconds: float) -> Iterator[None]:
    """Let no query of the block take longer, where the database can be told so; SQLite's file is at hand."""
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{int(seconds * 1000)}ms"])
        yield
        if transaction.get_connection().needs_rollback:
            return
        with connection.cursor() as cursor:  # for the rest of a transaction around this one
            cursor.execute(USUAL_TIMEOUT)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise DeadlinePassed in the block once so much time has gone, whatever it waits for.

    A process can do so in its main thread alone, such as that of a command; elsewhere the deadlines of the database
    and of the broker have to do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise DeadlinePassed

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
