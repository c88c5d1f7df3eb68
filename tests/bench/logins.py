"""Twenty registries that one server stays logged in to, against the same `docker login`s by hand."""

import contextlib
import json
import re
import sqlite3
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.figures import Figure, compared, timed
from tests.lab.engine import Engine
from tests.lab.registry import Account, WideRegistry
from tests.lab.sshd import Server
from tests.owner import Owner
from tests.running import Running, running

REGISTRIES = 20
ROUNDS = 7
LONGEST_SECONDS = 60.0
ACCOUNT = Account("robot", "a-password-of-20-byt")


class Logins:
    """A server whose sshd lets as few people wait as sshd does by itself, and a dokreg that knows it."""

    def __init__(self, dokreg: Running, machine: Server, registry: WideRegistry) -> None:
        self.machine, self.hosts = machine, registry.hosts(REGISTRIES)
        self.config = machine.home / ".docker" / "config.json"
        self.database = sqlite3.connect(dokreg.data / "dokreg.sqlite3", timeout=20)
        self.owner = Owner(dokreg)
        self.server_id = self.owner.add_server("bench", machine)
        self.registry_ids = [self._save(host) for host in self.hosts]
        self.by_hand = [
            machine.ssh_words(f"docker login -u {ACCOUNT.username} --password-stdin {h}") for h in self.hosts
        ]

    def keep_all(self) -> None:
        """From the first click to the last entry: the server is ticked on the page of each registry."""
        for registry_id in self.registry_ids:
            self.owner.post(f"/acme/settings/registries/{registry_id}/logins/", servers=self.server_id)
        self._wait_until("state = 'held' AND due_at IS NULL", REGISTRIES)

    def end_all(self) -> None:
        for registry_id in self.registry_ids:
            self.owner.post(f"/acme/settings/registries/{registry_id}/logins/")
        self._wait_until("1", 0)

    def one_by_one(self) -> None:
        for words in self.by_hand:
            self._log_in(words)

    def at_once(self) -> None:
        with ThreadPoolExecutor(REGISTRIES) as people:
            list(people.map(self._log_in, self.by_hand))

    def entries(self) -> int:
        """How many logins the server has; they are forgotten then."""
        number = len(json.loads(self.config.read_text())["auths"])
        self.config.unlink()
        return number

    def _log_in(self, words: list[str]) -> None:
        subprocess.run(words, input=ACCOUNT.password, text=True, capture_output=True)

    def _save(self, host: str) -> str:
        add = "/acme/settings/registries/add/generic/"
        self.owner.get(add)
        values = {"name": host, "url": host, "username": ACCOUNT.username, "password": ACCOUNT.password}
        return str(re.findall(r"/registries/([^/]+)/", self.owner.post(add, **values).address)[0])

    def _wait_until(self, condition: str, number: int) -> None:
        end = time.monotonic() + LONGEST_SECONDS
        count = f"SELECT count(*) FROM registries_login WHERE {condition}"
        while self.database.execute(count).fetchone()[0] != number:
            assert time.monotonic() < end, self.database.execute("SELECT state, cause FROM registries_login").fetchall()
            time.sleep(0.02)


def figures(folder: Path) -> list[Figure]:
    """In turn, so that whatever else happens meets all of them."""
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(Engine(folder / "engine"))
        machine = stack.enter_context(Server(folder / "server", engine, max_startups=None))
        registry = stack.enter_context(WideRegistry(folder / "registry", [ACCOUNT]))
        dokreg = stack.enter_context(running(folder / "data"))
        dokreg.wait_until_healthy()
        lab = Logins(dokreg, machine, registry)
        ways = (lab.keep_all, lab.one_by_one, lab.at_once)
        times: list[list[float]] = [[], [], []]
        entries: list[list[int]] = [[], [], []]
        for _ in range(ROUNDS):
            for way, ms, found in zip(ways, times, entries, strict=True):
                ms.append(timed(way))
                found.append(lab.entries())
            lab.end_all()
    kept, one_by_one, at_once = times
    work = f"{REGISTRIES} registries kept logged in on one server"
    present = Figure(
        f"logins that a server has after {REGISTRIES} at once, sshd with its default MaxStartups",
        min(entries[0]),
        "the fewest of all rounds; beside it the median",
        against=f"{REGISTRIES} × ssh docker login at once",
        other=statistics.median(entries[2]),
        bar=f"≥ {REGISTRIES}",
        unit="",
        n=ROUNDS,
    )
    return [
        compared(work, kept, "ssh docker login, one after the other", one_by_one, ""),
        compared("the same", kept, f"{REGISTRIES} × ssh docker login at once", at_once, ""),
        present,
    ]
