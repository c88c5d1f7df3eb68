"""Which process has something in hand, and whether it still can."""

import datetime as dt
import functools
import os
import socket
from pathlib import Path

# Of the fields of /proc/…/stat after the name, which is in brackets (man 5 proc): the state is the first of them.
START_TIME = 19
ENDED = "Z"  # and nobody has asked for its exit status yet


def this_process() -> str:
    """The name of this process: machine, number, and where that is known when it began.

    Numbers come again: the first process of a container that was restarted often has the one of its predecessor.
    """
    return f"{machine()}:{os.getpid()}.{_started(os.getpid())}"


@functools.cache
def machine() -> str:
    """What process numbers count in: one start of one machine, and there one namespace of processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def is_abandoned(process: str, lease_until: dt.datetime | None, now: dt.datetime) -> bool:
    """Whether nobody has it in hand any more: the lease has ended, or the process was on this machine and is gone.

    Of a process elsewhere the lease alone tells.
    """
    if lease_until is None or lease_until < now:
        return True
    place, _colon, name = process.rpartition(":")
    number, _dot, started = name.partition(".")
    return place == machine() and not _is_alive(int(number), started)


def _is_alive(number: int, started: str) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is somebody else's
    return not started or started == _started(number)


def _started(number: int) -> str:
    """When a process began, in ticks since the machine did; "" if it has ended, or where nobody tells (no /proc)."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == ENDED else fields[START_TIME]
