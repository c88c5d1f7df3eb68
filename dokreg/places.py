"""Where the processes of one installation keep what lasts as long as they do; imports no Django."""

import hashlib
import os
from pathlib import Path

DEFAULT_DATA = "data"
DEFAULT_BIND = "127.0.0.1:8000"


def variable(name: str, default: str) -> str:
    """A setting as it stands in this process's environment, or in the file that NAME_FILE names.

    Raises OSError for a file that cannot be read, and UnicodeDecodeError.
    """
    path = os.environ.get(f"{name}_FILE")
    return (Path(path).read_text().strip() if path else os.environ.get(name, "")) or default


def data_folder() -> Path:
    """DOKREG_DATA as it stands in this process's environment. Raises OSError."""
    return Path(variable("DOKREG_DATA", DEFAULT_DATA)).absolute()


def bind() -> str:
    """DOKREG_BIND as it stands there. Raises OSError."""
    return variable("DOKREG_BIND", DEFAULT_BIND)


def run_folder(data: Path) -> Path:
    """The folder of sockets and signs of life; it is another one for each user and each data folder.

    Whoever makes it makes it 0700 and checks its owner: in /tmp anybody may have been there first.
    """
    parent = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")  # noqa: S108 - see above
    return parent / f"dokreg-{os.getuid()}-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"
