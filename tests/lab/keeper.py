"""Runs one daemon and sees to it that the daemon does not outlive the tests.

Started as a script of its own: `python keeper.py FOLDER COMMAND…`. The tests hold the other end of its standard
input. When they write to it the daemon is stopped; when they vanish without a word, however brutally, the pipe
closes, the daemon is stopped too and FOLDER goes with it.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
MNT_DETACH = 2
GRACE = 4.0

libc = ctypes.CDLL(None, use_errno=True)


def spawn(command: list[str]) -> int:
    # Python ignores SIGPIPE and programs inherit that; a server's shell has to have it back.
    inherited_by_accident = [signal.SIGPIPE, signal.SIGXFSZ]
    plumbing = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, 2, 1)]
    return os.posix_spawnp(
        command[0], command, os.environ, file_actions=plumbing, setsid=True, setsigdef=inherited_by_accident
    )


def wait_for_an_end(daemon: int) -> bool:
    """Return whether the tests vanished, rather than asked for an end or saw the daemon die by itself."""
    watched = os.pidfd_open(daemon)
    readable, _, _ = select.select([0, watched], [], [])
    return 0 in readable and os.read(0, 64) == b""


def reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def ask_politely(daemon: int) -> None:
    if daemon not in children():
        return  # its number may be somebody else's by now
    for number in (signal.SIGTERM, signal.SIGCONT):  # one that is paused hears nothing until it goes on
        os.kill(daemon, number)
    deadline = time.monotonic() + GRACE
    while daemon in children() and time.monotonic() < deadline:
        time.sleep(0.01)
        reap()


def kill_the_rest() -> None:
    # Orphans of the daemon (sessions, containers) become children of this process: it is their subreaper.
    while left := children():
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reap()
        time.sleep(0.002)


def unmount_below(folder: str) -> None:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(folder + "/"):
            libc.umount2(mount.encode(), MNT_DETACH)


def remove(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # the last keeper to leave takes the lab's folder along
        Path(folder).parent.rmdir()


def keep(folder: str, command: list[str]) -> None:
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    vanished = False
    daemon = spawn(command)
    try:
        sys.stdout.write(f"{daemon}\n")
        sys.stdout.flush()
        vanished = wait_for_an_end(daemon)
    finally:
        reap()
        ask_politely(daemon)
        kill_the_rest()
        unmount_below(folder)
        if vanished:
            remove(folder)


if __name__ == "__main__":
    keep(sys.argv[1], sys.argv[2:])
