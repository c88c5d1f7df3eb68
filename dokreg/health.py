"""Is the installation whole? What /healthz and the pages say about it."""

import datetime as dt
import logging
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import close_old_connections, connection
from django.utils import timezone
from kombu.exceptions import OperationalError

from dokreg.models import Heartbeat

log = logging.getLogger(__name__)
ALIVE_WITHIN = dt.timedelta(seconds=45)
FORGOTTEN_AFTER = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the installation; `problem` is empty if it is well."""

    part: str
    problem: str = ""


def beat(name: str) -> None:
    """Note that a background process lives; a database that is away for a moment is no reason to die."""
    close_old_connections()
    try:
        Heartbeat.objects.update_or_create(name=name, defaults={"at": timezone.now()})
        Heartbeat.objects.filter(at__lt=timezone.now() - FORGOTTEN_AFTER).delete()
    except DatabaseError as error:
        log.warning("The heartbeat of %s could not be written: %s", name, type(error).__name__)


def examine() -> list[Finding]:
    """Database, broker, worker, beat; each asked with a short deadline."""
    database = _database()
    if database.problem:
        unknown = "not known without the database"
        return [database, _broker(), Finding("worker", unknown), Finding("beat", unknown)]
    return [
        database,
        _broker(),
        _heart(
            "worker",
            "worker ",
            "No worker has been seen for {age}: tests wait. Start: celery -A dokreg worker",
        ),
        _heart(
            "beat",
            "beat",
            "Beat has not been seen for {age}: nothing is refreshed. Start: celery -A dokreg beat",
        ),
    ]


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
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=2)
            broker.default_channel.client.ping()  # type: ignore[attr-defined]  # redis' own
    except (OperationalError, OSError, ConnectionError):
        return Finding("broker", "The broker does not answer.")
    except Exception as error:  # noqa: BLE001 - redis raises exceptions of its own, and a health check never fails
        return Finding("broker", f"The broker does not answer ({type(error).__name__}).")
    return Finding("broker")


def _heart(part: str, prefix: str, problem: str) -> Finding:
    last = Heartbeat.objects.filter(name__startswith=prefix).order_by("-at").values_list("at", flat=True).first()
    if last is None:
        return Finding(part, problem.format(age="as long as this database exists"))
    age = timezone.now() - last
    if age > ALIVE_WITHIN:
        return Finding(part, problem.format(age=f"{int(age.total_seconds())} s"))
    return Finding(part)
