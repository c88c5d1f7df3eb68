"""Connections to PostgreSQL: a pool of them, given back by whoever waits, and timeouts on what they do."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from psycopg import errors

from dokreg.configuration import as_postgresql
from dokreg.database import SecondsOf, give_back, is_away, patiently
from dokreg.models import Heartbeat
from tests.lab.postgres import Postgres
from tests.running import ROOT

WAITERS = """
import threading, time
from django.db import connection
from dokreg.database import give_back

def wait():
    connection.ensure_connection()
    give_back()
    all_wait.wait()
    connection.ensure_connection()
    connection.close()

all_wait = threading.Barrier(40)
threads = [threading.Thread(target=wait) for _ in range(40)]
for thread in threads: thread.start()
for thread in threads: thread.join()
with connection.cursor() as cursor:
    cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dokreg'")
    print(cursor.fetchone()[0])
"""
SLOW = """
from django.db import OperationalError, connection
from django.utils import timezone
with connection.cursor() as cursor:
    cursor.execute("SHOW statement_timeout"); print(cursor.fetchone()[0])
    cursor.execute("SHOW lock_timeout"); print(cursor.fetchone()[0])
    cursor.execute("SET statement_timeout = 50")
    try:
        cursor.execute("SELECT pg_sleep(20)")
    except OperationalError as error:
        print(error)
from django.core.management import call_command
call_command("migrate", verbosity=0)
with connection.cursor() as cursor:
    cursor.execute("SHOW statement_timeout"); print(cursor.fetchone()[0])
"""


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    with postgres.database("pooled") as name:
        yield postgres.url(name)


def shell(code: str, url: str, data: Path, **variables: str) -> list[str]:
    """What the code prints in a dokreg on that database."""
    keys = {"DOKREG_SECRET_KEY": "s" * 50, "DOKREG_FERNET_KEYS": "f" * 43}
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "--command", code],
        cwd=ROOT,
        env={"DATABASE_URL": url, "DOKREG_DATA": str(data), **keys, **variables},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_forty_that_wait_need_five_connections(url: str, tmp_path: Path) -> None:
    assert int(shell(WAITERS, url, tmp_path, DOKREG_DATABASE_CONNECTIONS="5")[0]) <= 5


def test_statements_and_locks_end_but_a_migration_may_take_long(url: str, tmp_path: Path) -> None:
    statement, lock, cancelled, *_, in_migrations = shell(SLOW, url, tmp_path)
    assert (statement, lock, in_migrations) == ("30s", "15s", "0")
    assert "statement timeout" in cancelled


@pytest.mark.django_db
def test_nothing_is_given_back_inside_of_a_transaction() -> None:
    give_back()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_what_libpq_wants_stands_after_the_question_mark() -> None:
    database = as_postgresql("postgresql://me@db/name?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=2")
    assert database is not None
    options = database["OPTIONS"]
    assert (options["sslmode"], options["sslrootcert"], options["connect_timeout"]) == ("verify-full", "/ca.pem", "2")


def test_a_socket_may_be_the_host() -> None:
    database = as_postgresql("postgresql://me@/name?host=/run/postgresql")
    assert database is not None
    assert database["HOST"] == "/run/postgresql"


@pytest.mark.parametrize("option", ["options=-c%20statement_timeout=0", "password=hunter2", "nonsense=1"])
def test_what_is_none_of_its_words_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match="what is none of") as refused:
        as_postgresql(f"postgresql://me@db/name?{option}")
    assert "hunter2" not in str(refused.value)


class Passing:
    """Fails as a database that is away does, a few times."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left, self.error = times, error

    def __call__(self) -> str:
        if self.left:
            self.left -= 1
            raise OperationalError("away") from self.error
        return "done"


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (errors.AdminShutdown(), True),
        (errors.CrashShutdown(), True),
        (errors.CannotConnectNow(), True),
        (errors.ConnectionFailure(), True),
        (psycopg.OperationalError("the pool has none"), True),
        (errors.DiskFull(), False),
        (sqlite3.OperationalError("no such table"), False),
    ],
)
def test_what_passes_by_itself_is_told_from_what_does_not(error: Exception, away: bool) -> None:
    with pytest.raises(OperationalError) as raised:
        Passing(1, error)()
    assert is_away(raised.value) == away
    assert not is_away(error)


@pytest.mark.django_db(transaction=True)
def test_a_short_act_rides_out_a_gap() -> None:
    assert patiently(Passing(2, errors.AdminShutdown())) == "done"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("error", "seconds"), [(errors.AdminShutdown(), 0.0), (errors.DiskFull(), 30.0)])
def test_patience_ends(error: Exception, seconds: float) -> None:
    with pytest.raises(OperationalError):
        patiently(Passing(9, error), seconds=seconds)


@pytest.mark.django_db
def test_nothing_is_tried_again_inside_of_a_transaction() -> None:
    act = Passing(1, errors.AdminShutdown())
    with pytest.raises(OperationalError):
        patiently(act)
    assert act() == "done"


@pytest.mark.django_db
def test_a_time_in_seconds_is_the_one_that_is_stored() -> None:
    beat = Heartbeat.objects.create(name="worker", at=timezone.now())
    (seconds,) = Heartbeat.objects.filter(pk=beat.pk).values_list(SecondsOf("at"), flat=True)
    assert seconds == pytest.approx(beat.at.timestamp(), abs=0.001)
