"""Where the processes of one installation keep what lasts as long as they do; imports no Django."""

import hashlib
import os
from pathlib import Path

DEFAULT_DATA = "data"


def data_folder() -> Path:
    """DOKREG_DATA as it stands in this process's environment."""
    return Path(os.environ.get("DOKREG_DATA") or DEFAULT_DATA).absolute()


def run_folder(data: Path) -> Path:
    """The folder of sockets and signs of life; it is another one for each user and each data folder.

    Whoever makes it makes it 0700 and checks its owner: in /tmp anybody may have been there first.
    """
    parent = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")  # noqa: S108 - see above
    return parent / f"dokreg-{os.getuid()}-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"
