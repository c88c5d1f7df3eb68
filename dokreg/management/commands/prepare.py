"""Everything that must be done once before dokreg serves, in one process: quick when nothing is new.

Of several that start at once, on however many machines, one does it; the others wait, and find it done.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import logging
import os
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from dokreg.checks import WrongKeys, plant_canary, verify_keys

log = logging.getLogger(__name__)
LOCK = 0x646F6B726567  # "dokreg"; PostgreSQL knows such locks by numbers, and keeps those of each database apart
LOOK_EVERY_SECONDS = 0.2


class Command(BaseCommand):
    help = "Migrates the database, plants the key canary, collects static files; `up` runs it at every start."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--facts", action="store_true", help="Print, as JSON, what the supervisor needs to know.")
        parser.add_argument("--static", action="store_true", help="Collect the static files alone, as for an image.")

    def handle(self, *_: Any, **options: Any) -> None:
        with _one_on_this_machine(settings.DOKREG_DATA):
            if not options["static"]:
                self._prepare_database()
            prepare_static_files()
        if options["facts"]:
            self.stdout.write(json.dumps(facts()))

    def _prepare_database(self) -> None:
        try:
            with _one_at_this_database():
                prepare_database()
        except WrongKeys as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used: {error}") from error


def facts() -> dict[str, str]:
    """Where things are, and the one-time link if there is nobody yet."""
    link = io.StringIO()
    call_command("setup_link", if_needed=True, stdout=link)
    return {
        "data": str(settings.DOKREG_DATA),
        "url": settings.DOKREG_URL,
        "broker_socket": str(settings.DOKREG_BROKER_SOCKET) if settings.DOKREG_BROKER_EMBEDDED else "",
        "setup_link": link.getvalue().strip(),
    }


def prepare_database() -> None:
    """Migrate if there is anything to migrate; refuses with wrong keys before it changes anything."""
    settings.DOKREG_DATA.mkdir(mode=0o700, parents=True, exist_ok=True)
    executor = MigrationExecutor(connections["default"])
    is_new = not executor.loader.applied_migrations
    if not is_new and ("dokreg", "0001_initial") in executor.loader.applied_migrations:
        verify_keys()
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)
    else:
        executor.check_replacements()  # else a database with every step never learns what has replaced them
    plant_canary()
    database = Path(str(settings.DATABASES["default"]["NAME"]))
    if database.is_file():
        database.chmod(0o600)


def prepare_static_files() -> None:
    """Collect and compress the static files if they differ from those collected last.

    None is deleted: the version before may still serve its own, and the folder may hold what is not dokreg's.
    """
    stamp = settings.STATIC_ROOT / ".collected"
    state = _static_state()
    if stamp.is_file() and stamp.read_text() == state:
        return
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(state)


def _static_state() -> str:
    """What the files hold, not when they were written: the layers of an image keep times in seconds."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            content = Path(storage.path(path)).read_bytes()
            digest.update(f"{path} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


@contextlib.contextmanager
def _one_on_this_machine(folder: Path) -> Iterator[None]:
    """Wait for others who prepare the same data folder. One that nobody can write to needs no preparing."""
    if not os.access(folder, os.W_OK):
        yield
        return
    with (folder / ".prepare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _one_at_this_database() -> Iterator[None]:
    """Wait for others who prepare the same PostgreSQL database; SQLite lies in a data folder.

    The lock is asked for again and again, since one that is waited for ends at the database's lock timeout, and a
    migration may take longer. It belongs to the connection: who is killed gives it back.
    """
    if connection.vendor != "postgresql":
        yield
        return
    waited = False
    while not _say("SELECT pg_try_advisory_lock(%s)"):
        if not waited:
            log.info("Another process prepares the database; this one waits.")
        waited = True
        time.sleep(LOOK_EVERY_SECONDS)
    try:
        yield
    finally:
        with contextlib.suppress(DatabaseError):  # the connection is gone, and the lock with it
            _say("SELECT pg_advisory_unlock(%s)")


def _say(statement: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, [LOCK])
        return bool(cursor.fetchone()[0])
