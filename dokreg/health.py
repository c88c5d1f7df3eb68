"""Is the installation whole? What /healthz and the pages say about it."""

import datetime as dt
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import Error as DatabaseError
from django.db import close_old_connections, connection
from django.utils import timezone
from kombu.exceptions import OperationalError

from dokreg.models import Heartbeat

log = logging.getLogger(__name__)
ALIVE_WITHIN = dt.timedelta(seconds=45)
FORGOTTEN_AFTER = dt.timedelta(days=1)
STARTED_AT = timezone.now()  # this process
UP_WITHIN = dt.timedelta(seconds=20)  # the others, which start with it

QUICKLY: dict[str, Any] = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "timeout": 2}  # to the broker


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the installation; `problem` is empty if it is well."""

    part: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Heart:
    """A background process that must beat; `prefix` is how the names of its heartbeats begin."""

    part: str
    prefix: str
    missed: str
    start: str

    def problem(self, last: dt.datetime | None) -> str:
        """What stands still without it, if it was last seen at that time; empty if it is alive."""
        if last is None:
            return self.missed.format(when="in the last 24 h")  # what is older is forgotten
        age = timezone.now() - last
        return self.missed.format(when=f"for {_in_words(age)}") if age > ALIVE_WITHIN else ""


WORKER = Heart(
    "worker",
    "worker ",
    "No worker has been seen {when}: tests, logins and refreshes of tokens wait.",
    "python -m dokreg.start worker",
)
BEAT = Heart(
    "beat",
    "beat",
    "Beat has not been seen {when}: tokens are not refreshed, and what broke off is not taken up again.",
    "python -m dokreg.start beat",
)


def beat(name: str) -> None:
    """Note that a background process lives; a database that is away for a moment is no reason to die."""
    if not connection.in_atomic_block:
        close_old_connections()
    try:
        Heartbeat.objects.update_or_create(name=name, defaults={"at": timezone.now()})
        Heartbeat.objects.filter(at__lt=timezone.now() - FORGOTTEN_AFTER).delete()
    except DatabaseError as error:
        log.warning("The heartbeat of %s could not be written: %s", name, type(error).__name__)


def ask(part: str) -> Finding:
    """One part alone: `database`, `broker`, `worker` or `beat`."""
    hearts = {heart.part: heart for heart in (WORKER, BEAT)}
    if part in hearts:
        return _heart(hearts[part])
    return _database() if part == "database" else _broker()


def examine() -> list[Finding]:
    """Database, broker, worker, beat; each asked with a short deadline."""
    database = _database()
    if database.problem:
        unknown = "not known without the database"
        return [database, _broker(), Finding("worker", unknown), Finding("beat", unknown)]
    return [database, _broker(), _heart(WORKER), _heart(BEAT)]


def standstill() -> str:
    """What stands still because a background process is away, for every page; empty if all is well.

    One query. Nothing is said while this process itself is young: the others may take a moment longer to come up.
    """
    if timezone.now() - STARTED_AT <= UP_WITHIN:
        return ""
    seen = list(Heartbeat.objects.values_list("name", "at"))
    problems = (heart.problem(_latest(seen, heart)) for heart in (WORKER, BEAT))
    return next(filter(None, problems), "")


def _database() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return Finding("database", "The database does not answer.")
    return Finding("database")


def _broker() -> Finding:
    from dokreg.celery import app

    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(**QUICKLY)
            broker.default_channel.client.ping()  # type: ignore[attr-defined]  # redis' own
    except (OperationalError, OSError, ConnectionError):
        return Finding("broker", "The broker does not answer.")
    except Exception as error:  # noqa: BLE001 - redis raises exceptions of its own, and a health check never fails
        return Finding("broker", f"The broker does not answer ({type(error).__name__}).")
    return Finding("broker")


def _heart(heart: Heart) -> Finding:
    seen = Heartbeat.objects.filter(name__startswith=heart.prefix).values_list("name", "at")
    problem = heart.problem(_latest(seen, heart))
    return Finding(heart.part, f"{problem} Start: {heart.start}" if problem else "")


def _latest(seen: Iterable[tuple[str, dt.datetime]], heart: Heart) -> dt.datetime | None:
    return max((at for name, at in seen if name.startswith(heart.prefix)), default=None)


def _in_words(age: dt.timedelta) -> str:
    seconds = int(age.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 2 * 3600 else f"{seconds // 3600} h"
