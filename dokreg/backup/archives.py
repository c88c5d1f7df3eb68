"""The file of a backup: a compressed tar with `manifest.json` and, in `dokreg.sqlite3`, every row.

The manifest says what is in the database, so that a file that was cut or changed is recognised before it is used.
"""

import contextlib
import dataclasses
import datetime as dt
import gzip
import hashlib
import io
import json
import os
import secrets
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from dokreg.backup.problems import BackupProblem

FORMAT = 1
MANIFEST, DATABASE = "manifest.json", "dokreg.sqlite3"
STANDARD_STREAM = "-"
_LONGEST_MANIFEST = 1024 * 1024
_BLOCK = 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is.

    `taken_at` is in ISO 8601; `database` is the kind it was taken from; `migrations` are [app, name]; `rows` counts
    them by table; `size` is in bytes; `secret_key` is a keyed hash that tells whether the secret key is still the same.
    """

    dokreg: str
    taken_at: str
    database: str
    migrations: list[list[str]]
    rows: dict[str, int]
    size: int
    sha256: str
    secret_key: str
    format: int = FORMAT

    @property
    def taken(self) -> dt.datetime:
        return dt.datetime.fromisoformat(self.taken_at)

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Raises BackupProblem for a format of a later version, and for what is no manifest."""
        try:
            values: dict[str, Any] = json.loads(text)
            if values["format"] > FORMAT:
                raise BackupProblem(
                    f"The backup was made by dokreg {values['dokreg']}, in a form that this version does not know. "
                    f"Restore it with dokreg {values['dokreg']} or later."
                )
            known = {field.name: values[field.name] for field in dataclasses.fields(cls)}
            manifest = cls(**known | {"size": int(values["size"])})
            manifest.taken  # noqa: B018 - it must be a time
        except (ValueError, KeyError, TypeError) as error:
            raise _not_a_backup() from error
        return manifest


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(target: str, *, manifest: Manifest, database: Path) -> None:
    """Write a backup to a file (0600, there as a whole or not at all) or, for `-`, to standard output."""
    if target == STANDARD_STREAM:
        _write_to(sys.stdout.buffer, manifest, database)
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            _write_to(file, manifest, database)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise BackupProblem(f"{path} cannot be written: {error.strerror}. There is no backup.") from error
    finally:
        draft.unlink(missing_ok=True)


def read(source: str, *, into: Path) -> Manifest:
    """Unpack the database of a backup into a file (0600), and check it against its manifest. Raises BackupProblem."""
    try:
        with _opened(source) as file, gzip.GzipFile(fileobj=file) as packed:
            with tarfile.open(fileobj=packed, mode="r|") as archive:
                manifest = Manifest.from_json(_member(archive, MANIFEST).read(_LONGEST_MANIFEST))
                digest = _unpack(_member(archive, DATABASE), into, limit=manifest.size)
            while packed.read(_BLOCK):  # to its end, where it says whether it is whole
                pass
    except OSError as error:
        if isinstance(error, tarfile.TarError) or error.strerror is None:  # what gzip raises has no errno
            raise _not_a_backup() from error
        raise BackupProblem(f"{source} cannot be read: {error.strerror}.") from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _not_a_backup() from error
    if digest != manifest.sha256 or into.stat().st_size != manifest.size:
        raise BackupProblem("The backup is damaged: what is in it is not what its manifest says. Take another one.")
    return manifest


def _write_to(file: IO[bytes], manifest: Manifest, database: Path) -> None:
    with (
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        text = manifest.to_json()
        archive.addfile(_entry(MANIFEST, len(text), manifest), io.BytesIO(text))
        with database.open("rb") as rows:
            archive.addfile(_entry(DATABASE, manifest.size, manifest), rows)


def _entry(name: str, size: int, manifest: Manifest) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(manifest.taken.timestamp())
    return entry


@contextlib.contextmanager
def _opened(source: str) -> Iterator[IO[bytes]]:
    if source == STANDARD_STREAM:
        yield sys.stdin.buffer
    else:
        with Path(source).open("rb") as file:
            yield file


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """The next member of the stream, which must have this name; it is read here and goes nowhere by itself."""
    entry = archive.next()
    file = archive.extractfile(entry) if entry is not None and entry.name == name and entry.isreg() else None
    if file is None:
        raise _not_a_backup()
    return file


def _unpack(member: IO[bytes], into: Path, *, limit: int) -> str:
    digest, size = hashlib.sha256(), 0
    with open(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while size <= limit and (block := member.read(_BLOCK)):
            size += len(block)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_a_backup() -> BackupProblem:
    return BackupProblem("This is no backup of dokreg, or it is cut off. Take a file that “manage.py backup” has made.")
