"""Which process has something in hand, and whether it still can."""

import datetime as dt
import functools
import os
import socket
from pathlib import Path


def this_process() -> str:
    """The name of this process: machine and number."""
    return f"{machine()}:{os.getpid()}"


@functools.cache
def machine() -> str:
    """What process numbers count in: one start of one machine, and there one namespace of processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def is_abandoned(process: str, lease_until: dt.datetime | None, now: dt.datetime) -> bool:
    """Whether nobody has it in hand any more: the lease has ended, or the process was on this machine and is gone."""
    if lease_until is None or lease_until < now:
        return True
    place, _colon, number = process.rpartition(":")
    return place == machine() and not _is_alive(int(number))


def _is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
