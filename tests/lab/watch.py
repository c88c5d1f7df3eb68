"""Watches the machine for secrets: on command lines, in environments, in files left behind.

Run as a script it is the watcher's own process, which looks at every process as often as it can.
"""

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

PAUSE = 0.002
OLD_ONES_EVERY = 50  # rounds; a process that was there before changes rarely, a new one is read in every round
SHORTEST_SECRET = 12


class Sighting(NamedTuple):
    place: str
    program: str
    pid: int


@dataclass
class Watch:
    """What the watcher saw; complete once the block that it was made for has ended."""

    sightings: set[Sighting] = field(default_factory=set)
    commands: set[str] = field(default_factory=set)
    rounds: int = 0

    def saw(self, words: str) -> bool:
        """Whether a process ran whose command line, without its secrets, holds these words."""
        return any(words in command for command in self.commands)


@contextlib.contextmanager
def watching(*secrets: str) -> Iterator[Watch]:
    """Look at all processes while the block runs."""
    watcher = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with watcher:
        assert watcher.stdin
        assert watcher.stdout
        watcher.stdin.write(json.dumps(secrets) + "\n")
        watcher.stdin.flush()
        watcher.stdout.readline()  # it has looked at everything once
        watch = Watch()
        try:
            yield watch
        finally:
            watcher.stdin.close()
            seen = json.loads(watcher.stdout.readline())
    watch.rounds = seen["rounds"]
    watch.commands.update(seen["commands"])
    watch.sightings.update(Sighting(*sighting) for sighting in seen["sightings"])


class Watcher:
    def __init__(self, secrets: list[str]) -> None:
        self.secrets = [form for secret in secrets for form in encodings(secret)]
        self.sightings: set[Sighting] = set()
        self.commands: set[str] = set()
        self.rounds = 0
        self.old = set(processes())

    def look(self) -> None:
        everyone = self.rounds % OLD_ONES_EVERY == 0
        present = processes()
        self.old.intersection_update(present)  # numbers are used again
        for pid in present:
            if everyone or pid not in self.old:
                self._look_at(pid)
        self.rounds += 1

    def _look_at(self, pid: str) -> None:
        environment = read(f"/proc/{pid}/environ")
        command = read(f"/proc/{pid}/cmdline")  # after it: of a program that is just being started both are empty yet
        program = command.partition(b"\0")[0].decode(errors="replace")
        for place, content in (("command line", command), ("environment", environment)):
            if any(secret in content for secret in self.secrets):
                self.sightings.add(Sighting(place, program, int(pid)))
        if pid not in self.old:
            self.commands.add(self._without_secrets(command))

    def _without_secrets(self, command: bytes) -> str:
        for secret in self.secrets:
            command = command.replace(secret, b"********")
        return command.replace(b"\0", b" ").decode(errors="replace").strip()


def processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""  # ended meanwhile, or not ours to see


def report_until_told() -> None:
    watcher = Watcher(json.loads(sys.stdin.readline()))
    told = threading.Thread(target=sys.stdin.read, daemon=True)
    told.start()
    watcher.look()
    sys.stdout.write("watching\n")
    sys.stdout.flush()
    while told.is_alive():  # standard input is open until the block ends
        watcher.look()
        time.sleep(PAUSE)
    seen = {
        "rounds": watcher.rounds,
        "commands": sorted(watcher.commands),
        "sightings": sorted(watcher.sightings),
    }
    sys.stdout.write(json.dumps(seen) + "\n")


SHARED_FOLDERS = (Path("/tmp"), Path("/dev/shm"), Path("/run/user"), Path("/var/tmp"))
OF_THE_TESTS = ("pytest-of-", "dokreg-lab-")  # what the shared folders hold anyway


@contextlib.contextmanager
def new_files(*folders: Path) -> Iterator[list[Path]]:
    """Fill the list, once the block has ended, with all that it left new or changed in these folders."""
    found: list[Path] = []
    before = states_in(*folders)
    yield found
    after = states_in(*folders)
    found.extend(sorted(path for path, state in after.items() if before.get(path) != state))


def states_in(*folders: Path) -> dict[Path, tuple[int, int]]:
    states = {}
    for path in everything_in(*folders):
        with contextlib.suppress(FileNotFoundError):
            states[path] = state_of(path)
    return states


def state_of(path: Path) -> tuple[int, int]:
    state = path.lstat()
    # A folder's own time changes with what comes and goes in it; that it is there is what counts.
    return (0, 0) if path.is_dir() else (state.st_mtime_ns, state.st_size)


def files_with(secret: str, *folders: Path) -> list[Path]:
    forms = encodings(secret)
    files = filter(Path.is_file, everything_in(*folders))  # reading from a pipe or a socket would wait
    return [path for path in files if any(form in read(str(path)) for form in forms)]


def everything_in(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        for parent, directories, names in os.walk(folder):
            directories[:] = [name for name in directories if not name.startswith(OF_THE_TESTS)]
            yield from (Path(parent, name) for name in (*directories, *names))


def encodings(secret: str) -> set[bytes]:
    """The secret as it is, and as it looks within base64, wherever there it begins."""
    plain = secret.encode()
    if len(plain) < SHORTEST_SECRET:
        raise ValueError("So short a secret would be found by chance.")
    return {plain, *base64_forms(plain)}


def base64_forms(plain: bytes) -> Iterator[bytes]:
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # Its letters stand for three bytes each four: the groups at both ends depend on the neighbours.
            yield encode(b"\0" * shift + plain)[4 if shift else 0 : -4]


if __name__ == "__main__":
    report_until_told()
