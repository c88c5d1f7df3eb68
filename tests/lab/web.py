"""Images that answer on a port, the containers of an engine, and what answers."""

import time
import urllib.error
import urllib.request

from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE
from tests.lab.registry import Account

# By way of a shell, which hears a TERM: busybox as the first process of a container does not, and is killed after 10 s.
ANSWERS = '["/bin/sh", "-c", "trap exit TERM; /bin/busybox httpd -f -p {port} -h /etc & wait"]'
# It answers as well, and has to be killed.
DEAF = (
    '["/bin/busybox", "sh", "-c", "trap \\"\\" TERM; /bin/busybox httpd -p {port} -h /etc; while :; do sleep 1; done"]'
)


def push_web(
    engine: Engine,
    reference: str,
    *,
    port: int,
    marker: str,
    command: str = "",
    padding: int = 0,
    account: Account = ALICE,
) -> str:
    """Push an image whose container answers `marker` at /marker on the port; its digest. The engine forgets it.

    `padding` are bytes that nothing compresses, for an image that takes a while to pull.
    """
    engine.import_image(reference, command=command or ANSWERS.format(port=port), marker=marker, padding=padding)
    engine.push(reference, account)
    digests = engine.docker("image", "inspect", "--format", '{{join .RepoDigests " "}}', reference).stdout.split()
    engine.remove_image(reference)
    repository = reference.rpartition(":")[0]
    return next(text for text in digests if text.startswith(f"{repository}@")).rpartition("@")[2]


def answer_of(port: int, *, seconds: float = 20) -> str:
    """What answers on the port; "" if nothing does in that time."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/marker", timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            if time.monotonic() > end:
                return ""
            time.sleep(0.05)


def containers_on(engine: Engine) -> dict[str, str]:
    """Name → state of every container of an engine."""
    lines = engine.docker("ps", "--all", "--format", "{{.Names}} {{.State}}").stdout.splitlines()
    return dict(line.split(maxsplit=1) for line in lines)
