"""Runs a command with a PostgreSQL and a Redis of its own beside it: `python -m tests.beside COMMAND…`.

Django's tests in that command use them, and so does every dokreg that is `running`, each with a database of its own.
"""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from dokreg import keys
from tests import prepared
from tests.lab.postgres import Postgres, address
from tests.lab.redis import Redis

SOCKETS, REDIS = "DOKREG_TESTS_POSTGRES", "DOKREG_TESTS_REDIS"
PREPARED = "prepared"  # a database that is migrated, and no more
KEYS = ("DOKREG_SECRET_KEY", "DOKREG_FERNET_KEYS")
DATABASES_OF_REDIS = 256
_numbers = itertools.count(1)


def is_there() -> bool:
    """Whether the tests run beside a PostgreSQL and a Redis."""
    return SOCKETS in os.environ


def new_database(*, template: str = PREPARED) -> str:
    """The name of a new database that is ready; of an empty one with `template0` as its template."""
    name = f"dokreg_{os.getpid()}_{next(_numbers)}"
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(database_url("postgres"), autocommit=True) as connection:
        connection.execute(statement)
    return name


def database_url(name: str) -> str:
    return address(os.environ[SOCKETS], name)


def folders() -> list[Path]:
    """Where the two keep what they are told: tables, their log, and what was queued."""
    return [Path(os.environ[SOCKETS]).parents[1]] if is_there() else []


def new_broker() -> str:
    """The address of a database in Redis that nobody else has."""
    number = os.getpid() * 7 + next(_numbers)  # the lab's processes of one run hardly meet: each has its own Redis
    return f"{os.environ[REDIS]}/{number % (DATABASES_OF_REDIS - 1) + 1}"


def variables(name: str, broker: str) -> dict[str, str]:
    """The settings of a dokreg on that database and broker."""
    return {"DATABASE_URL": database_url(name), "REDIS_URL": broker} | {key: os.environ[key] for key in KEYS}


def main(command: list[str]) -> int:
    folder = Path(tempfile.mkdtemp(prefix="dokreg-beside-", dir="/var/tmp"))
    folder.chmod(0o711)
    try:
        with Postgres(folder / "postgres") as postgres, Redis(folder / "redis", databases=DATABASES_OF_REDIS) as redis:
            os.environ[SOCKETS], os.environ[REDIS] = str(postgres.sockets), redis.server_url
            os.environ.update({key: keys.new_key() for key in KEYS})
            with postgres.connected() as connection:
                connection.execute(f"CREATE DATABASE {PREPARED}")
            prepared.prepare(folder / "data", **variables(PREPARED, redis.url))
            return subprocess.run(command, env=os.environ | variables("postgres", redis.url)).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
