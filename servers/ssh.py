"""SSH: whom to talk to, what to say, and what may go wrong.

What holds here: the host key is pinned, keys live in memory, nothing of the machine's own SSH set-up is read (no
agent, no ~/.ssh, no /etc/ssh, no ~/.fabric.py); commands are constants and every value goes over stdin; every wait
has a deadline; output is bounded. `servers.connections` does it, and is imported by who first talks to a server: what
it needs is large, and the web server, which knows these names too, never talks to one.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dokreg import addresses
from servers import verdicts
from servers.verdicts import Verdict

if TYPE_CHECKING:
    import paramiko

CONNECT_SECONDS = 8
FAILURE_HOLDS_SECONDS = 2
RING_SECONDS = 1
OUTPUT_LIMIT = 1024 * 1024
VANISHED_SECONDS = 60  # without an acknowledgement of what was sent, keepalives included: the server is gone
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class SSHProblem(Exception):
    """What went wrong on the way to a command's answer; `verdict` says it for people."""

    def __init__(self, verdict: Verdict, *, words: str = "") -> None:
        super().__init__(verdict.cause)
        self.verdict = verdict
        self.words = words  # what the other side said; not scrubbed, not bounded


class Unreachable(SSHProblem):
    """The server could not be reached or fell silent: trying again later may help."""


class Refused(SSHProblem):
    """The server or dokreg refused: trying again without a change does not help."""


class ForwardingForbidden(Refused):
    """The server lets dokreg in, but connects it to nothing else."""


class HostKeyUnconfirmed(Refused):
    """The server's host key is not pinned, or differs from the pinned one; `seen` is what it showed."""

    def __init__(self, verdict: Verdict, *, seen: str) -> None:
        super().__init__(verdict)
        self.seen = seen


class CommandFailed(SSHProblem):
    """The command was started and broken off: too much output, or the deadline passed."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to talk to and as whom. `host_key` is the pinned OpenSSH line; "" if none is."""

    host: str
    port: int
    user: str
    private_key: str = field(repr=False)
    host_key: str

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


OnOutput = Callable[[bytes], None]


def run(target: Target, command: str, *, stdin: bytes, deadline: float, on_output: OnOutput) -> int:
    """Run a constant command, hand it `stdin` whole, and give its output (both streams) to `on_output`.

    Answers the exit status. `deadline` is in seconds for everything together. Raises Unreachable, Refused or
    CommandFailed.
    """
    from servers import connections

    return connections.run(target, command, stdin=stdin, deadline=deadline, on_output=on_output)


def dial(target: Target, command: str, *, deadline: float) -> AbstractContextManager["paramiko.Channel"]:
    """A channel to a constant command that is spoken with both ways; like a socket, until the block ends."""
    from servers import connections

    return connections.dial(target, command, deadline=deadline)


def forward(
    target: Target, host: str, port: int, *, deadline: float, place: str = ""
) -> AbstractContextManager[socket.socket]:
    """A connected socket to host and port as the server reaches them, until the block ends.

    The server resolves the name. `deadline` is in seconds for everything together: after it the socket is at its end.
    `place` is how people call the server. Raises ForwardingForbidden, Unreachable or Refused.
    """
    from servers import connections

    return connections.forward(target, host, port, deadline=deadline, place=place or target.host)


def fetch_host_key(target: Target) -> str:
    """The host key that the server shows now, as `type base64`; nothing is proven or sent. Raises as `run`."""
    from servers import connections

    return connections.fetch_host_key(target)


def close_all() -> None:
    """Close every kept connection."""
    from servers import connections

    connections.close_all()


class Clock:
    """Says, after something broke, whether it was the deadline that broke it."""

    def __init__(self, end: float) -> None:
        self.end = end
        self.rang = False

    @property
    def is_up(self) -> bool:
        """Whether the time is up, though paramiko, which has a clock of its own, may have noticed first."""
        return self.rang or time.monotonic() >= self.end

    def explain(self, target: Target, *, silent: bool = False) -> SSHProblem:
        if silent:
            return Unreachable(verdicts.ssh_silent(address=target.address))
        if self.rang:
            return CommandFailed(verdicts.deadline_passed())
        return Unreachable(verdicts.connection_lost(address=target.address))


def left(end: float, *, at_most: float) -> float:
    """The seconds until the deadline, but never so few that a healthy server could not answer."""
    return min(at_most, max(0.5, end - time.monotonic()))


@contextlib.contextmanager
def closing_at(end: float, *, close: Callable[[], None]) -> Iterator[Clock]:
    """Close a socket or channel when the time is up: paramiko waits without end in several places.

    Once a second, until the block is left: what is waited for may have begun after the first time.
    """
    clock = Clock(end)
    left_it = threading.Event()

    def ring() -> None:
        while not left_it.is_set():
            clock.rang = True
            close()
            left_it.wait(RING_SECONDS)

    watchdog = threading.Timer(max(0.0, end - time.monotonic()), ring)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield clock
    finally:
        left_it.set()
        watchdog.cancel()


def shut(sock: socket.socket) -> None:
    """Wake whoever waits for a socket: it is at its end."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class _PromptSocket(socket.socket):
    """Acknowledges at once what it receives, where the system can.

    Else Linux waits 40 ms for something to send along, and so long sshd, which has just told its other host keys, keeps
    back its answer to the first channel (RFC 896).
    """

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        received = super().recv(size, flags)
        if _QUICK_ACK is not None:
            with contextlib.suppress(OSError):  # closed meanwhile
                self.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        return received


def connect_to(endpoints: Sequence[addresses.Endpoint], *, end: float) -> socket.socket:
    """A socket connected to the first address that answers, before a moment of `time.monotonic`.

    Raises the last address's OSError, a TimeoutError if it did not answer.
    """
    problem = OSError()
    for endpoint in endpoints:
        sock = _PromptSocket(endpoint.family, socket.SOCK_STREAM)
        sock.settimeout(left(end, at_most=CONNECT_SECONDS))
        try:
            sock.connect(endpoint.address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if _USER_TIMEOUT is not None:
                sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, VANISHED_SECONDS * 1000)
        except OSError as error:
            sock.close()
            problem = error
        else:
            return sock
    raise problem
