"""Installations that nobody runs, with a row of everything, and what is in them: for tests of backup and restore."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from tests.lab.postgres import Postgres
from tests.running import ROOT, Running

KEY_FILES = ("secret_key", "fernet_keys")


def on_sqlite(data: Path) -> Running:
    """One that is ready and empty; all of these have the same keys."""
    return Running(data, is_embedded=True)


def on_postgres(data: Path, postgres: Postgres, database: str, *, keys_of: Running) -> Running:
    """One on an empty database, with the keys of another."""
    secret_key, fernet_keys = ((keys_of.data / "keys" / name).read_text().strip() for name in KEY_FILES)
    return Running(
        data,
        DATABASE_URL=postgres.url(database),
        REDIS_URL="redis://127.0.0.1:1/0",
        DOKREG_SECRET_KEY=secret_key,
        DOKREG_FERNET_KEYS=fernet_keys,
    )


def fill(installation: Running) -> None:
    """A row of everything that an installation may have, all of it over."""
    installation.run_module("tests.dokreg.filling", None)


def contents(installation: Running) -> dict[str, dict[str, dict[str, Any]]]:
    """Model → primary key → column → value; secrets opened."""
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(installation.run_module("tests.dokreg.contents", None))
    return found


def refusal(installation: Running, *arguments: str) -> str:
    """Why a management command does not do it; fails if it does."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=installation.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


def unpack(backup: Path, folder: Path) -> Path:
    """The database in a backup; its manifest lies beside it."""
    with tarfile.open(backup) as archive:
        archive.extractall(folder, filter="data")
    return folder / "dokreg.sqlite3"


def repacked(backup: Path, folder: Path, **changes: Any) -> Path:
    """The backup with another manifest."""
    database = unpack(backup, folder)
    manifest = json.loads((folder / "manifest.json").read_text()) | changes
    changed = folder / "changed.tar.gz"
    with tarfile.open(changed, "w:gz") as archive:
        for name, content in (("manifest.json", json.dumps(manifest).encode()), (database.name, database.read_bytes())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return changed
