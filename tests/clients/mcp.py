"""`@dokploy/mcp`: one process that a language model talks to, JSON-RPC over stdio; REST towards dokreg."""

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import IO, Any

from tests.clients.calling import DEADLINE_SECONDS, PACKAGES, Client, Outcome, Site

PROGRAM = PACKAGES / ".bin" / "dokploy-mcp"
PROTOCOL = "2025-03-26"
TAGS = "registry,application,project,environment,server,sshKey,deployment,user"


class Mcp(Client):
    """A tool per procedure (`registry-create`); the answer is a text that is JSON.

    A tool that fails answers the HTTP status alone; the message of the refusal is in the log on stderr. It masks
    values by the names of their fields: the answer of `project-create` comes with its `environment` masked as a whole.
    It gives up after 30 seconds (DOKPLOY_TIMEOUT).
    """

    shows_of_a_refused_login = "401 Unauthorized"

    def __init__(self, site: Site, process: "subprocess.Popen[str]") -> None:
        super().__init__(site)
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self._stdin = process.stdin
        self._messages: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._log: list[str] = []
        self._last_id = 0
        self._readers = [
            threading.Thread(target=_read, args=(process.stdout, self._messages.put), daemon=True),
            threading.Thread(target=_read, args=(process.stderr, self._log.append), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def log(self) -> str:
        """What it printed on stderr by now; complete once it has ended."""
        return "".join(self._log)

    def call(self, name: str, /, **values: Any) -> Outcome:
        seen = len(self.log)
        answer = self.request("tools/call", name=name.replace(".", "-"), arguments=values)
        text = str(answer["content"][0]["text"])
        failed = bool(answer.get("isError"))
        assert not text.startswith("MCP error"), text  # it did not even ask
        if failed:
            self.wait_for_log("Tool execution failed", since=seen)
        output = text + self.log[seen:]
        self.site.check_hidden(output)
        return Outcome(failed, None if failed else json.loads(text).get("data"), output)

    def introduce_ourselves(self) -> dict[str, Any]:
        """What has to be said first; what it says of itself."""
        us = {"name": "tests", "version": "1"}
        answer = self.request("initialize", protocolVersion=PROTOCOL, capabilities={}, clientInfo=us)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def request(self, method: str, /, **parameters: Any) -> dict[str, Any]:
        """The result of a method; fails on an error of the protocol itself."""
        self._last_id += 1
        self._send({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": parameters})
        message = self._answer_to(self._last_id)
        assert "result" in message, message
        result: dict[str, Any] = message["result"]
        return result

    def wait_for_log(self, words: str, *, since: int = 0) -> None:
        """Wait until it has logged these words: stderr comes on a line of its own, and may come later."""
        end = time.monotonic() + DEADLINE_SECONDS
        while words not in self.log[since:]:
            assert time.monotonic() < end, f"{words} is not in its log:\n{self.log[since:]}"
            time.sleep(0.01)

    def wait_until_read(self) -> None:
        """Wait until all that it printed is here, once it has ended."""
        for reader in self._readers:
            reader.join(DEADLINE_SECONDS)
            assert not reader.is_alive()

    def _send(self, message: dict[str, Any]) -> None:
        self._stdin.write(json.dumps(message) + "\n")
        self._stdin.flush()

    def _answer_to(self, number: int) -> dict[str, Any]:
        end = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                line = self._messages.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no answer in {DEADLINE_SECONDS} s:\n{self.log}") from None
            self.site.check_hidden(line)
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == number:
                return message


@contextlib.contextmanager
def talking(site: Site) -> Iterator[Mcp]:
    """An MCP server that knows us, until the block ends; then all that it logged has been looked at."""
    variables = {"DOKPLOY_URL": site.url, "DOKPLOY_API_KEY": site.key, "DOKPLOY_ENABLED_TAGS": TAGS}
    with subprocess.Popen(
        [str(PROGRAM)],
        cwd=site.folder,
        env=site.environment(variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        client = Mcp(site, process)
        try:
            client.introduce_ourselves()
            yield client
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)
            client.wait_until_read()
    site.check_hidden(client.log)


def _read(stream: IO[str], keep: Any) -> None:
    for line in stream:
        keep(line)
