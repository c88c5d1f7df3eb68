"""Restoring a backup: made ready beside the live database, which is then replaced as a whole or not at all."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from dokreg import up
from dokreg.backup import archives, endings, rows, staging
from dokreg.backup.archives import Manifest
from dokreg.backup.problems import BackupProblem
from dokreg.checks import WrongKeys, verify_keys
from dokreg.health import ALIVE_WITHIN
from dokreg.models import Heartbeat

Say = Callable[[str], None]
SEEN_AGAIN_WITHIN = 13.0  # seconds; a worker and beat each beat every ten
LOCKED_AT_MOST = 30.0  # seconds that somebody else may hold the live database
# One of each is in every installation that somebody has set up.
_SET_UP = ("organisations_user", "organisations_organisation")
OWN_APPS = frozenset({"dokreg", "organisations", "servers", "registries", "applications"})
OLDEST_APPS = frozenset({"organisations", "servers", "registries"})  # those that every version has had


def look(source: str) -> Manifest:
    """Make a backup ready as `restore` does, and change nothing; what it is. Raises BackupProblem."""
    with staging.folder() as folder:
        _refuse_that_of_another_application()
        database = folder / archives.DATABASE
        manifest = archives.read(source, into=database)
        _make_ready(database, manifest)
    return manifest


def restore(source: str, *, replace: bool, say: Say) -> Manifest:
    """Put a backup in the place of the live database; what it is.

    Raises BackupProblem, and has changed nothing then. `replace` allows it where somebody has set dokreg up already.
    """
    with _alone(), staging.folder() as folder:
        _refuse_that_of_another_application()
        if not replace and not is_empty():
            raise BackupProblem(
                "The database has somebody's data in it, which a restore would replace. "
                "Take a backup of it, then run this again with --replace."
            )
        database = folder / archives.DATABASE
        manifest = archives.read(source, into=database)
        _make_ready(database, manifest)
        _refuse_while_running(say)
        if connection.vendor == "sqlite":
            _replace_sqlite(database)
        else:
            _replace_by_rows(database)
    return manifest


def is_empty() -> bool:
    """Whether nobody has set up the live database, whatever version it is of."""
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
        for table in there.intersection(_SET_UP):
            cursor.execute(f"SELECT 1 FROM {connection.ops.quote_name(table)} LIMIT 1")  # noqa: S608 - names from above
            if cursor.fetchone() is not None:
                return False
    return True


def _refuse_that_of_another_application() -> None:
    labels = {label for label, _name in _recorded_migrations()}
    if not labels >= OLDEST_APPS and labels - MigrationLoader(None).migrated_apps:
        raise BackupProblem(
            "The database belongs to another application of Django’s, whose tables stand where dokreg’s would. "
            "Nothing was changed. Give dokreg a database of its own."
        )


def _recorded_migrations() -> list[tuple[str, str]]:
    """(app, name) of every migration that the live database has seen, of whatever application."""
    recorder = MigrationRecorder(connection)
    return list(recorder.applied_migrations()) if recorder.has_table() else []


def _make_ready(database: Path, manifest: Manifest) -> None:
    """Check the database of a backup, bring it up to this version, and end what must not come back to life."""
    with staging.as_the_installation(database):
        try:
            _refuse_damaged()
            _refuse_newer(manifest)
            if rows.count_all(connection) != manifest.rows:
                raise BackupProblem("The backup is damaged: rows are missing. Take another one.")
            verify_keys()
            call_command("migrate", interactive=False, verbosity=0)
            endings.end_all(manifest.taken)
            connection.check_constraints()
        except WrongKeys as error:
            raise BackupProblem(
                "None of the present keys opens the secrets in this backup. Nothing was changed. Keys are not part of "
                "a backup: put those that it was taken with into DOKREG_FERNET_KEYS (or data/keys/fernet_keys), "
                "and restore again."
            ) from error
        except DatabaseError as error:
            raise BackupProblem(f"The backup cannot be brought up to this version: {error}") from error


def _refuse_damaged() -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check(1)")
        if cursor.fetchone() != ("ok",):
            raise BackupProblem("The database in the backup is damaged. Take another backup.")


def _refuse_newer(manifest: Manifest) -> None:
    loader = MigrationLoader(connection)
    unknown = [
        f"{app}.{name}"
        for app, name in loader.applied_migrations
        if app in loader.migrated_apps and (app, name) not in loader.disk_migrations
    ]
    if unknown:
        raise BackupProblem(
            f"The backup is of dokreg {manifest.dokreg}, which is newer than this version: it has changes of the "
            f"database that are not known here ({', '.join(sorted(unknown)[:3])}). Restore it with that version."
        )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """No `manage.py up` runs on this data folder, or starts meanwhile."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(up.only_one(settings.DOKREG_DATA))
        except up.CannotStart as error:
            raise BackupProblem(f"{str(error)[0].upper()}{str(error)[1:]} Stop it first.") from error
        except OSError as error:
            raise staging.cannot_write(error) from error
        yield


