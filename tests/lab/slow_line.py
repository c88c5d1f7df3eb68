"""A line to a registry that can be held: it passes so many bytes of an answer and then waits, until it is let go."""

import contextlib
import socket
import threading
from typing import Self

from tests.lab.ports import free_port

CHUNK = 16 * 1024


class HeldLine:
    """A TCP forwarder on a port of its own; use `host` in the place of the registry's."""

    def __init__(self, target: str, *, address: str = "127.0.0.1") -> None:
        name, _colon, port = target.rpartition(":")
        self._target = (name, int(port))
        self._listener = socket.create_server((address, free_port(address)))
        self.host = f"{address}:{self._listener.getsockname()[1]}"
        self._free = threading.Event()
        self._free.set()
        self.is_held = threading.Event()  # something waits at this moment
        self._passes = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, *, after: int) -> None:
        """From now on each connection passes so many bytes back, and then waits."""
        self._passes = after
        self.is_held.clear()
        self._free.clear()

    def let_go(self) -> None:
        self._free.set()

    def close(self) -> None:
        self.let_go()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _address = self._listener.accept()
                server = socket.create_connection(self._target)
                for run in (self._forward, self._answer):
                    threading.Thread(target=run, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(CHUNK):
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError), client, server:
            while data := server.recv(CHUNK):
                passed += len(data)
                if passed > self._passes and not self._free.is_set():
                    self.is_held.set()
                    self._free.wait()
                client.sendall(data)
