"""One registry tested on one server: against `ssh HOST docker login`, and what dokreg holds in memory afterwards."""

from pathlib import Path

from tests.bench.figures import Figure, Held, at_rest, compared, memory, side_by_side
from tests.lab.engine import Engine
from tests.lab.registry import Account, BearerRegistry
from tests.lab.sshd import Server
from tests.owner import Owner
from tests.running import Running, running

STARTS = 3
ROUNDS = 25  # after each start
SHORT, LONG = "a-password-of-20-byt", "t" * 2500
BY_HAND = "ssh HOST docker login"


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

    def in_turn(self) -> list[list[float]]:
        """Times with the short secret, with the long one, and by hand."""
        return side_by_side(ROUNDS, lambda: self.test("short"), lambda: self.test("long"), self.by_hand)

    def by_hand(self) -> None:
        """What people do without dokreg."""
        login = f"docker login --username short --password-stdin -- {self.registry.host}"
        done = self.machine.ssh(login, stdin=SHORT)
        assert done.returncode == 0, done.stderr


def figures(folder: Path) -> list[Figure]:
    with (
        Engine(folder / "engine") as engine,
        Server(folder / "server", engine) as machine,
        BearerRegistry(folder / "registry", [Account("short", SHORT)]) as registry,
    ):
        times: list[list[float]] = [[], [], []]
        held: list[Held] = []
        for number in range(STARTS):
            with running(folder / f"data-{number}") as dokreg:
                dokreg.wait_until_healthy()
                bench = Bench(dokreg, machine, registry)
                for column, more in zip(times, bench.in_turn(), strict=True):
                    column.extend(more)
                held.append(at_rest(dokreg.processes))
    short, long, by_hand = times
    return [
        compared("Test of a saved registry, click to verdict", short, BY_HAND, by_hand, "≤ 0.8"),
        compared("Test with a 2,500-byte token", long, "with a 20-byte password", short, "≤ 1.2"),
        memory("memory of all processes at rest after these tests", held, "≤ 250"),
    ]
