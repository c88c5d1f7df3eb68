"""What the stand-ins for clouds have in common: tokens that live and end, a clock, and bad habits to switch on.

The clock is the cloud's own: it says in the header Date what time it is there, and tokens end by it.
"""

import contextlib
import http
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import IO, Any, ClassVar, Self, cast
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIServer, make_server

from tests.lab.impostors import Answer
from tests.lab.ports import free_port
from tests.lab.tokens import QuietHandler, ThreadingServer

StartResponse = Callable[..., Any]


@dataclass(frozen=True)
class Asked:
    """A request, read to its end."""

    environ: dict[str, Any]
    body: bytes

    @property
    def path(self) -> str:
        return str(self.environ.get("PATH_INFO", ""))

    def header(self, name: str) -> str:
        return str(self.environ.get(f"HTTP_{name.upper().replace('-', '_')}", ""))


@dataclass
class Cloud:
    """Its fields may be changed while it runs; `having` puts them back."""

    username: ClassVar[str]  # that goes with the tokens

    port: int = field(default_factory=free_port)
    life: float = 3600  # of a token, in seconds
    clock_offset: float = 0  # seconds by which the cloud's clock is ahead of this machine's
    checks_clock: bool = True  # real clouds refuse what was signed at another time than theirs
    answers_500: bool = False
    throttles: bool = False
    retry_after: str = ""  # the header, where it throttles
    hangs: bool = False
    delay: float = 0  # seconds before each answer
    holds_back: bool = False  # the answer, though what it gives is counted: the moment to kill who asked
    drips: bool = False  # the body comes a byte at a time
    talks_nonsense: bool = False  # 200, and a web page
    talks_too_much: bool = False
    sends_elsewhere: str = ""  # a redirect to this address
    tells_no_date: bool = False
    gives_expired_tokens: bool = False
    keeps_connections: bool = False  # as real ones do; then stopping it does not end those that are open
    revoked: set[str] = field(default_factory=set)  # access key ids, e-mail addresses, client ids
    mints: Counter[str] = field(default_factory=Counter)  # the same -> tokens given
    requests: int = 0
    _ends: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _server: WSGIServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def now(self) -> float:
        return time.time() + self.clock_offset

    def is_alive(self, token: str) -> bool:
        return self._ends.get(token, 0) > self.now()

    def accepts(self, username: str, password: str) -> bool:
        """What the token server of a registry asks."""
        return username == self.username and self.is_alive(password)

    def let_pass(self, seconds: float) -> None:
        """Let all tokens age, and leave the clock as it is."""
        with self._lock:
            self._ends = {token: end - seconds for token, end in self._ends.items()}

    def all_tokens(self) -> list[str]:
        """Every token that was given."""
        with self._lock:
            return list(self._ends)

    @contextlib.contextmanager
    def having(self, **changes: Any) -> Iterator[None]:
        """Change fields while the block runs: `cloud.having(hangs=True)`."""
        before = {name: getattr(self, name) for name in changes}
        for name, value in changes.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    def start(self) -> Self:
        self._stopped.clear()
        handler = KeepingHandler if self.keeps_connections else PromptHandler
        self._server = make_server("127.0.0.1", self.port, self, BusyServer, handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        asked = Asked(environ, environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        with self._lock:
            self.requests += 1
        answer = self._misbehave() or self.respond(asked)
        while self.holds_back and not self._stopped.wait(0.02):
            pass
        headers = {"Content-Type": answer.content_type, **answer.headers}
        # The server would put in a date of its own.
        headers["Date"] = "" if self.tells_no_date else formatdate(self.now(), usegmt=True)
        body = answer.body.encode()
        headers["Content-Length"] = str(len(body))
        start_response(f"{answer.status} {http.HTTPStatus(answer.status).phrase}", list(headers.items()))
        return self._drip(body) if self.drips else [body]

    def respond(self, asked: Asked) -> Answer:
        raise NotImplementedError

    def throttled(self) -> Answer:
        """How this cloud says that there were too many requests."""
        raise NotImplementedError

    def _misbehave(self) -> Answer | None:
        self._stopped.wait(self.delay)
        if self._has_hung():
            return Answer(503)  # nobody waits any more: nothing is given
        if self.answers_500:
            return Answer(500, "<html>Internal Server Error</html>", "text/html")
        if self.throttles:
            answer = self.throttled()
            return replace(answer, headers={**answer.headers, **self._wish()})
        if self.talks_nonsense:
            return Answer(200, "<!doctype html><title>Please sign in</title>", "text/html")
        if self.talks_too_much:
            return Answer(200, "x" * 1024 * 1024)
        if self.sends_elsewhere:
            return Answer(307, headers={"Location": self.sends_elsewhere})
        return None

    def _has_hung(self) -> bool:
        waited = False
        while self.hangs and not self._stopped.wait(0.02):
            waited = True
        return waited

    def _wish(self) -> dict[str, str]:
        return {"Retry-After": self.retry_after} if self.retry_after else {}

    def _drip(self, body: bytes) -> Iterator[bytes]:
        for byte in body:
            if self._stopped.wait(0.2):
                return
            yield bytes([byte])

    def given(self, token: str, owner: str, *, life: float | None = None) -> float:
        """Note that a token was given, and answer when it ends, by the cloud's clock."""
        lives = self.life if life is None else life
        end = self.now() + (-60 if self.gives_expired_tokens else lives)
        with self._lock:
            self._ends[token] = end
            self.mints[owner] += 1
        return end


def random_text(length: int) -> str:
    return secrets.token_urlsafe(length)[:length]


class BusyServer(ThreadingServer):
    request_queue_size = 256


class PromptHandler(QuietHandler):
    disable_nagle_algorithm = True


class KeptAnswer(SimpleHandler):
    http_version = "1.1"


class KeepingHandler(PromptHandler):
    """One request after the other over a connection; wsgiref's own ends it after the first."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        self.close_connection = False
        while not self.close_connection:
            self.raw_requestline = self.rfile.readline()
            if not self.raw_requestline or not self.parse_request():
                return
            handler = KeptAnswer(self.rfile, cast("IO[bytes]", self.wfile), self.get_stderr(), self.get_environ())
            handler.run(self.server.get_app())  # type: ignore[attr-defined]  # it is a WSGIServer
