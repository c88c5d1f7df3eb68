"""A database beside the live one, in which a backup is put together or made ready to be restored."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite

from dokreg.backup.problems import BackupProblem

STAGED = "staged"
_PREFIX, _LOCK = ".staging-", "lock"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder (0700) in the data folder, gone with the block; those of processes that were killed go as well.

    Raises BackupProblem if nothing can be written there.
    """
    for left in settings.DOKREG_DATA.glob(f"{_PREFIX}*"):
        _remove_if_orphaned(left)
    try:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=settings.DOKREG_DATA))
    except OSError as error:
        raise cannot_write(error) from error
    with (path / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield path
        finally:
            shutil.rmtree(path)


@contextlib.contextmanager
def opened(database: Path) -> Iterator[BaseDatabaseWrapper]:
    """The file as the database `staged`."""
    connection = _connect(database)
    connections[STAGED] = connection
    try:
        yield connection
    finally:
        connection.close()
        del connections[STAGED]
        del connections.settings[STAGED]


@contextlib.contextmanager
def as_the_installation(database: Path) -> Iterator[None]:
    """The file as dokreg's own database, so that everything that works on that works on the file."""
    live, connection = connections[DEFAULT_DB_ALIAS], _connect(database)
    connection.alias = DEFAULT_DB_ALIAS
    connections[DEFAULT_DB_ALIAS] = connection
    ContentType.objects.clear_cache()
    try:
        yield
    finally:
        connection.close()
        connections[DEFAULT_DB_ALIAS] = live
        del connections.settings[STAGED]
        ContentType.objects.clear_cache()


def cannot_write(error: OSError) -> BackupProblem:
    """For whoever finds that nothing can be written in the data folder."""
    advice = "Let the user that dokreg runs as write there, and make room for it twice."
    if connections[DEFAULT_DB_ALIAS].vendor != "sqlite":  # which lies in there itself
        advice = "Set DOKREG_DATA to a folder that has room for it twice."
    return BackupProblem(
        f"The data folder {settings.DOKREG_DATA} cannot be written to: {error.strerror}. Backup and restore put the "
        f"database together in there. {advice}"
    )


def _connect(database: Path) -> SQLite:
    options = {
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=DELETE; PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON",
    }
    wanted = {DEFAULT_DB_ALIAS: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(database), "OPTIONS": options}}
    connections.settings[STAGED] = connections.configure_settings(wanted)[DEFAULT_DB_ALIAS]
    connection = connections.create_connection(STAGED)
    assert isinstance(connection, SQLite)  # noqa: S101 - as the engine says
    return connection


def _remove_if_orphaned(path: Path) -> None:
    try:
        with (path / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
    except OSError:
        return  # another process is at work in it, or has just removed it
