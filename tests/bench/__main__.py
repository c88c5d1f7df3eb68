"""`make bench`: what dokreg costs, side by side with what it is compared with, in one run on both.

Prints a table, and writes the figures as JSON to the file named as the argument; a section is measured alone if it is
named as well (`tests`, `list`, `fleet`, `refreshes`, `logins`, `deployments`, `api`). Medians; the spread is the middle
half of the runs.
Everything is real: sshd, Docker engine, registry, `manage.py up`; only AWS is a stand-in.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.bench import api, deployments, fleet, logins, refreshes
from tests.bench.figures import Figure, compared, memory, timed
from tests.lab.engine import Engine
from tests.lab.registry import Account, BearerRegistry
from tests.lab.sshd import Server
from tests.owner import Owner
from tests.running import ROOT, Running, running

ROUNDS = 25
SHORT, LONG = "a-password-of-20-byt", "t" * 2500
MANY_REGISTRIES = 10_000


def side_by_side(*works: Callable[[], object]) -> list[list[float]]:
    """The times of several works, taken in turn so that whatever else happens on the machine meets all of them."""
    for work in works:
        work()
    rounds = [[timed(work) for work in works] for _ in range(ROUNDS)]
    return [list(times) for times in zip(*rounds, strict=True)]


class Bench:
    """The lab and a dokreg in which two registries are saved: one with a short secret, one with a long one."""

    def __init__(self, dokreg: Running, machine: Server, registry: BearerRegistry) -> None:
        self.dokreg, self.machine, self.registry = dokreg, machine, registry
        self.owner = Owner(dokreg)
        self.server_id = self.owner.add_server("bench", machine)
        self.saved = {name: self._save(name, secret) for name, secret in (("short", SHORT), ("long", LONG))}

    def _save(self, name: str, secret: str) -> str:
        self.registry.tokens.passwords[name] = secret
        add = "/acme/settings/registries/add/generic/"
        self.owner.get(add)
        values = {"name": name, "url": self.registry.host, "username": name, "password": secret}
        return self.owner.post(add, **values, server=self.server_id).address

    def test(self, name: str) -> None:
        """From the click to the verdict on the page, over HTTP as the browser does it."""
        page = self.owner.htmx_post(f"{self.saved[name]}test/", server=self.server_id, image="")
        ladder = self.owner.ladder(page.match(r'hx-get="([^"]+)"')) if "hx-get" in page.text else page.text
        assert 'data-state="failed"' not in ladder, ladder

    def by_hand(self) -> None:
        """What people do without dokreg."""
        login = f"docker login --username short --password-stdin -- {self.registry.host}"
        self.machine.ssh(login, stdin=SHORT)

    def tests(self) -> list[Figure]:
        short, long, by_hand = side_by_side(lambda: self.test("short"), lambda: self.test("long"), self.by_hand)
        return [
            compared("Test of a saved registry, click to verdict", short, "ssh HOST docker login", by_hand, "≤ 1.0"),
            compared("the same with a 2,500-byte token", long, "with a 20-byte password", short, "≤ 1.2"),
        ]


def list_figures(folder: Path) -> list[Figure]:
    """The list of registries with 10 and with 10,000 in the database."""
    environment = os.environ | {"DOKREG_DATA": str(folder), "DJANGO_SETTINGS_MODULE": "dokreg.settings"}
    answer = subprocess.run(
        [sys.executable, "-m", "tests.bench.list_page", str(MANY_REGISTRIES), str(ROUNDS)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    few, many = json.loads(answer.stdout)
    figure = compared("registries page with 10,000 registries", many["times"], "with 10", few["times"], "≤ 1.5")
    queries = Figure(
        "queries of that page with 10,000", many["queries"], against="with 10", other=few["queries"], bar="the same"
    )
    return [figure, queries]


def show(figures: list[Figure]) -> None:
    print("| work | figure | spread | against | figure | ratio | bar |\n| --- | --- | --- | --- | --- | --- | --- |")
    for f in figures:
        cells = [f.work, f.value, f.spread, f.against, f.other, f.ratio, f.bar]
        print("| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |")


def test_figures(folder: Path) -> list[Figure]:
    """One registry on one server, and the memory of a dokreg that has done so."""
    with (
        Engine(folder / "engine") as engine,
        Server(folder / "server", engine) as machine,
        BearerRegistry(folder / "registry", [Account("short", SHORT)]) as registry,
        running(folder / "data") as dokreg,
    ):
        dokreg.wait_until_healthy()
        bench = Bench(dokreg, machine, registry)
        return [*bench.tests(), memory(dokreg, "these tests")]


SECTIONS = {
    "tests": test_figures,
    "list": list_figures,
    "fleet": fleet.figures,
    "refreshes": refreshes.figures,
    "logins": logins.figures,
    "deployments": deployments.figures,
    "api": api.figures,
}


def main(arguments: list[str]) -> None:
    names = [name for name in arguments if name in SECTIONS] or list(SECTIONS)
    figures: list[Figure] = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="dokreg-bench-", dir="/var/tmp") as temporary:
            folder = Path(temporary)
            folder.chmod(0o711)
            figures += SECTIONS[name](folder)
    show(figures)
    for name in set(arguments) - set(SECTIONS):
        Path(name).write_text(json.dumps([asdict(figure) for figure in figures], indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
