"""The Docker Engine API on a host: what Docker's own clients speak over SSH, through `docker system dial-stdio`.

Everything goes as JSON in bodies and comes as JSON, so that no value can be taken for an option, nothing stands on a
command line, and nothing has to be read out of texts for people. The API: https://docs.docker.com/reference/api/engine/.
"""

import base64
import contextlib
import http.client
import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

from servers.docker import Channel, Host
from servers.ssh import OUTPUT_LIMIT

# How long a read waits before `on_wait` is asked, in seconds.
WAIT_SECONDS = 1.0
LINE_LIMIT = 64 * 1024
OnWait = Callable[[], None]


class EngineRefused(Exception):
    """The daemon answered that it will not; `words` are its own, unscrubbed."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"the Docker daemon answered {status}")
        self.status = status
        self.words = words

    @property
    def is_missing(self) -> bool:
        """Whether there is no such thing."""
        return self.status == http.client.NOT_FOUND


class EngineGone(Exception):
    """The connection to the daemon broke, or it never answered; why is to be found out by other means."""


@contextlib.contextmanager
def connect(host: Host, *, deadline: float, on_wait: OnWait | None = None) -> "Iterator[Engine]":
    """The daemon of a host, for so many seconds in all.

    `on_wait` is called about once a second while an answer is waited for; what it raises ends the waiting. Raises
    ssh.SSHProblem.
    """
    with host.dial(deadline=deadline) as channel:
        yield Engine(channel, on_wait=on_wait)


class Engine:
    """One connection to a daemon, over which one request goes after the other."""

    def __init__(self, channel: Channel, *, on_wait: OnWait | None = None) -> None:
        self._connection = _ChannelConnection(channel, on_wait)

    def get(self, path: str, **query: object) -> Any:
        """The answer in JSON. Raises EngineRefused, EngineGone, as all of these do."""
        return self._json("GET", path, query)

    def post(self, path: str, body: object = None, **query: object) -> Any:
        return self._json("POST", path, query, body)

    def delete(self, path: str, **query: object) -> Any:
        return self._json("DELETE", path, query)

    def manifest(self, reference: str, *, auth: str) -> Any:
        """What a pull would get, fetched by the daemon with its certificates, mirrors and proxies."""
        return self._json("GET", f"/distribution/{reference}/json", {}, auth=auth)

    def pull(self, *, repository: str, tag: str, auth: str) -> Iterator[dict[str, Any]]:
        """Pull `repository` at a tag or digest; the daemon's messages as they come, the last may hold `error`."""
        response = self._request("POST", "/images/create", {"fromImage": repository, "tag": tag}, auth=auth)
        with self._explained():
            while line := response.readline(LINE_LIMIT):
                if message := _object(line):
                    yield message

    def logs(self, container: str, *, tail: int, limit: int) -> str:
        """The last lines of a container's output, both streams, at most `limit` bytes of them."""
        query = {"stdout": 1, "stderr": 1, "tail": tail}
        response = self._request("GET", container_path(container, "logs"), query)
        with self._explained():
            raw = response.read(OUTPUT_LIMIT)
            response.close()
        return b"".join(_frames(raw))[-limit:].decode(errors="replace")

    def _json(self, method: str, path: str, query: dict[str, Any], body: object = None, *, auth: str = "") -> Any:
        response = self._request(method, path, query, body, auth=auth)
        with self._explained():
            raw = response.read(OUTPUT_LIMIT)
        return json.loads(raw) if raw.strip() else None

    def _request(
        self, method: str, path: str, query: dict[str, Any], body: object = None, *, auth: str = ""
    ) -> http.client.HTTPResponse:
        headers = {"Host": "docker"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if auth:
            headers["X-Registry-Auth"] = auth
        target = f"{path}?{urlencode(query)}" if query else path
        with self._explained():
            self._connection.request(method, target, None if body is None else json.dumps(body).encode(), headers)
            response = self._connection.getresponse()
            if response.status >= http.client.BAD_REQUEST:
                raise EngineRefused(response.status, _message(response.read(OUTPUT_LIMIT), response.status))
        return response

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (http.client.HTTPException, OSError, EOFError, ValueError) as error:
            raise EngineGone from error


def registry_auth(*, registry: str, username: str, password: str) -> str:
    """The header by which a request carries its credentials; the daemon keeps them for that request alone."""
    header = {"username": username or password, "password": password, "serveraddress": registry}
    return base64.urlsafe_b64encode(json.dumps(header).encode()).decode()


def container_path(container: str, verb: str) -> str:
    """The path of something that is asked of a container, by its id or name."""
    return f"/containers/{quote(container, safe='')}/{verb}"


def _object(line: bytes) -> dict[str, Any] | None:
    """A message of a stream; None for what is none, such as an empty line."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _message(body: bytes, status: int) -> str:
    answer = _object(body)
    return str((answer or {}).get("message") or f"The daemon answered {status}.")


def _frames(raw: bytes) -> Iterator[bytes]:
    """The output in a stream of frames: a byte that says which stream, three of nothing, four of length, the text."""
    while len(raw) >= 8:
        length = int.from_bytes(raw[4:8], "big")
        yield raw[8 : 8 + length]
        raw = raw[8 + length :]


class _ChannelConnection(http.client.HTTPConnection):
    """HTTP over a channel that is open already."""

    def __init__(self, channel: Channel, on_wait: OnWait | None) -> None:
        super().__init__("docker")
        self.sock = _ChannelSocket(channel, on_wait)

    def connect(self) -> None:
        raise http.client.NotConnected


class _ChannelSocket:
    """The three methods of a socket that http.client uses."""

    def __init__(self, channel: Channel, on_wait: OnWait | None) -> None:
        self._channel, self._on_wait = channel, on_wait

    def sendall(self, data: bytes) -> None:
        self._channel.sendall(data)

    def makefile(self, _mode: str) -> Any:
        return io.BufferedReader(_Reader(self._channel, self._on_wait))

    def close(self) -> None:
        """The channel is closed by who opened it."""


class _Reader(io.RawIOBase):
    """A channel as a raw stream."""

    def __init__(self, channel: Channel, on_wait: OnWait | None) -> None:
        self._channel, self._on_wait = channel, on_wait
        if on_wait is not None:
            channel.settimeout(WAIT_SECONDS)
        self._waited_at = time.monotonic()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            self._wait_on()
            try:
                data = self._channel.recv(len(buffer))
            except TimeoutError:
                if self._on_wait is None:
                    raise
                continue
            buffer[: len(data)] = data
            return len(data)

    def _wait_on(self) -> None:
        """Also while answers come without a pause, which a pull's do."""
        now = time.monotonic()
        if self._on_wait is not None and now - self._waited_at >= WAIT_SECONDS:
            self._waited_at = now
            self._on_wait()
