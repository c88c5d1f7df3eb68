"""The file of a backup: whatever is wrong with it is noticed while it is read."""

import gzip
import io
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dokreg.backup import archives
from dokreg.backup.archives import Manifest
from dokreg.backup.problems import BackupProblem
from tests.dokreg.installations import repacked

pytestmark = pytest.mark.once
ROWS = os.urandom(300_000)


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    database = tmp_path / "rows"
    database.write_bytes(ROWS)
    manifest = Manifest(
        dokreg="1.0", taken_at="2026-05-01T12:00:00+00:00", database="sqlite", migrations=[["dokreg", "0001_initial"]],
        rows={"dokreg_heartbeat": 1}, size=len(ROWS), sha256=archives.digest_of(database), secret_key="0" * 64,
    )  # fmt: skip
    archives.write(str(tmp_path / "b.tar.gz"), manifest=manifest, database=database)
    return tmp_path / "b.tar.gz"


def read(file: Path, tmp_path: Path) -> Manifest:
    return archives.read(str(file), into=tmp_path / "unpacked")


def test_it_comes_out_as_it_went_in(backup: Path, tmp_path: Path) -> None:
    manifest = read(backup, tmp_path)
    assert (tmp_path / "unpacked").read_bytes() == ROWS
    assert stat.S_IMODE((tmp_path / "unpacked").stat().st_mode) == stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert (manifest.migrations, manifest.taken.year) == ([["dokreg", "0001_initial"]], 2026)


def test_anybody_can_unpack_it(backup: Path) -> None:
    with tarfile.open(backup) as archive:
        assert archive.getnames() == ["manifest.json", "dokreg.sqlite3"]


@pytest.mark.parametrize("kept", [0, 1, 100, 1000, 200_000, -9, -1])
def test_wherever_it_is_cut_off_it_is_refused(kept: int, backup: Path, tmp_path: Path) -> None:
    backup.write_bytes(backup.read_bytes()[:kept])
    with pytest.raises(BackupProblem, match="no backup of dokreg, or it is cut off"):
        read(backup, tmp_path)


@pytest.mark.parametrize("place", [0, 5, 300, 5000, 150_000, -5])
def test_whatever_byte_is_changed_it_is_refused(place: int, backup: Path, tmp_path: Path) -> None:
    content = bytearray(backup.read_bytes())
    content[place] ^= 0xFF
    backup.write_bytes(content)
    if place == 5:  # a time in gzip's header, which nobody reads
        read(backup, tmp_path)
        return
    with pytest.raises(BackupProblem, match=r"no backup of dokreg|damaged"):
        read(backup, tmp_path)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"sha256": "0" * 64}, "damaged"),
        ({"size": 4096}, "damaged"),
        ({"size": 400_000}, "damaged"),
        ({"size": "many"}, "no backup of dokreg"),
        ({"format": 2, "dokreg": "9.9"}, "Restore it with dokreg 9.9 or later"),
        ({"taken_at": "soon"}, "no backup of dokreg"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    changes: dict[str, Any], word: str, backup: Path, tmp_path: Path
) -> None:
    with pytest.raises(BackupProblem, match=word):
        read(repacked(backup, tmp_path, **changes), tmp_path)


@pytest.mark.parametrize("name", ["../manifest.json", "dokreg.sqlite3", "other"])
def test_other_archives_are_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "other.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(BackupProblem, match="no backup of dokreg"):
        read(file, tmp_path)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    for content in (b"PK\x03\x04 something else", gzip.compress(b"something else")):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(BackupProblem, match="no backup of dokreg"):
            read(tmp_path / "file", tmp_path)


def test_what_was_there_stays_if_the_new_one_cannot_be_written(backup: Path, tmp_path: Path) -> None:
    before = backup.read_bytes()
    manifest = read(backup, tmp_path)
    with pytest.raises(BackupProblem, match="There is no backup"):
        archives.write(str(backup), manifest=manifest, database=tmp_path / "missing")
    assert backup.read_bytes() == before
    assert not list(tmp_path.glob(".b.tar.gz*"))
