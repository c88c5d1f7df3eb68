"""May this account pull this image? The daemon is asked, without pulling.

`GET /distribution/{name}/json` of the Docker Engine API makes the daemon fetch the manifest as a pull would: with
its certificates, mirrors and proxies. Nothing is written on the server, the credentials are a header of the request.
The API is reached through `docker system dial-stdio`, which Docker's own clients use over SSH.
"""

import base64
import http.client
import io
import json
from typing import Any

from registries.references import Reference
from servers.docker import Channel, Host
from servers.ssh import OUTPUT_LIMIT

PULL_DEADLINE = 40.0


class PullRefused(Exception):
    """The daemon could not get the manifest; `words` are its own, or the registry's."""

    def __init__(self, words: str) -> None:
        super().__init__("the manifest could not be fetched")
        self.words = words


def check_pull_right(host: Host, *, reference: Reference, registry: str, username: str, password: str) -> str:
    """The digest that a pull would get. Raises PullRefused, or ssh.SSHProblem."""
    header = {"username": username, "password": password, "serveraddress": registry}
    with host.dial(deadline=PULL_DEADLINE) as channel:
        connection = _ChannelConnection(channel)
        try:
            connection.request(
                "GET",
                f"/distribution/{reference}/json",
                headers={
                    "Host": "docker",
                    "X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(header).encode()).decode(),
                },
            )
            response = connection.getresponse()
            body = response.read(OUTPUT_LIMIT)
        except (http.client.HTTPException, OSError) as error:
            raise PullRefused("The Docker daemon gave no answer about this image.") from error
    answer = _json(body)
    if response.status != http.client.OK:
        raise PullRefused(str(answer.get("message") or f"The daemon answered {response.status}."))
    return str(answer.get("Descriptor", {}).get("digest", ""))


def _json(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


class _ChannelConnection(http.client.HTTPConnection):
    """HTTP over a channel that is open already."""

    def __init__(self, channel: Channel) -> None:
        super().__init__("docker")
        self.sock = _ChannelSocket(channel)

    def connect(self) -> None:
        raise http.client.NotConnected


class _ChannelSocket:
    """The three methods of a socket that http.client uses."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def sendall(self, data: bytes) -> None:
        self._channel.sendall(data)

    def makefile(self, _mode: str) -> Any:
        return io.BufferedReader(_Reader(self._channel))

    def close(self) -> None:
        """The channel is closed by who opened it."""


class _Reader(io.RawIOBase):
    """A channel as a raw stream."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._channel.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)
