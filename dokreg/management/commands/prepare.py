"""Everything that must be done once before dokreg serves, in one process: quick when nothing is new."""

import hashlib
import io
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from dokreg.checks import WrongKeys, plant_canary, verify_keys


class Command(BaseCommand):
    help = "Migrates the database, plants the key canary, collects static files; `up` runs it at every start."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--facts", action="store_true", help="Print, as JSON, what the supervisor needs to know.")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            prepare_database()
        except WrongKeys as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used: {error}") from error
        prepare_static_files()
        if options["facts"]:
            self.stdout.write(json.dumps(facts()))


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
    plant_canary()
    database = Path(str(settings.DATABASES["default"]["NAME"]))
    if database.is_file():
        database.chmod(0o600)


def prepare_static_files() -> None:
    """Collect and compress the static files if they differ from those collected last."""
    stamp = settings.STATIC_ROOT / ".collected"
    state = _static_state()
    if stamp.is_file() and stamp.read_text() == state:
        return
    call_command("collectstatic", interactive=False, verbosity=0, clear=settings.STATIC_ROOT.is_dir())
    stamp.write_text(state)


def _static_state() -> str:
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            file = Path(storage.path(path))
            digest.update(f"{path} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()
