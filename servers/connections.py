"""Connections to servers, through Fabric: what `servers.ssh` promises, done.

With `servers.channels` the only module that imports fabric or paramiko; `servers.ssh` alone uses it, and says what each
function does. Connections are kept open and shared by what runs at the same time, since a new one costs more than a
login; they are keyed by everything that decides who talks to whom, never by Fabric's own equality, which leaves the key
out.
"""

import contextlib
import heapq
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from operator import itemgetter

import paramiko
from django.conf import settings
from fabric import Config, Connection
from paramiko.config import SSHConfig

from dokreg import addresses
from dokreg.database import give_back
from servers import channels, connect_verdicts, keys, ssh, verdicts

CHANNEL_SECONDS = 5
DIAL_SECONDS = 40  # for a session to become free: whoever waits for it gives no sign of life meanwhile
CLOSE_SECONDS = 1
KEEPALIVE_SECONDS = 15
IDLE_SECONDS = 300
MOST_KEPT = 500  # each is an open file and a thread, and a process may often have 1,024 files
MOST_RETIRED = 3  # of one server
CHANNELS_PER_CONNECTION = 8  # sshd's MaxSessions is 10 by default
_CHUNK = 32 * 1024
_DISABLED_ALGORITHMS = {
    "ciphers": ["3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc"],
    "macs": ["hmac-md5", "hmac-md5-96", "hmac-sha1", "hmac-sha1-96"],
}

# Opens a channel on a transport, before a moment of `time.monotonic`.
Opener = Callable[[paramiko.Transport, float], paramiko.Channel]


def run(target: ssh.Target, command: str, *, stdin: bytes, deadline: float, on_output: ssh.OnOutput) -> int:
    end = time.monotonic() + deadline
    with _pool.channel(target, end=end) as channel, _closing_at(end, channel) as clock:
        channel.set_combine_stderr(True)
        try:
            channel.exec_command(command)
            with contextlib.suppress(OSError):  # it ended before it read everything; its status says why
                channel.sendall(stdin)
                channel.shutdown_write()
            _read_all(channel, on_output)
            status = int(channel.recv_exit_status())
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise clock.explain(target) from error
        if status < 0:
            raise clock.explain(target)
        return status


@contextlib.contextmanager
def dial(target: ssh.Target, command: str, *, deadline: float) -> Iterator[paramiko.Channel]:
    end = time.monotonic() + deadline
    with (
        _pool.channel(target, end=min(end, time.monotonic() + DIAL_SECONDS)) as channel,
        _closing_at(end, channel) as clock,
    ):
        try:
            channel.exec_command(command)
            yield channel
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise clock.explain(target) from error


@contextlib.contextmanager
def forward(target: ssh.Target, host: str, port: int, *, deadline: float, place: str) -> Iterator[socket.socket]:
    end = time.monotonic() + deadline

    def open_one(transport: paramiko.Transport, end: float) -> paramiko.Channel:
        try:
            patience = ssh.left(end, at_most=ssh.CONNECT_SECONDS)
            return transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=patience)
        except paramiko.ChannelException as refusal:
            verdict = channels.why_not_connected(refusal, host=host, port=port, place=place)
            raise (ssh.ForwardingForbidden if channels.is_forbidden(refusal) else ssh.Unreachable)(verdict) from refusal
        except paramiko.SSHException as error:
            if not transport.is_active():
                raise
            verdict = connect_verdicts.not_connected_in_time(host=host, port=port, place=place)
            raise ssh.Unreachable(verdict) from error

    with (
        _pool.channel(target, end=end, open_one=open_one) as channel,
        _closing_at(end, channel),
        channels.as_socket(channel, close=lambda: _close_channel(channel)) as sock,
    ):
        sock.settimeout(ssh.left(end, at_most=deadline))
        yield sock


def fetch_host_key(target: ssh.Target) -> str:
    end = time.monotonic() + ssh.CONNECT_SECONDS
    with (
        contextlib.closing(_connect_socket(target, end=end)) as sock,
        ssh.closing_at(end, close=lambda: ssh.shut(sock)) as clock,
    ):
        transport = paramiko.Transport(sock, disabled_algorithms=_DISABLED_ALGORITHMS)
        transport.banner_timeout = ssh.CONNECT_SECONDS
        try:
            transport.start_client(timeout=ssh.CONNECT_SECONDS)
            key = transport.get_remote_server_key()
            return f"{key.get_name()} {key.get_base64()}"
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise clock.explain(target, silent=True) from error
        finally:
            transport.close()


