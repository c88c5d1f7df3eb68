"""Twenty tests through the API hang on dead servers: everybody else is served as if they did not."""

import threading
import time
from collections.abc import Iterator

import pytest

from tests.lab.fixtures import ALICE
from tests.lab.impostors import Silent
from tests.lab.registry import BasicRegistry
from tests.lab.sshd import Server
from tests.owner import Owner
from tests.program import Program, add_machine, key_of
from tests.running import Running, running

HANGING = 20
LONGEST_ANSWER = 1.0  # seconds; a dead server is given up after several
ASKED = 20


@pytest.fixture(scope="module")
def dokreg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("waiting") / "data") as started:
        started.wait_until_healthy()
        yield started


@pytest.fixture(scope="module")
def key(dokreg: Running) -> str:
    Owner(dokreg)
    return key_of(dokreg)


def test_hanging_tests_starve_nobody(
    dokreg: Running, key: str, server_one: Server, lab_registry: BasicRegistry
) -> None:
    program = Program(dokreg, key)
    living = add_machine(program, "web-1", server_one)
    with Silent() as silent:
        dead = add_machine(program, "dead", server_one, port=silent.port)
        registry = program.made(
            "registry.create",
            registryName="Images", username=ALICE.username, password=ALICE.password, registryUrl=lab_registry.host,
            registryType="cloud", imagePrefix=None, serverId=living,
        )["registryId"]  # fmt: skip
        hanging = [Hanging(dokreg, key, registry, dead) for _ in range(HANGING)]
        for one in hanging:
            one.start()
        dokreg.wait_for(lambda: in_state(dokreg, "running") == HANGING, "all of them to hang")
        times = [listed(program) for _ in range(ASKED)]
        assert in_state(dokreg, "running") == HANGING, "they are to hang until the end of the measurement"
        assert program.post("registry.testRegistryById", registryId=registry, serverId=living).value is True
        assert in_state(dokreg, "running") > 0, "a test on a living server is not to wait for them"
        for one in hanging:
            one.join()
    assert max(times) < LONGEST_ANSWER
    assert {one.status for one in hanging} == {400}
    assert all("did not answer" in one.message or "no SSH" in one.message for one in hanging), hanging[0].message


class Hanging(threading.Thread):
    """A program that waits for the verdict of a test on a dead server."""

    def __init__(self, dokreg: Running, key: str, registry: str, server: str) -> None:
        super().__init__()
        self.program, self.registry, self.server = Program(dokreg, key), registry, server
        self.status, self.message = 0, ""

    def run(self) -> None:
        reply = self.program.post("registry.testRegistryById", registryId=self.registry, serverId=self.server)
        self.status, self.message = reply.status, str(reply.value.get("message"))


def in_state(dokreg: Running, state: str) -> int:
    return int(dokreg.column("SELECT count(*) FROM registries_registrytest WHERE state = ?", state)[0])


def listed(program: Program) -> float:
    """Seconds that a list takes."""
    since = time.monotonic()
    assert program.get("registry.all").status == 200
    return time.monotonic() - since
