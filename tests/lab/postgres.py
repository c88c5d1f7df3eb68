"""PostgreSQL, which no root may run: as nobody, on a socket in its own folder, and on no network."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from tests.lab.daemons import Daemon
from tests.lab.packages import find

AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
# Everybody is trusted, but for one who has to know a password.
CALLERS = "local all locked scram-sha-256\nlocal all all trust\n"
OWNER = "postgres"


def address(sockets: str, database: str, *, user: str = OWNER, password: str = "") -> str:
    """The URL of a database of the server whose sockets are in that folder."""
    secret = f":{password}" if password else ""
    return f"postgresql://{user}{secret}@/{database}?host={sockets}"


class Postgres(Daemon):
    def __init__(self, folder: Path) -> None:
        super().__init__("postgres", folder)
        self.data = folder / "data"
        self.sockets = folder / "sockets"

    def command(self) -> Sequence[str]:
        if not self.data.exists():
            self._prepare()
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "fsync": "off",
            # In its own folder: tests look for what is left in /dev/shm.
            "dynamic_shared_memory_type": "mmap",
            "max_connections": "300",
            "timezone": "UTC",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [*AS_NOBODY, str(find("postgres")), "-D", str(self.data), *options]

    def _prepare(self) -> None:
        for folder in (self.data, self.sockets):
            folder.mkdir(mode=0o700 if folder == self.data else 0o755)
            shutil.chown(folder, "nobody", "nogroup")
        initdb = [str(find("initdb")), "--pgdata", str(self.data), "--username", OWNER, "--auth=trust", "--no-sync"]
        subprocess.run([*AS_NOBODY, *initdb, "--encoding=UTF8", "--locale=C"], check=True, capture_output=True, cwd="/")
        (self.data / "pg_hba.conf").write_text(CALLERS)

    def interrupt(self) -> None:
        """Shut it down at once; left alone, it waits until everybody has gone."""
        os.kill(self.pid, signal.SIGINT)

    def is_ready(self) -> bool:
        try:
            with self.connected():
                return True
        except psycopg.OperationalError:
            return False

    def url(self, database: str = "postgres", *, user: str = OWNER, password: str = "") -> str:
        return address(str(self.sockets), database, user=user, password=password)

    @contextlib.contextmanager
    def connected(self, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        connection = psycopg.connect(self.url(database), autocommit=True)
        try:
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def database(self, name: str, *, template: str = "template0") -> Iterator[str]:
        """A database for one test, empty or a copy of another that nobody is connected to; its name."""
        self._say(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield name
        finally:
            self._say(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _say(self, statement: str) -> None:
        with self.connected() as connection:
            connection.execute(statement)