def close_all() -> None:
    """Close every kept connection."""
    _pool.close_all()


def _read_all(channel: paramiko.Channel, on_output: ssh.OnOutput) -> None:
    received = 0
    while chunk := channel.recv(_CHUNK):
        received += len(chunk)
        if received > ssh.OUTPUT_LIMIT:
            raise ssh.CommandFailed(verdicts.too_much_output(limit=ssh.OUTPUT_LIMIT))
        on_output(chunk)


def _closing_at(end: float, channel: paramiko.Channel) -> AbstractContextManager[ssh.Clock]:
    return ssh.closing_at(end, close=lambda: _close_channel(channel))


def _close_if_open(channel: paramiko.Channel) -> None:
    with contextlib.suppress(EOFError, OSError, paramiko.SSHException):  # its connection is gone already
        channel.close()


def _close_channel(channel: paramiko.Channel) -> None:
    """Close a channel. Others share its connection, which is closed only if it does not move any more."""
    closing = threading.Thread(target=_close_if_open, args=(channel,), daemon=True)
    closing.start()
    closing.join(timeout=CLOSE_SECONDS)
    if closing.is_alive():
        channel.get_transport().close()
    channel.event.set()  # a request that was made just when the channel closed waits for an answer without end


def _connect_socket(target: ssh.Target, *, end: float) -> socket.socket:
    """A connected socket to a checked address of the host; ssh.Unreachable or ssh.Refused."""
    try:
        endpoints = addresses.resolve(
            target.host,
            target.port,
            deadline=ssh.left(end, at_most=ssh.CONNECT_SECONDS),
            allow_loopback=settings.DOKREG_ALLOW_LOOPBACK,
            only=settings.DOKREG_ALLOWED_NETWORKS,
        )
    except addresses.NameNotFound as error:
        raise ssh.Unreachable(verdicts.name_not_found(host=target.host)) from error
    except addresses.AddressForbidden as error:
        raise ssh.Refused(verdicts.address_forbidden(address=error.address, loopback=error.loopback)) from error
    try:
        return ssh.connect_to(endpoints, end=end)
    except TimeoutError as error:
        raise ssh.Unreachable(verdicts.ssh_timeout(address=target.address)) from error
    except OSError as error:
        detail = (error.strerror or "no address").lower()
        raise ssh.Unreachable(verdicts.ssh_unreachable(address=target.address, detail=detail)) from error


def _open(target: ssh.Target, *, end: float) -> Connection:
    """A new, authenticated Fabric connection whose host key is the pinned one."""
    end = min(end, time.monotonic() + ssh.CONNECT_SECONDS)
    if not target.host_key:
        seen = fetch_host_key(target)
        raise ssh.HostKeyUnconfirmed(verdicts.host_key_unconfirmed(fingerprint=keys.fingerprint(seen)), seen=seen)
    private_key = _private_key(target)
    sock = _connect_socket(target, end=end)
    connection = Connection(
        target.host,
        user=target.user,
        port=target.port,
        config=Config(lazy=True, ssh_config=SSHConfig(), overrides={"load_ssh_configs": False, "forward_agent": False}),
        connect_kwargs={
            "sock": sock,
            "pkey": private_key,
            "allow_agent": False,
            "look_for_keys": False,
            "banner_timeout": ssh.CONNECT_SECONDS,
            "auth_timeout": ssh.CONNECT_SECONDS,
            "channel_timeout": CHANNEL_SECONDS,
            "disabled_algorithms": _DISABLED_ALGORITHMS,
            "transport_factory": channels.Transport,
        },
        connect_timeout=ssh.CONNECT_SECONDS,
    )
    _pin(connection, target)
    with ssh.closing_at(end, close=lambda: ssh.shut(sock)) as clock:
        try:
            connection.open()
        except Exception as error:
            # Without this a failed connection leaves a thread and a socket behind.
            connection.close()
            connection.client.close()
            sock.close()
            raise _explain(error, target, clock) from error
    connection.transport.set_keepalive(KEEPALIVE_SECONDS)
    connection.transport.rest()
    return connection


