"""Names of clouds that lead to this machine while the lab runs: lines in /etc/hosts, taken out again."""

import contextlib
import fcntl
import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from tests.lab.daemons import LabError

HOSTS = Path("/etc/hosts")
LOCK = Path("/var/tmp/dokreg-lab-hosts.lock")
MARK = "# put here by the lab of dokreg"
PATIENCE = 600
# Programs in Go, such as engines, remember the file for five seconds, whatever changes in it.
FORGOTTEN_AFTER = 5.2


def address_of(name: str) -> str:
    """The name's own loopback address, always the same, so that what is remembered of the last run is right."""
    digest = hashlib.sha256(name.encode()).digest()
    return f"127.{77 + digest[0] % 100}.{digest[1]}.{1 + digest[2] % 254}"


@contextlib.contextmanager
def leading_here(names: Iterable[str]) -> Iterator[None]:
    """Have the names resolve to their loopback addresses; another run of the lab waits until this one is done.

    Lines that a run left behind when it was killed go at the next start: who has the lock knows that it is alone.
    """
    with LOCK.open("w") as lock:
        _take(lock)
        before = _without_ours(HOSTS.read_text())
        _write(before + "".join(f"{address_of(name)} {name} {MARK}\n" for name in names))
        try:
            yield
        finally:
            _write(_without_ours(HOSTS.read_text()))


def _take(lock: TextIO) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise LabError(f"Another run of the lab has held {LOCK} for {PATIENCE} s.") from None
            time.sleep(0.2)
        else:
            return


def _without_ours(text: str) -> str:
    kept = "".join(line for line in text.splitlines(keepends=True) if MARK not in line)
    return kept if kept.endswith("\n") or not kept else f"{kept}\n"


def _write(text: str) -> None:
    """In place, as a container's file cannot be replaced, and never empty in between."""
    with HOSTS.open("r+") as file:
        file.write(text)
        file.truncate()