def _refuse_while_running(say: Say) -> None:
    """By heartbeats: they know workers on other machines as well."""
    before = _heartbeats()
    if not before:
        return
    say("Looking for a while whether workers or beat still run…")
    end = time.monotonic() + SEEN_AGAIN_WITHIN
    while time.monotonic() < end:
        time.sleep(0.5)
        if alive := sorted(name for name, at in _heartbeats().items() if before.get(name) != at):
            raise BackupProblem(f"dokreg runs ({', '.join(alive)}). Stop web, workers and beat first.")


def _heartbeats() -> dict[str, object]:
    try:
        return dict(Heartbeat.objects.filter(at__gt=timezone.now() - ALIVE_WITHIN).values_list("name", "at"))
    except DatabaseError:
        return {}  # no tables yet, or those of another version


def _replace_sqlite(database: Path) -> None:
    """SQLite's own copying of databases: one transaction, and processes that have the file open see its end.

    A new file under the old name would leave those writing into the old one.
    """
    connection.close()
    end = time.monotonic() + LOCKED_AT_MOST

    def is_waiting(status: int, _remaining: int, _total: int) -> None:
        if status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} and time.monotonic() > end:
            raise _locked()

    live = Path(str(settings.DATABASES[DEFAULT_DB_ALIAS]["NAME"]))
    try:
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(live)) as target,
        ):
            target.execute("PRAGMA journal_mode=WAL")
            source.backup(target, progress=is_waiting)
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise BackupProblem(f"The database cannot be replaced: {error}. It is as it was.") from error


def _replace_by_rows(database: Path) -> None:
    """One transaction: the old tables go, whatever version they are of; those of this one come, with the rows."""
    try:
        with staging.opened(database) as staged, transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCKED_AT_MOST:.0f}s'")
            _drop_tables()
            executor = MigrationExecutor(connection)
            executor.migrate(executor.loader.graph.leaf_nodes())
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")  # the migrations have some checked at once
            rows.copy_all(source=staging.STAGED, target=connection)
            if rows.count_all(connection) != rows.count_all(staged):
                raise BackupProblem("Not every row has arrived. The database is as it was. Restore again.")
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", "") == "55P03":  # lock_not_available
            raise _locked() from error
        raise BackupProblem(f"The database cannot be replaced: {error}. It is as it was.") from error


def _drop_tables() -> None:
    """dokreg's own; other tables in the same schema stay, and hold it up if they refer to these."""
    own = {model._meta.db_table for model in apps.get_models(include_auto_created=True, include_swapped=True)} | {
        MigrationRecorder.Migration._meta.db_table
    }
    unknown = set(_recorded_migrations()) - set(MigrationLoader(None).disk_migrations)
    known = OWN_APPS.union(config.label for config in apps.get_app_configs())
    newer = tuple(f"{app}_" for app in known.intersection(app for app, _name in unknown))
    with connection.cursor() as cursor:
        there = connection.introspection.table_names(cursor)
        # A later version may have tables that are not known here; what it calls them begins with the app's name.
        tables = [table for table in there if table in own or table.startswith(newer)]
        if tables:
            cursor.execute(f"DROP TABLE {', '.join(map(connection.ops.quote_name, tables))}")


def _locked() -> BackupProblem:
    return BackupProblem("Another process holds the database. It is as it was. Stop dokreg, then restore again.")