def _open_session(transport: paramiko.Transport, end: float) -> paramiko.Channel:
    return transport.open_session(timeout=ssh.left(end, at_most=CHANNEL_SECONDS))


def _private_key(target: ssh.Target) -> paramiko.PKey:
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with contextlib.suppress(paramiko.SSHException):
            return kind.from_private_key(io.StringIO(target.private_key))
    raise ssh.Refused(verdicts.private_key_unreadable())


def _pin(connection: Connection, target: ssh.Target) -> None:
    name = target.host if target.port == 22 else f"[{target.host}]:{target.port}"
    entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{name} {target.host_key}")
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    connection.client.get_host_keys().add(name, entry.key.get_name(), entry.key)


def _explain(error: Exception, target: ssh.Target, clock: ssh.Clock) -> ssh.SSHProblem:
    """Fixed sentences for paramiko's exceptions, whose own text may hold bytes that the other side chose."""
    if isinstance(error, paramiko.BadHostKeyException):
        seen = f"{error.key.get_name()} {error.key.get_base64()}"
        verdict = verdicts.host_key_changed(pinned=keys.fingerprint(target.host_key), seen=keys.fingerprint(seen))
        return ssh.HostKeyUnconfirmed(verdict, seen=seen)
    if isinstance(error, paramiko.AuthenticationException):
        if clock.is_up or "timeout" in str(error):
            return ssh.Unreachable(verdicts.ssh_undecided(address=target.address))
        return ssh.Refused(verdicts.ssh_auth_refused(user=target.user))
    if clock.is_up or (isinstance(error, paramiko.SSHException) and "banner" in str(error)):
        return ssh.Unreachable(verdicts.ssh_silent(address=target.address))
    if isinstance(error, (paramiko.SSHException, OSError, EOFError)):
        return ssh.Unreachable(verdicts.connection_lost(address=target.address))
    raise error


@dataclass(slots=True)
class _Kept:
    """A place for one open connection, and what uses it now.

    `retired` are connections that gave no channel in time to one, while others still use them.
    """

    opening: threading.Lock = field(default_factory=threading.Lock)
    channels: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(CHANNELS_PER_CONNECTION)
    )
    connection: Connection | None = None
    retired: list[Connection] = field(default_factory=list)
    users: int = 0
    used_at: float = 0.0
    failure: verdicts.Verdict | None = None
    failed_at: float = 0.0

    @property
    def is_alive(self) -> bool:
        return self.connection is not None and bool(self.connection.is_connected)

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            _close_connection(connection)

    def retire(self) -> None:
        """Use the connection for nothing new; what runs on it goes on."""
        if self.is_alive and self.connection is not None and self.users > 1:
            self.retired.append(self.connection)
            self.connection = None
            while len(self.retired) > MOST_RETIRED:
                _close_connection(self.retired.pop(0))
        else:
            self.close()


def _close_connection(connection: Connection) -> None:
    connection.close()
    connection.client.close()


@contextlib.contextmanager
def _place(kept: _Kept, target: ssh.Target, *, end: float) -> Iterator[None]:
    """One of the sessions that the server takes at once, for the block."""
    if not kept.channels.acquire(timeout=max(0.0, end - time.monotonic())):
        raise ssh.Unreachable(verdicts.no_session(address=target.address))
    try:
        yield
    finally:
        kept.channels.release()


