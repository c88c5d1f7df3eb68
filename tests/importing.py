"""What the tests of commands that import share: marked secrets, and a reader of what they say."""

import contextlib
import io
import logging
import traceback
from collections.abc import Iterator
from typing import NamedTuple, TextIO

from django.core.management import CommandError, call_command

from servers import keys
from tests.lab.watch import encodings

PAIR = keys.generate()
AUTH_SECRET = "marked-auth-secret-of-dokploy"
SECRETS = (
    "marked-registry-password",
    "marked-docker-hub-token",
    "marked-image-password",
    "marked-other-image-password",
    "marked-token-of-digitalocean",
    "marked-environment-value",
    "marked-project-value",
    "marked-stage-value",
    "marked-basic-auth",
    "marked-file-content",
    "marked-database-password",
    "marked-argument-value",
    "marked-api-key",
    AUTH_SECRET,
    PAIR.private.splitlines()[3],
)


class Said(NamedTuple):
    """What a command wrote, and why it failed; "" if it did not."""

    out: str
    error: str


def run(command: str, *arguments: str) -> Said:
    """Run a command; nothing that it says, logs or fails with, tracebacks included, has a marked secret in it."""
    out, err, error, trace = io.StringIO(), io.StringIO(), "", ""
    try:
        with contextlib.redirect_stdout(err), contextlib.redirect_stderr(err), logging_to(err):
            call_command(command, *arguments, stdout=out, stderr=err)
    except CommandError as failure:
        error, trace = str(failure), "".join(traceback.format_exception(failure))
    everything = f"{out.getvalue()}{err.getvalue()}{trace}".encode()
    assert [secret for secret in SECRETS if any(form in everything for form in encodings(secret))] == []
    return Said(out.getvalue(), error)


@contextlib.contextmanager
def logging_to(stream: TextIO) -> Iterator[None]:
    """Everything that anybody logs, whatever its level."""
    root, handler = logging.getLogger(), logging.StreamHandler(stream)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def signs(out: str) -> dict[str, set[tuple[str, str]]]:
    """`+`, `=` and `-` → what stands behind them, as heading and name."""
    found: dict[str, set[tuple[str, str]]] = {"+": set(), "=": set(), "-": set()}
    heading = ""
    for line in out.splitlines():
        if line[:2] == "  " and line[2:4] in {"+ ", "= ", "- "}:
            found[line[2]].add((_SINGULAR[heading], line[4:].partition(": ")[0]))
        elif line in _SINGULAR:
            heading = line
    return found


_SINGULAR = {
    "SSH keys": "SSH key",
    "Servers": "server",
    "Registries": "registry",
    "Projects": "project",
    "Applications": "application",
    "Other services": "other service",
}


def line_of(out: str, name: str) -> str:
    """The line of this name, with its notes."""
    lines = out.splitlines()
    start = next(
        n for n, line in enumerate(lines) if line[2:4] in {"+ ", "= ", "- "} and line[4:].startswith(f"{name}:")
    )
    notes = [line.strip() for line in lines[start + 1 :]]
    end = next(n for n, line in enumerate(lines[start + 1 :]) if not line.startswith("      "))
    return "\n".join([lines[start].strip(), *notes[:end]])
