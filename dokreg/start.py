"""`python -m dokreg.start web|worker|beat`: one process of an installation, for a container or a unit of systemd.

Prepares what is not prepared yet (of several that start at once, the first does it and the others wait), and becomes
the process. Words after the name are handed on to gunicorn or Celery, and win over the usual ones.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from dokreg import places, programs
from dokreg.configuration import as_bind

MANAGE = [*programs.PYTHON, str(Path(__file__).resolve().parent.parent / "manage.py")]
# Those who wait for a test's verdict get it, or a page that says to look again.
GRACEFUL_SECONDS = 30
COMMANDS: dict[str, Callable[[], list[str]]] = {
    "web": lambda: programs.web(as_bind(places.bind()), graceful_seconds=GRACEFUL_SECONDS),
    "worker": programs.worker,
    "beat": programs.beat,
}
FIRST_OWNER = """\
Set up the first owner with this link; it works once, and until the next one is made:

    {link}

Another one: manage.py setup_link
"""


def main(arguments: list[str]) -> int:
    """Does not return if all is well; else the exit status for whoever started it, who tries again later."""
    # The first process of a container hears no signal that it has not asked for: while it prepares, it ends at once.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    name, *more = arguments or [""]
    if name not in COMMANDS:
        _say(f"python -m dokreg.start takes one of these: {', '.join(COMMANDS)}.")
        return 2
    # glibc gives every few threads a heap of their own, and none of them gives back what a busy minute needed.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    os.umask(0o077)
    try:
        command = [*COMMANDS[name](), *more]
    except (ValueError, OSError) as error:
        _say(f"DOKREG_BIND: {error}")
        return 2
    status = _prepare(shows_link=name == "web")
    return status or os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def _prepare(*, shows_link: bool) -> int:
    """The exit status. By a process of its own: this one would carry its memory for the rest of its life."""
    command = [*MANAGE, "prepare", *(["--facts"] if shows_link else [])]
    prepared = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if shows_link and not prepared.returncode:
        link = json.loads(prepared.stdout.splitlines()[-1])["setup_link"]
        if link:
            _say(FIRST_OWNER.format(link=link))
    return prepared.returncode


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the terminal, or the log of the container, is the face of this command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
