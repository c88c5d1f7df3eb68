"""Scripts for a host's shell, and how their output is read as it arrives.

Everything is asked by one constant shell script per question, so that it costs one round trip. Values go over
stdin, a line each; a secret is what remains of stdin. The script marks the end of each stage with a random word
that it was given on stdin, which no output can imitate.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from dokreg.ids import new_id
from servers import ssh, verdicts

TEST_DEADLINE = 60.0
# When a task stops working: the workers' own limits (150 s, then 170 s) end what goes on, wherever it is. Of what
# may take long, each part gets what is left of this.
TASK_SECONDS = 85.0


def one_line(script: str) -> str:
    """A script as one line without quotes that any login shell, csh and fish too, hands to sh unchanged."""
    line = " ".join(part.strip() for part in script.strip().splitlines() if part.strip())
    assert not set(line) & set("'!\t"), "the script must survive every login shell's quoting"  # noqa: S101
    return line


# T keeps a command from outliving its use: sshd leaves what it started running when a connection drops.
PROLOGUE = r"""
    umask 077; ulimit -c 0 2>/dev/null;
    IFS= read -r MARK || exit 96;
    say() { printf "\n%s %s %s\n" "$MARK" "$1" "$2"; };
    if command -v timeout >/dev/null 2>&1; then T="timeout -k 3"; else T=; fi;
    t() { N=$1; shift; if [ -n "$T" ]; then $T "$N" "$@"; else "$@"; fi; };
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """A finished stage of a script: its exit status, what was printed meanwhile, and how long it took."""

    name: str
    status: int
    raw: bytes = field(repr=False)
    milliseconds: int

    @property
    def output(self) -> str:
        """What was printed, as text."""
        return self.raw.decode(errors="replace")


OnStage = Callable[[Stage], None]


class Runner(Protocol):
    """What can run a script."""

    user: str

    def run(self, script: str, *, stdin: bytes, deadline: float, on_output: ssh.OnOutput) -> int:
        """Run a constant script; raises ssh.SSHProblem."""


def run_stages(host: Runner, script: str, *, lines: list[str], rest: bytes = b"", on_stage: OnStage) -> None:
    """Run a script that begins with the PROLOGUE, and report its stages; raises ssh.SSHProblem.

    It reads `lines` by `read`, and `rest` is what then remains of its stdin.
    """
    mark = new_id()
    for line in lines:
        if not line.isprintable():
            raise ValueError("A value for the script must be one printable line.")
    reader = StageReader(mark, on_stage)
    stdin = "".join(f"{line}\n" for line in [mark, *lines]).encode() + rest
    status = host.run(script, stdin=stdin, deadline=TEST_DEADLINE, on_output=reader.feed)
    if not reader.stages:
        raise ssh.CommandFailed(verdicts.no_shell(user=host.user, status=status), words=reader.rest)


class StageReader:
    """Splits the output of a script at its marks, as it arrives."""

    def __init__(self, mark: str, on_stage: OnStage) -> None:
        self._mark = f"\n{mark} ".encode()
        self._on_stage = on_stage
        self._pending = b""
        self._since = time.monotonic()
        self.stages = 0

    @property
    def rest(self) -> str:
        """What was printed after the last mark, or without any."""
        return self._pending.decode(errors="replace")

    def feed(self, chunk: bytes) -> None:
        """Take more output; every stage that it completes is reported."""
        self._pending += chunk
        while (found := self._pending.find(self._mark)) >= 0:
            end = self._pending.find(b"\n", found + len(self._mark))
            if end < 0:
                return
            name, status = self._pending[found + len(self._mark) : end].decode().split()
            output = self._pending[:found]
            self._pending = self._pending[end + 1 :]
            now = time.monotonic()
            milliseconds, self._since = round((now - self._since) * 1000), now
            self.stages += 1
            self._on_stage(Stage(name, int(status), output, milliseconds))
