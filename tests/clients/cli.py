"""`@dokploy/cli`: a process per call, what it is to send as options, over tRPC."""

import re
import subprocess
from pathlib import Path
from typing import Any

from tests.clients.calling import PACKAGES, Client, Outcome, Site, outcome_of

PROGRAM = PACKAGES / ".bin" / "dokploy"


class Cli(Client):
    """It sends the input of a query bare (`?input={…}`), without the envelope that other clients of tRPC put around it.

    Of a refusal it prints the HTTP status, and nothing of the body. It takes passwords as arguments, and has no other
    way. It has no null: an option is a text, or is left out.
    """

    shows_of_a_refused_login = "Request failed with status code 400"

    def __init__(self, site: Site, *, program: Path = PROGRAM, url: str | None = "") -> None:
        """`url` if it is to ask somebody else; None: it is told neither an address nor a key."""
        super().__init__(site)
        self._program = program
        self._variables = {} if url is None else {"DOKPLOY_URL": url or site.url, "DOKPLOY_API_KEY": site.key}

    def call(self, name: str, /, **values: Any) -> Outcome:
        options = [word for option, value in values.items() for word in (f"--{option}", str(value))]
        return outcome_of(self.run(*map(_kebab, name.split(".")), *options, "--json"))

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run it with these words, as a person does."""
        return self.site.run([str(self._program), *words], self._variables)


def _kebab(name: str) -> str:
    return re.sub("[A-Z]", lambda found: f"-{found[0].lower()}", name)
