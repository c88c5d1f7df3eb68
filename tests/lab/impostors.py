"""Servers that are not what they should be: each answers wrongly in one way that happens in real life."""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.lab.ports import free_port


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    authorization: str
    body: str = ""


@dataclass(frozen=True)
class Answer:
    status: int
    body: str = ""  # of bytes that are no text, what `surrogateescape` makes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


Behaviour = Callable[[Request], Answer]


def problem(status: int, code: str, message: str) -> Answer:
    return Answer(status, json.dumps({"errors": [{"code": code, "message": message}]}))


def login_page(_: Request) -> Answer:
    """A web page for every path, as an unrelated site or a captive portal: any password seems right."""
    return Answer(200, "<!doctype html><title>Welcome</title><p>Please sign in.", "text/html")


def not_a_registry(_: Request) -> Answer:
    return Answer(404, "<html><body>404 Not Found</body></html>", "text/html")


def broken(_: Request) -> Answer:
    return Answer(500, "<html><body>500 Internal Server Error</body></html>", "text/html")


def overloaded(_: Request) -> Answer:
    return Answer(503, "<html><body>503 Service Unavailable</body></html>", "text/html")


def denying(_: Request) -> Answer:
    return problem(403, "DENIED", "requested access to the resource is denied")


def too_many_requests(_: Request) -> Answer:
    return problem(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.")


def pull_limit(request: Request) -> Answer:
    """Docker Hub to somebody who has pulled too much: the login works and the pull does not."""
    if request.path.rstrip("/") == "/v2":
        return Answer(200, "{}")
    return problem(
        429,
        "TOOMANYREQUESTS",
        "You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: "
        "https://www.docker.com/increase-rate-limit",
    )


class HttpImpostor:
    """An HTTP server with one bad habit, and a list of what it was asked."""

    def __init__(self, behaviour: Behaviour, *, address: str = "127.0.0.1") -> None:
        self.behaviour = behaviour
        self.address = address
        self.port = free_port(address)
        self.requests: list[Request] = []
        self._server: ThreadingHTTPServer | None = None

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    def start(self) -> Self:
        self._server = ThreadingHTTPServer((self.address, self.port), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def reply(self, request: Request) -> Answer:
        self.requests.append(request)
        return self.behaviour(request)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        impostor = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                authorization = self.headers.get("Authorization", "")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(errors="replace")
                send(self, impostor.reply(Request(self.command, self.path, authorization, body)))

            do_GET = do_HEAD = do_POST = answer  # noqa: N815 - the base class looks for these names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named so by the base class
                pass

        return Handler

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    body = answer.body.encode(errors="surrogateescape")
    handler.send_response(answer.status)
    for name, value in {"Content-Type": answer.content_type, **answer.headers}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


class LoginLimiter(HttpImpostor):
    """A registry whose token server has had enough of wrong passwords."""

    def __init__(self) -> None:
        super().__init__(self._limit)

    def _limit(self, request: Request) -> Answer:
        if request.path.startswith("/token"):
            message = "too many failed login attempts for username or IP address"
            return problem(429, "TOOMANYREQUESTS", message)
        challenge = f'Bearer realm="http://{self.host}/token",service="{self.host}"'
        return Answer(401, headers={"Www-Authenticate": challenge})


class TcpImpostor:
    """A server that accepts connections and then does what `talk` does, until it is stopped."""

    def __init__(self, *, address: str = "127.0.0.1") -> None:
        self.address = address
        self.port = free_port(address)
        self._stopped = threading.Event()
        self._listener: socket.socket | None = None

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    def talk(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def start(self) -> Self:
        self._stopped.clear()
        self._listener = socket.create_server((self.address, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept()
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                self.talk(connection)
            except OSError:
                return  # the other side hung up

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Silent(TcpImpostor):
    """Accepts and never says a word: neither an SSH banner nor an HTTP answer comes."""

    def talk(self, connection: socket.socket) -> None:
        self._stopped.wait()


class Dripping(TcpImpostor):
    """Sends an SSH banner that does not end, one byte a second, so that no single read times out."""

    def talk(self, connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-")
        while not self._stopped.wait(1):
            connection.sendall(b"x")


class Refusing(TcpImpostor):
    """Holds a port on which nothing listens: every connection is refused at once."""

    def start(self) -> Self:
        self._listener = socket.socket()
        self._listener.bind((self.address, self.port))
        return self

    def stop(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None
