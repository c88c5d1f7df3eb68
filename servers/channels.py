"""What `servers.connections` needs of paramiko's channels beside commands: ways to elsewhere, and why there is none.

No other module uses it.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import paramiko

from servers import connect_verdicts
from servers.verdicts import Verdict

_CHUNK = 32 * 1024
_CHANNEL_CLOSE = 97  # RFC 4254, 9: SSH_MSG_CHANNEL_CLOSE
_CHANNEL_MESSAGES = range(93, 101)  # RFC 4254, 9: those that name the other side's channel first
_REST_SECONDS = 5.0
_REFUSALS_NOTED = 1000
_FORBIDDEN = 1  # RFC 4254, 5.1: SSH_OPEN_ADMINISTRATIVELY_PROHIBITED


class _EverySeen(dict[int, bool]):
    """What paramiko notes of channels, for ever, so that a late message for one that is over ends nothing.

    A server sends none for a channel that never was; so each counts as seen, and none has to be kept.
    """

    def __setitem__(self, number: int, seen: bool) -> None:
        pass

    def __contains__(self, number: object) -> bool:
        return True


class Transport(paramiko.Transport):  # type: ignore[misc]  # paramiko has no types
    """Tells whoever opens a channel why the server refused it, and says nothing more on one that it has closed.

    paramiko drops the server's words, and keeps the refusal in one place for all threads, where one takes it from
    another: whoever comes too late would believe that the connection is broken.

    Where a command ends while its input is still being sent, paramiko's own thread answers the server's close, and the
    rest of the input goes after it. For that sshd ends the whole connection, and all else that runs on it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.channels_seen = _EverySeen()
        self._opened_here = threading.local()
        self._refusals: dict[int, paramiko.ChannelException] = {}
        self._closed: set[int] = set()  # by their numbers at the server, which gives them out again

    def rest(self) -> None:
        """Look less often whether something is to be done while the server says nothing.

        paramiko's thread looks ten times a second; those of 500 connections together take a good part of a processor.
        """
        with contextlib.suppress(OSError):  # the server has hung up: whoever opens a channel is told
            self.sock.settimeout(_REST_SECONDS)

    def close(self) -> None:
        """Close the connection, and wake the thread that listens: it would keep what is closed until it looks."""
        _shut(self.sock, socket.SHUT_RDWR)
        super().close()

    def _send_message(self, data: paramiko.Message) -> None:
        """What goes to a channel comes here one after the other: paramiko holds a lock meanwhile."""
        kind, number = data.asbytes()[0], int.from_bytes(data.asbytes()[1:5])
        if kind in _CHANNEL_MESSAGES:
            if number in self._closed:
                return
            if kind == _CHANNEL_CLOSE:
                self._closed.add(number)
        super()._send_message(data)

    def get_exception(self) -> Exception | None:
        """The refusal of the channel that this thread asked for last, or what else went wrong."""
        shared: Exception | None = super().get_exception()
        return self._refusals.pop(getattr(self._opened_here, "number", -1), None) or shared

    def _next_channel(self) -> int:
        """paramiko holds its lock meanwhile."""
        number: int = super()._next_channel()
        self._opened_here.number = number
        while len(self._refusals) > _REFUSALS_NOTED:
            del self._refusals[next(iter(self._refusals))]
        return number

    def _parse_channel_open_failure(self, message: paramiko.Message) -> None:
        number, code, words = message.get_int(), message.get_int(), message.get_text()
        self._refusals[number] = paramiko.ChannelException(code, words)
        message.rewind()
        super()._parse_channel_open_failure(message)

    def _parse_channel_open_success(self, message: paramiko.Message) -> None:
        number, theirs = message.get_int(), message.get_int()
        self._closed.discard(theirs)
        if self._channels.get(number) is None:  # whoever asked for it waits no more, and nobody would ever close it
            self._send_message(_close(theirs))
            return
        message.rewind()
        super()._parse_channel_open_success(message)


def _close(number: int) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(bytes([_CHANNEL_CLOSE]))
    message.add_int(number)
    return message


def is_forbidden(refusal: paramiko.ChannelException) -> bool:
    """Whether the server connects nobody to this place, reachable or not."""
    return bool(refusal.code == _FORBIDDEN)


def why_not_connected(refusal: paramiko.ChannelException, *, host: str, port: int, place: str) -> Verdict:
    """Why a server did not connect us; OpenSSH says it in the words of its system."""
    if is_forbidden(refusal):
        return connect_verdicts.forwarding_forbidden(place=place)
    return connect_verdicts.of_system(refusal.text, host=host, port=port, place=place)


class Pipe(Protocol):
    """A channel, or anything else that is spoken with both ways."""

    def recv(self, size: int, /) -> bytes: ...

    def sendall(self, data: bytes, /) -> None: ...

    def shutdown_write(self) -> None: ...


@contextlib.contextmanager
def as_socket(pipe: Pipe, *, close: Callable[[], None]) -> Iterator[socket.socket]:
    """A real socket whose other end is the pipe; both are closed, and nothing runs any more, when the block ends.

    Who wraps the socket closes what it is wrapped in. `close` closes the pipe, and wakes whoever waits for it.
    """
    ours, theirs = socket.socketpair()
    pumps = [
        threading.Thread(target=_pump_out, args=(theirs, pipe), daemon=True, name="forward out"),
        threading.Thread(target=_pump_in, args=(pipe, theirs), daemon=True, name="forward in"),
    ]
    with ours, theirs:
        for pump in pumps:
            pump.start()
        try:
            yield ours
        finally:
            _shut(theirs, socket.SHUT_RDWR)
            close()
            for pump in pumps:
                pump.join()


def _pump_out(source: socket.socket, pipe: Pipe) -> None:
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        while chunk := source.recv(_CHUNK):
            pipe.sendall(chunk)
        pipe.shutdown_write()
    _shut(source, socket.SHUT_RD)  # whoever sends learns that nobody takes it


def _pump_in(pipe: Pipe, sink: socket.socket) -> None:
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        while chunk := pipe.recv(_CHUNK):
            sink.sendall(chunk)
    _shut(sink, socket.SHUT_WR)


def _shut(sock: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(how)
