"""The packages of requirements.lock as files, for images that are built where no index can be asked.

`python -m tests.lab.wheels` fetches them once, with pip as this machine has it set up.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
FOLDER = Path(sys.prefix) / "wheels"
STAMP = FOLDER / ".fetched"


def wheels() -> Path:
    """The folder with all of them, fetched if it is not that of the present lock file."""
    if not STAMP.is_file() or STAMP.read_text() != _state():
        _fetch()
    return FOLDER


def _fetch() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command = [*pip, "--only-binary", ":all:", "--require-hashes", "--requirement", str(LOCK), "--dest", str(FOLDER)]
    if subprocess.run(command).returncode:
        sys.exit("The packages could not be fetched. With a network: python -m tests.lab.wheels")
    STAMP.write_text(_state())


def _state() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


if __name__ == "__main__":
    wheels()
