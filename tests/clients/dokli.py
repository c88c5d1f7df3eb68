"""`dokli`: builds its commands from our OpenAPI document; a process per call, REST."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.clients.calling import Client, Outcome, Site, is_read, outcome_of

PROGRAM = Path(sys.prefix) / "bin" / "dokli"
CONNECTION = "lab"


class Dokli(Client):
    """`dokli api CONNECTION ENTITY ACTION`: what a query requires stands by its place, a mutation takes `--body`.

    It puts a second slash into every path (`/api//registry.all`, `//api/settings.health`), gives up after ten seconds,
    and prints of a refusal the HTTP status alone. It masks every field whose name has the word "key" (`sshKeyId`,
    `hostKeyFingerprint`), unless it is told to show secrets; here it is told so, since no answer has any. It keeps our
    document in its home until `dokli refresh`. Its key must have 64 letters.
    """

    shows_of_a_refused_login = "Client error '400 Bad Request'"

    def __init__(self, site: Site, *, url: str = "") -> None:
        super().__init__(site)
        connection = {"name": CONNECTION, "url": url or site.url, "api_key": site.key}
        configuration = site.folder / "dokli.yaml"
        configuration.touch(mode=0o600)
        configuration.write_text(json.dumps({"connections": [connection]}))  # JSON is YAML

    @property
    def document(self) -> Path:
        """Where it keeps the OpenAPI document."""
        return self.site.folder / ".config" / "dokli" / "cache" / f"{CONNECTION}.openapi.json"

    def call(self, name: str, /, **values: Any) -> Outcome:
        words = list(map(str, values.values())) if is_read(name) else ["--body", f"%json:{json.dumps(values)}"]
        command = [*map(_snake, name.split(".")), *words]
        return outcome_of(self.run("api", CONNECTION, *command, "--format", "json", "--show-secrets"))

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run it with these words, as a person does."""
        return self.site.run([str(PROGRAM), *words], {})


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)
