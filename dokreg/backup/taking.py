"""Taking a backup while dokreg runs: one moment of the database, whoever writes meanwhile."""

import contextlib
import sqlite3
from pathlib import Path

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from django.utils.crypto import salted_hmac

from dokreg import __version__
from dokreg.backup import archives, rows, staging
from dokreg.backup.archives import Manifest
from dokreg.backup.problems import BackupProblem


def take(target: str) -> Manifest:
    """Write a backup to a file, or to standard output for `-`; what it is. Raises BackupProblem."""
    with staging.folder() as folder:
        database = folder / archives.DATABASE
        taken_at = timezone.now()
        if connection.vendor == "sqlite":
            _snapshot_sqlite(database)
        else:
            _snapshot_by_rows(database)
        with staging.opened(database) as staged:
            applied = sorted(MigrationRecorder(staged).applied_migrations())
            counts = rows.count_all(staged)
        manifest = Manifest(
            dokreg=__version__,
            taken_at=taken_at.isoformat(),
            database=connection.vendor,
            migrations=[list(migration) for migration in applied],
            rows=counts,
            size=database.stat().st_size,
            sha256=archives.digest_of(database),
            secret_key=mark_of_secret_key(),
        )
        archives.write(target, manifest=manifest, database=database)
    return manifest


def mark_of_secret_key() -> str:
    """Tells whether a backup was taken with the same secret key, and nothing about the key."""
    return salted_hmac("dokreg.backup", "secret key", algorithm="sha256").hexdigest()


def _snapshot_sqlite(database: Path) -> None:
    """Readers and writers go on beside it; what was deleted is not in it."""
    live = Path(str(settings.DATABASES[DEFAULT_DB_ALIAS]["NAME"]))
    if not live.is_file():
        raise BackupProblem(f"There is no database yet: {live} does not exist.")
    try:
        with contextlib.closing(sqlite3.connect(live, timeout=60)) as source:
            source.execute("VACUUM INTO ?", [str(database)])
    except sqlite3.Error as error:
        raise BackupProblem(f"The database cannot be read: {error}. There is no backup.") from error


def _snapshot_by_rows(database: Path) -> None:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan or set(executor.loader.applied_migrations) - set(executor.loader.disk_migrations):
        raise BackupProblem(
            "The database is of another version of dokreg than this one. Take the backup with the version that it was "
            "run with last, or bring the database up to this one first: manage.py migrate"
        )
    with staging.as_the_installation(database):
        fresh = MigrationExecutor(connection)
        fresh.migrate(fresh.loader.graph.leaf_nodes())
    with staging.opened(database) as staged, transaction.atomic(), transaction.atomic(using=staging.STAGED):
        _see_one_moment(connection)
        rows.copy_all(source=DEFAULT_DB_ALIAS, target=staged)


def _see_one_moment(live: BaseDatabaseWrapper) -> None:
    with live.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