class _Pool:
    """The open connections of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[ssh.Target, _Kept] = {}
        self._janitor: threading.Thread | None = None

    @contextlib.contextmanager
    def channel(
        self, target: ssh.Target, *, end: float, open_one: Opener = _open_session
    ) -> Iterator[paramiko.Channel]:
        """A channel on the kept connection to the target, opened if need be; a session, if not told otherwise."""
        give_back()
        kept = self._take(target)
        try:
            # sshd counts sessions alone: a way to elsewhere takes nobody's place.
            with _place(kept, target, end=end) if open_one is _open_session else contextlib.nullcontext():
                channel = self._open_channel(kept, target, open_one, end=end)
                try:
                    yield channel
                finally:
                    _close_if_open(channel)
        finally:
            self._give_back(kept)

    def _open_channel(self, kept: _Kept, target: ssh.Target, open_one: Opener, *, end: float) -> paramiko.Channel:
        pause = 0.05
        while True:
            connection, was_open = self._connection(kept, target, end=end)
            is_patient = end - time.monotonic() >= CHANNEL_SECONDS
            try:
                return open_one(connection.transport, end)
            except paramiko.ChannelException as error:
                # The server allows fewer sessions at once than we use: wait for one to end.
                if time.monotonic() > end:
                    raise ssh.Unreachable(verdicts.no_session(address=target.address)) from error
                time.sleep(pause)
                pause = min(1.0, pause * 1.5)
            except (paramiko.SSHException, OSError, EOFError) as error:
                if connection.is_connected and not is_patient:
                    raise ssh.Unreachable(verdicts.deadline_passed()) from error
                with kept.opening:
                    if kept.connection is connection:
                        kept.retire()
                if not was_open:  # else it had died unnoticed; nothing has run on it yet, so try once more
                    raise ssh.Unreachable(verdicts.connection_lost(address=target.address)) from error

    def _connection(self, kept: _Kept, target: ssh.Target, *, end: float) -> tuple[Connection, bool]:
        """The open connection, and whether it was open before."""
        # One handshake at a time: sshd drops parallel ones (MaxStartups).
        if not kept.opening.acquire(timeout=max(0.0, end - time.monotonic())):
            raise ssh.Unreachable(verdicts.ssh_timeout(address=target.address))
        try:
            if kept.is_alive:
                return kept.connection, True
            kept.close()
            kept.connection = self._open_unless_just_failed(kept, target, end=end)
            return kept.connection, False
        finally:
            kept.opening.release()

    def _open_unless_just_failed(self, kept: _Kept, target: ssh.Target, *, end: float) -> Connection:
        """Whoever waited for an attempt that failed fails with it, instead of waiting as long once more."""
        if kept.failure is not None and time.monotonic() - kept.failed_at < ssh.FAILURE_HOLDS_SECONDS:
            raise ssh.Unreachable(kept.failure)
        is_patient = end - time.monotonic() >= ssh.CONNECT_SECONDS
        try:
            connection = _open(target, end=end)
        except ssh.Unreachable as error:
            if is_patient:  # else others, who have more time, may succeed
                kept.failure, kept.failed_at = error.verdict, time.monotonic()
            raise
        kept.failure = None
        return connection

    def _take(self, target: ssh.Target) -> _Kept:
        with self._lock:
            kept = self._kept.setdefault(target, _Kept())
            kept.users += 1
            if self._janitor is None:
                self._janitor = threading.Thread(target=self._close_idle_for_ever, daemon=True, name="ssh idle")
                self._janitor.start()
            return kept

    def _give_back(self, kept: _Kept) -> None:
        with self._lock:
            kept.users -= 1
            kept.used_at = time.monotonic()
            retired: list[Connection] = []
            if not kept.users:
                retired, kept.retired = kept.retired, []
            surplus = self._surplus()
        for one in surplus:
            one.close()
        for connection in retired:
            _close_connection(connection)

    def _surplus(self) -> list[_Kept]:
        """What is open beyond the most that is kept: the longest idle, no longer known here."""
        too_many = len(self._kept) - MOST_KEPT
        if too_many <= 0:
            return []
        idle = ((key, kept.used_at) for key, kept in self._kept.items() if not kept.users)
        return [self._kept.pop(key) for key, _used_at in heapq.nsmallest(too_many, idle, key=itemgetter(1))]

    def _close_idle_for_ever(self) -> None:
        while True:
            time.sleep(KEEPALIVE_SECONDS)
            self.close_idle(older_than=IDLE_SECONDS)

    def close_idle(self, *, older_than: float) -> None:
        """Close what nothing has used for so many seconds."""
        limit = time.monotonic() - older_than
        with self._lock:
            idle = {key: kept for key, kept in self._kept.items() if not kept.users and kept.used_at <= limit}
            for key in idle:
                del self._kept[key]
        for kept in idle.values():
            kept.close()

    def close_all(self) -> None:
        self.close_idle(older_than=0)


_pool = _Pool()


def _forget_connections() -> None:
    global _pool  # noqa: PLW0603 - a forked child must not use its parent's sockets
    _pool = _Pool()


os.register_at_fork(after_in_child=_forget_connections)
