"""An installation that `manage.py prepare` has made ready once, for every dokreg of the tests to begin as a copy of.

Migrating an empty database takes several seconds of the processor; whoever tests that asks for a fresh one.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "DOKREG_TESTS_PREPARED"


def prepare(folder: Path, **variables: str) -> None:
    """Make it ready in an empty folder, or with those variables elsewhere."""
    passed_on = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = passed_on | {"DOKREG_DATA": str(folder)} | variables
    subprocess.run([sys.executable, "manage.py", "prepare"], cwd=ROOT, env=environment, check=True)


def copy_to(data: Path) -> None:
    """A copy of the data folder that is ready: database, keys, static files."""
    shutil.copytree(_folder(), data, dirs_exist_ok=True)


def database() -> Path:
    """The SQLite database of it; to be read alone."""
    return _folder() / "dokreg.sqlite3"


@functools.cache
def _folder() -> Path:
    """The one that whoever started these tests has made for several processes, or one for this process."""
    if FOLDER in os.environ:
        return Path(os.environ[FOLDER])
    folder = Path(tempfile.mkdtemp(prefix="dokreg-prepared-", dir="/var/tmp"))
    prepare(folder)
    return folder
