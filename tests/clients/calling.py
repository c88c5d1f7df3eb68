"""Clients that others wrote, called by the names of the API: `client.ask("registry.one", registryId=…)`."""

import json
import secrets
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tests.lab.registry import Account, BasicRegistry
from tests.running import Running

PACKAGES = Path(sys.prefix) / "clients" / "node_modules"  # see the Makefile
DEADLINE_SECONDS = 120
# In every password here, and what must show in nothing that anybody prints.
MARK = "cl1ent-s3cret"
ROBOT = Account("robot", f"{MARK} right: $HOME \"and\" 'é'")
WRONG, NEW = f"{MARK} wrong", f"{MARK} new"
NOT_A_KEY = "w" * 64
READS = frozenset({"all", "one", "get", "validate", "readLogs", "getOpenApiDocument"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to: the parsed answer (None if it failed), and all that the client printed."""

    failed: bool
    value: Any
    output: str


@dataclass(frozen=True)
class Site:
    """A running dokreg as a client knows it, a folder for the client's own files, and what is to show nowhere."""

    dokreg: Running
    key: str
    folder: Path
    secrets: Sequence[str]

    @property
    def url(self) -> str:
        return self.dokreg.url

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """With nothing of the person who runs the tests, such as their home or a proxy."""
        return {"PATH": self.dokreg.environment["PATH"], "HOME": str(self.folder), **variables}

    def run(
        self, words: Sequence[str], variables: Mapping[str, str], *, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a client to its end, in its folder."""
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment(variables),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        self.check_hidden(done.stdout + done.stderr)
        return done

    def check_hidden(self, output: str) -> None:
        """Fail if a secret shows in what a client printed, or in what dokreg itself printed by now."""
        for secret in self.secrets:
            assert secret not in output, f"the client shows a secret:\n{output}"
            assert secret not in self.dokreg.output, f"dokreg's log shows a secret:\n{self.dokreg.output}"


NewSite = Callable[..., Site]


class Client(ABC):
    """One of them, at its site."""

    # What it shows of a refusal whose message has Docker's "401 Unauthorized": that, or no more than dokreg's status.
    shows_of_a_refused_login: ClassVar[str]

    def __init__(self, site: Site) -> None:
        self.site = site

    @abstractmethod
    def call(self, name: str, /, **values: Any) -> Outcome:
        """Carry out a procedure with this input."""

    def ask(self, name: str, /, **values: Any) -> Any:
        """The answer of a procedure that must not fail."""
        outcome = self.call(name, **values)
        assert not outcome.failed, outcome.output
        return outcome.value


def outcome_of(done: "subprocess.CompletedProcess[str]") -> Outcome:
    """Of a program that has printed its answer as JSON, or failed."""
    failed = done.returncode != 0
    return Outcome(failed, None if failed else json.loads(done.stdout), done.stdout + done.stderr)


def wish(registry: BasicRegistry, **values: Any) -> dict[str, Any]:
    """The input of registry.create."""
    return {
        "registryName": f"images-{secrets.token_hex(4)}",
        "username": ROBOT.username,
        "password": ROBOT.password,
        "registryUrl": registry.host,
        "registryType": "cloud",
        "imagePrefix": "acme",
        **values,
    }


def is_read(name: str) -> bool:
    """Whether clients ask for it by GET."""
    return name.partition(".")[2] in READS
