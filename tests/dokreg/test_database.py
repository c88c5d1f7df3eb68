"""Connections to PostgreSQL: a pool of them, given back by whoever waits, and timeouts on what they do."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from dokreg.configuration import as_postgresql
from dokreg.database import give_back
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
        timeout=90,
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
    with pytest.raises(ValueError, match="which is none of") as refused:
        as_postgresql(f"postgresql://me@db/name?{option}")
    assert "hunter2" not in str(refused.value)
