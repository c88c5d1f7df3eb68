"""HTTP to a registry as a server reaches it: one deadline for everything, bounded answers, TLS that is verified.

Connections are kept while one question is answered, and used by several threads, each with one at a time. Nothing is
followed and nothing is authenticated here.
"""

import contextlib
import functools
import http.client
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from dokreg.addresses import is_loopback_name
from registries import api_verdicts
from registries.kinds.minting import Answer, Deadline, TooLate
from servers import ssh
from servers.docker import Host
from servers.verdicts import Verdict

ANSWER_LIMIT = 4 * 1024 * 1024  # what registries take for a manifest at most
HANDSHAKE_SECONDS = 8.0
# What is cut off by a connection's own deadline is surely late by ours.
_GRACE = 0.2
_PORTS = {"https": 443, "http": 80}
_REPEATABLE = frozenset({"GET", "HEAD"})


class NotAnswered(Exception):
    """There was no answer, or not the one that was asked for; `verdict` says why.

    `words` are the other side's own, not scrubbed and not bounded.
    """

    def __init__(self, verdict: Verdict, words: str = "") -> None:
        super().__init__(verdict.cause)
        self.verdict = verdict
        self.words = words


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom one talks to. `host` has no brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host` or `host:port`, as the header Host has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return is_loopback_name(self.host)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def origin_of(url: str) -> Origin:
    """Whom an address leads to. Raises ValueError if it is not one of the web."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("This is not an address of the web.")
    return Origin(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])


def is_loopback(registry: str) -> bool:
    """Whether a registry's host is one of the machine itself, whichever that is."""
    return origin_of(f"https://{registry}").is_loopback


class Wire:
    """The connections from a host, for one question.

    With `to_loopback` the question is one to a registry on the host's own loopback. Only then is anything there
    spoken to as Docker does: without verifying a certificate, and in plain HTTP where it speaks no TLS.
    """

    def __init__(self, host: Host, *, seconds: float, to_loopback: bool) -> None:
        self.place = host.label
        self.hidden: set[str] = set()  # what was sent to tell who one is, and may come back in an answer
        self._host = host
        self._seconds = seconds
        self._deadline = Deadline(seconds)
        self._to_loopback = to_loopback
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[_Connection]] = {}
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_closed = True
            idle = [connection for kept in self._idle.values() for connection in kept]
            self._idle.clear()
        for connection in idle:
            connection.end()

    def is_safe(self, origin: Origin) -> bool:
        """Whether nobody on the way can read or change what is said to it."""
        return origin.scheme == "https" or (self._to_loopback and origin.is_loopback)

    def spoken_by(self, origin: Origin) -> Origin:
        """The same with http, if it is on loopback and does not speak TLS. Raises NotAnswered, ssh.SSHProblem."""
        if not (self._to_loopback and origin.is_loopback):
            return origin
        try:
            connection = self._open(origin)
        except NotAnswered as problem:
            if problem.verdict.code not in api_verdicts.NOT_TLS:
                raise
        except ssh.Unreachable:
            if origin.port != _PORTS["https"]:
                raise
        else:
            self._keep(connection)
            return origin
        return Origin("http", origin.host, _PORTS["http"] if origin.port == _PORTS["https"] else origin.port)

    def ask(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send one request. Raises NotAnswered, or ssh.SSHProblem if there is no connection."""
        try:
            origin = origin_of(url)
        except ValueError:
            raise NotAnswered(api_verdicts.address_odd(place=self.place)) from None
        if not self.is_safe(origin):
            raise NotAnswered(api_verdicts.not_encrypted(address=str(origin)))
        if "Authorization" in headers:
            self.hidden.add(headers["Authorization"].partition(" ")[2])
        kept = self._kept(origin)
        if kept is not None and method in _REPEATABLE:
            with contextlib.suppress(_Stale):
                return self._exchange(kept, method, url, headers, body)
        elif kept is not None:
            kept.end()
        try:
            return self._exchange(self._open(origin), method, url, headers, body)
        except _Stale as broken:
            raise NotAnswered(api_verdicts.broke_off(address=origin.authority, place=self.place)) from broken

    def _exchange(
        self, connection: "_Connection", method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """One request and its answer, after which the connection is kept if it can be. Raises _Stale, NotAnswered."""
        parts = urlsplit(url)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        origin = connection.origin
        try:
            with connection.failing_closed():
                sent = {"Host": origin.authority, "Accept-Encoding": "identity", "User-Agent": "dokreg", **headers}
                connection.request(method, target, body=body or None, headers=sent)
                response = connection.getresponse()
                received = response.read(ANSWER_LIMIT + 1)
                answer = Answer(response.status, _joined(response), received)
                self._check(answer, origin, is_whole=not response.length)
                can_be_kept = response.isclosed() and connection.sock is not None
        except (http.client.NotConnected, ConnectionError, ssl.SSLEOFError) as error:
            self._complain_if_late(origin)
            raise _Stale from error
        except (http.client.HTTPException, ValueError) as error:
            self._complain_if_late(origin)
            detail = "it is not HTTP as it should be"
            raise NotAnswered(api_verdicts.answer_unreadable(address=origin.authority, detail=detail)) from error
        except OSError as error:
            self._complain_if_late(origin)
            raise NotAnswered(api_verdicts.broke_off(address=origin.authority, place=self.place)) from error
        if can_be_kept:
            self._keep(connection)
        else:
            connection.end()
        return answer

    def _check(self, answer: Answer, origin: Origin, *, is_whole: bool) -> None:
        """Raise NotAnswered for what is no answer to go by. http.client takes the end of a connection for one."""
        self._complain_if_late(origin)
        if len(answer.body) > ANSWER_LIMIT:
            raise NotAnswered(api_verdicts.answer_too_long(address=origin.authority, limit=ANSWER_LIMIT))
        if answer.headers.get("content-encoding", "identity") != "identity":
            detail = "it is compressed, which was not asked for"
            raise NotAnswered(api_verdicts.answer_unreadable(address=origin.authority, detail=detail))
        if not is_whole:
            raise NotAnswered(api_verdicts.broke_off(address=origin.authority, place=self.place))

    def _open(self, origin: Origin) -> "_Connection":
        with contextlib.ExitStack() as stack:
            left = self._left(origin)
            sock = stack.enter_context(self._host.connect(origin.host, origin.port, deadline=left + _GRACE))
            if origin.scheme == "https":
                sock = stack.enter_context(contextlib.closing(self._encrypted(sock, origin)))
            return _Connection(origin, sock, stack.pop_all())

    def _encrypted(self, sock: socket.socket, origin: Origin) -> socket.socket:
        context = _unverified() if self._to_loopback and origin.is_loopback else _verified(*_own_authorities())
        patience = sock.gettimeout()
        sock.settimeout(min(HANDSHAKE_SECONDS, self._left(origin)))
        try:
            wrapped = context.wrap_socket(sock, server_hostname=origin.host)
        except (OSError, ValueError) as error:  # ValueError: a name that no certificate can be for
            self._complain_if_late(origin)
            raise NotAnswered(api_verdicts.of_handshake(error, address=origin.authority, place=self.place)) from error
        wrapped.settimeout(patience)
        return wrapped

    def _left(self, origin: Origin) -> float:
        try:
            return self._deadline.left
        except TooLate:
            raise NotAnswered(self._too_late(origin)) from None

    def _complain_if_late(self, origin: Origin) -> None:
        if self._deadline.is_over:
            raise NotAnswered(self._too_late(origin)) from None

    def _too_late(self, origin: Origin) -> Verdict:
        return api_verdicts.too_late(address=origin.authority, seconds=self._seconds, place=self.place)

    def _kept(self, origin: Origin) -> "_Connection | None":
        with self._lock:
            kept = self._idle.get(origin)
            return kept.pop() if kept else None

    def _keep(self, connection: "_Connection") -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.setdefault(connection.origin, []).append(connection)
                return
        connection.end()


class _Stale(Exception):
    """The connection ended before anything of an answer came: it may have been closed while nobody used it."""


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket that is open already, and closed together with what it leads through."""

    auto_open = 0

    def __init__(self, origin: Origin, sock: socket.socket, stack: contextlib.ExitStack) -> None:
        super().__init__(origin.host, origin.port)
        self.origin = origin
        self.sock = sock
        self._stack = stack

    def end(self) -> None:
        """Close everything. `close` alone is what http.client calls while an answer is still to be read."""
        self.close()
        self._stack.close()

    @contextlib.contextmanager
    def failing_closed(self) -> Iterator[None]:
        """Close the connection if the block fails."""
        try:
            yield
        except BaseException:
            self.end()
            raise


def _joined(response: http.client.HTTPResponse) -> dict[str, str]:
    """The headers by their names in lower case; what came several times with commas."""
    joined: dict[str, str] = {}
    for name, value in response.getheaders():
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined


def _own_authorities() -> tuple[str, str]:
    """What OpenSSL reads beside, or in the place of, the system's authorities."""
    return os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", "")


@functools.lru_cache(maxsize=4)
def _verified(_file: str, _folder: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


@functools.cache
def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
