"""Runs modules of the tests beside a dokreg, again and again, with Django and the apps loaded once.

On stdin it takes a line of JSON for each, `{"module", "stdin"}`, and runs the module as the main one in a process that
is forked from this one; it answers with a line of JSON, `{"status", "stdout"}`. It ends with its stdin.
"""

import io
import json
import os
import runpy
import subprocess
import sys
import traceback
import weakref
from collections.abc import Mapping
from pathlib import Path

import django
from django.db import connections

ROOT = Path(__file__).resolve().parents[1]


class Forking:
    """Such a process, with an environment of its own; it is gone when this object is."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        weakref.finalize(self, self._process.communicate)

    def run(self, module: str, stdin: str) -> str:
        """What the module printed. Raises CalledProcessError if it failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"module": module, "stdin": stdin}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if answer["status"]:
            raise subprocess.CalledProcessError(answer["status"], module, answer["stdout"])
        return str(answer["stdout"])


def serve() -> None:
    django.setup()
    for line in sys.stdin:
        wanted = json.loads(line)
        ours, theirs = os.pipe()
        if (child := os.fork()) == 0:
            os.close(ours)
            os._exit(_run(wanted, theirs))
        os.close(theirs)
        with open(ours) as pipe:
            printed = pipe.read()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps({"status": os.waitstatus_to_exitcode(status), "stdout": printed}) + "\n")
        sys.stdout.flush()


def _run(wanted: dict[str, str], out: int) -> int:
    """In the child: the exit status."""
    sys.stdin = io.StringIO(wanted["stdin"])
    try:
        with open(out, "w") as pipe:
            sys.stdout = pipe
            runpy.run_module(wanted["module"], run_name="__main__")
        connections.close_all()
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve()
