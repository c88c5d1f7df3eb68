"""The HTTP API: a list of a thousand registries, and a test of one on a server against `ssh … docker login`."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, alone, compared, once, timed
from tests.lab.engine import Engine
from tests.lab.impostors import Silent
from tests.lab.registry import Account, BasicRegistry
from tests.lab.sshd import Server
from tests.owner import Owner
from tests.program import Program, add_machine, key_of
from tests.running import Running, running

ROUNDS = 30
ROWS = 1000
SECONDS = 5.0
HANGING = 20
ACCOUNT = Account("robot", "a-password-of-20-byt")


class Api:
    """A dokreg with a thousand registries, and a program that uses it."""

    def __init__(self, dokreg: Running, machine: Server, registry: BasicRegistry) -> None:
        self.dokreg, self.machine, self.host = dokreg, machine, registry.host
        Owner(dokreg)
        self.key = key_of(dokreg)
        self.program = Program(dokreg, self.key)
        self.server_id = add_machine(self.program, "bench", machine)
        self.registry_id = self.program.made(
            "registry.create",
            registryName="bench", username=ACCOUNT.username, password=ACCOUNT.password, registryUrl=self.host,
            registryType="cloud", imagePrefix=None, serverId=self.server_id,
        )["registryId"]  # fmt: skip

    def fill(self) -> None:
        """Copies of the saved registry, each with its last test, until there are a thousand."""
        columns = [str(row[1]) for row in self.dokreg.rows("PRAGMA table_info(registries_registry)")]
        changed = {"id": "substr(hex(randomblob(11)), 1, 21)", "name": "'Images ' || number"}
        chosen = ", ".join(changed.get(column, column) for column in columns)
        self.dokreg.change(
            "WITH RECURSIVE numbers(number) AS (SELECT 2 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?) "
            f"INSERT INTO registries_registry ({', '.join(columns)}) SELECT {chosen} FROM registries_registry, numbers",
            ROWS,
        )

    def list_all(self) -> None:
        assert self.program.raw("registry.all").count(b'"registryId"') == ROWS

    def test(self) -> None:
        reply = self.program.post("registry.testRegistryById", registryId=self.registry_id, serverId=self.server_id)
        assert reply.value is True, reply

    def by_hand(self) -> None:
        login = f"docker login --username {ACCOUNT.username} --password-stdin -- {self.host}"
        assert self.machine.ssh(login, stdin=ACCOUNT.password).returncode == 0

    def per_second(self, clients: int) -> float:
        """How many lists of a thousand so many programs get in a second, all together."""
        end = time.monotonic() + SECONDS
        counts = [0] * clients

        def ask(number: int) -> None:
            program = Program(self.dokreg, self.key)
            while time.monotonic() < end:
                program.raw("registry.all")
                counts[number] += 1

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return round(sum(counts) / SECONDS, 1)

    @contextlib.contextmanager
    def hanging(self, silent: Silent) -> Iterator[None]:
        """Tests that wait for a server which never says a word."""
        dead = add_machine(self.program, "dead", self.machine, port=silent.port)

        def wait() -> None:
            Program(self.dokreg, self.key).post("registry.testRegistryById", registryId=self.registry_id, serverId=dead)

        threads = [threading.Thread(target=wait) for _ in range(HANGING)]
        for thread in threads:
            thread.start()
        running_ones = "SELECT count(*) FROM registries_registrytest WHERE state = 'running'"
        self.dokreg.wait_for(lambda: self.dokreg.column(running_ones)[0] == HANGING, "them to hang")
        yield
        for thread in threads:
            thread.join()


def figures(folder: Path) -> list[Figure]:
    with (
        BasicRegistry(folder / "registry", (ACCOUNT,)) as registry,
        Engine(folder / "engine") as engine,
        Server(folder / "server", engine) as machine,
        running(folder / "data", DOKREG_API_REQUESTS_PER_MINUTE="1000000") as dokreg,
        Silent() as silent,
    ):
        dokreg.wait_until_healthy()
        api = Api(dokreg, machine, registry)
        api.test()
        pairs = [(timed(api.test), timed(api.by_hand)) for _ in range(ROUNDS)]
        mine, other = [list(times) for times in zip(*pairs, strict=True)]
        api.fill()
        api.list_all()
        listed = [timed(api.list_all) for _ in range(ROUNDS)]
        with api.hanging(silent):
            beside = [timed(api.list_all) for _ in range(ROUNDS)]
        listed += [timed(api.list_all) for _ in range(ROUNDS)]
        found = [
            compared("registry.testRegistryById, asked to answered", mine, "ssh HOST docker login", other, "≤ 0.8"),
            alone(f"registry.all with {ROWS:,} rows", listed, "≤ 25"),
            compared(
                f"registry.all with 1,000 rows, while {HANGING} tests hang on dead servers",
                beside,
                "without those, before and after",
                listed,
                "",
            ),
        ]
        for clients in (1, 8, 32):
            work = f"registry.all with {ROWS:,} rows, asked for by {clients} client{'s' * (clients > 1)}"
            found.append(once(work, api.per_second(clients), "/s"))
        return found
