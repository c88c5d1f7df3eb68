"""A thousand ECR registries whose tokens are due at once, against `aws ecr get-login-password` in a loop."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import REST_SECONDS, Figure, at_rest, compared, memory, timed
from tests.lab.ports import accepts_connections, free_port
from tests.owner import Owner
from tests.running import ROOT, Running, running

REGISTRIES = 1000
ROUNDS = 5
BY_HAND = 7  # times in each round
LONGEST_SECONDS = 120.0
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
FRESH = "SELECT count(*) FROM registries_registry WHERE refresh_due_at > ? AND token IS NOT NULL"


class Refreshes:
    """A dokreg with many registries at the stand-in for AWS, each with a key of its own and a first token."""

    def __init__(self, dokreg: Running, port: int, folder: Path) -> None:
        self.dokreg, self.port, self.folder = dokreg, port, folder
        self.database = sqlite3.connect(dokreg.data / "dokreg.sqlite3", timeout=20)
        (folder / "aws-config").touch()
        self._rows("save", str(REGISTRIES))
        self._wait_until_fresh()

    def all(self) -> float:
        """Milliseconds per token, from the moment the dispatcher begins until the last has a new one."""
        began = float(self._rows("due"))
        self._wait_until_fresh()
        return (time.time() - began) * 1000 / REGISTRIES

    def by_hand(self) -> None:
        """What people do without dokreg."""
        environment = {
            "PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": "s" * 40,
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(self.folder / "aws-config"),
        }  # fmt: skip
        words = ["ecr", "get-login-password", "--region", "eu-central-1"]
        program = [
            str(Path(sys.executable).with_name("aws")),
            *words,
            "--endpoint-url",
            f"http://127.0.0.1:{self.port}",
        ]
        subprocess.run(program, env=environment, check=True, capture_output=True)

    def given(self) -> Counter[str]:
        """Key → tokens that were given for it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/lab") as answer:
            return Counter(json.load(answer)["mints"])

    def _rows(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.refresh_rows", *arguments],
            cwd=ROOT, env=self.dokreg.environment | {"DJANGO_SETTINGS_MODULE": "dokreg.settings"}, text=True,
            stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        return done.stdout

    def _wait_until_fresh(self) -> None:
        end = time.monotonic() + LONGEST_SECONDS
        while (fresh := self._fresh()) < REGISTRIES:
            assert time.monotonic() < end, f"{fresh} of {REGISTRIES} tokens after {LONGEST_SECONDS} s"
            time.sleep(0.05)

    def _fresh(self) -> int:
        now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        return int(self.database.execute(FRESH, [now]).fetchone()[0])


@contextlib.contextmanager
def _aws() -> Iterator[int]:
    """The stand-in, in a process of its own: its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.lab.aws", str(port)], cwd=ROOT)
    try:
        while not accepts_connections("127.0.0.1", port):
            assert process.poll() is None
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def figures(folder: Path) -> list[Figure]:
    """In turn, so that whatever else happens meets both."""
    with _aws() as port, running(folder / "data", DOKREG_AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}") as dokreg:
        dokreg.wait_until_healthy()
        Owner(dokreg)
        lab = Refreshes(dokreg, port, folder)
        refreshed, by_hand = [], []
        for _ in range(ROUNDS):
            refreshed.append(lab.all())
            by_hand += [timed(lab.by_hand) for _ in range(BY_HAND)]
        given = lab.given()
        assert given.pop(KEY_ID) == ROUNDS * BY_HAND
        assert set(given.values()) == {1 + ROUNDS}, Counter(given.values())
        against = "aws ecr get-login-password"
        work = f"{REGISTRIES:,} ECR registries refreshed, per token"
        tokens = REGISTRIES * (1 + ROUNDS)
        return [
            compared(work, refreshed, against, by_hand, "≤ 0.02"),
            memory(
                f"memory of all processes {REST_SECONDS:.0f} s after refreshing {tokens:,} tokens, AWS client loaded",
                [at_rest(dokreg.processes)],
            ),
        ]
