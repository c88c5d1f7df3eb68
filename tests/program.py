"""A program that uses the API of a running dokreg with a key, over real HTTP and one connection."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.lab import sshd
from tests.running import Running

LONGEST_SECONDS = 120


@dataclass(frozen=True)
class Reply:
    status: int
    value: Any


class Program:
    """Calls procedures by their names; not to be shared by threads."""

    def __init__(self, dokreg: Running, key: str, *, url: str = "") -> None:
        self.key = key
        place = urlsplit(url or dokreg.url)
        self._connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=LONGEST_SECONDS)

    def get(self, name: str, /, **values: str) -> Reply:
        return self._ask("GET", f"/api/{name}?{urlencode(values)}", None)

    def post(self, name: str, /, **values: Any) -> Reply:
        return self._ask("POST", f"/api/{name}", json.dumps(values))

    def made(self, name: str, /, **values: Any) -> Any:
        """What a mutation that has to succeed answers."""
        reply = self.post(name, **values)
        assert reply.status == 200, reply
        return reply.value

    def raw(self, name: str, /) -> bytes:
        """The body of a query's answer as it came."""
        return self._send("GET", f"/api/{name}", None)[1]

    def _ask(self, method: str, path: str, body: str | None) -> Reply:
        status, content = self._send(method, path, body)
        return Reply(status, json.loads(content or "null"))

    def _send(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        """The server may close an idle connection as it is used again: only what may be sent twice uses one."""
        if method != "GET":
            self._connection.close()  # and opens anew by itself
        try:
            return self._send_once(method, path, body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            if method != "GET":
                raise
            self._connection.close()
            return self._send_once(method, path, body)

    def _send_once(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        self._connection.request(method, path, body, {"x-api-key": self.key, "Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, answer.read()


def key_of(dokreg: Running, username: str = "alice") -> str:
    """A new key of somebody in the organisation `acme`."""
    return dokreg.manage("create_api_key", "--user", username, "--organisation", "acme", "--name", "program").strip()


def add_machine(program: Program, name: str, machine: sshd.Server, *, port: int = 0) -> str:
    """Add a server of the lab, whose host key is known, or something else on its host; the id of its row."""
    key = program.made("sshKey.create", name=name, privateKey=machine.private_key)
    server = program.made(
        "server.create",
        name=name, description="", ipAddress=machine.host, port=port or machine.port, username=machine.user,
        sshKeyId=key["sshKeyId"], serverType="deploy", hostKey=machine.host_key,
    )  # fmt: skip
    return str(server["serverId"])
