"""Twenty tests through the API hang on servers whose Docker is stuck: everybody else is served as if they did not."""

import shlex
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, NewServer
from tests.lab.impostors import Silent
from tests.lab.registry import BasicRegistry
from tests.lab.sshd import Server, path_with_docker
from tests.owner import Owner
from tests.patience import SOON
from tests.program import Program, add_machine, key_of
from tests.running import Running, running

HANGING = 20
STUCK_SERVERS = 4
UNTIL_THE_GATE_OPENS = """
case " $* " in *" login "*) while [ -e {gate} ]; do sleep 0.2; done;; esac
exec "$docker" "$@"
"""
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
    dokreg: Running, key: str, server_one: Server, new_server: NewServer, engine_one: Engine,
    lab_registry: BasicRegistry, tmp_path: Path,
) -> None:  # fmt: skip
    program = Program(dokreg, key)
    living = add_machine(program, "web-1", server_one)
    gate = tmp_path / "gate"
    gate.touch()
    path = path_with_docker(tmp_path / "tools", UNTIL_THE_GATE_OPENS.format(gate=shlex.quote(str(gate))))
    stuck = [
        add_machine(program, f"stuck-{number}", new_server(engine_one, environment={"PATH": path}))
        for number in range(STUCK_SERVERS)
    ]
    registry = program.made(
        "registry.create",
        registryName="Images", username=ALICE.username, password=ALICE.password, registryUrl=lab_registry.host,
        registryType="cloud", imagePrefix=None, serverId=living,
    )["registryId"]  # fmt: skip
    hanging = [Hanging(dokreg, key, registry, stuck[number % STUCK_SERVERS]) for number in range(HANGING)]
    try:
        with Silent() as silent:
            mute = add_machine(program, "mute", server_one, port=silent.port)
            given_up = [Hanging(dokreg, key, registry, mute) for _ in range(STUCK_SERVERS)]
            for one in [*hanging, *given_up]:
                one.start()
            for one in given_up:
                one.join()
        dokreg.wait_for(lambda: in_state(dokreg, "running") == HANGING, "all of them to hang")
        times = [listed(program) for _ in range(ASKED)]
        assert program.post("registry.testRegistryById", registryId=registry, serverId=living).value is True
        assert in_state(dokreg, "running") == HANGING, "they are to hang all the time"
    finally:
        gate.unlink()
        for one in hanging:
            one.join()
    assert max(times) < SOON
    assert {one.status for one in given_up} == {400}
    assert all("did not answer" in one.message or "no SSH" in one.message for one in given_up), given_up[0].message
    assert {one.status for one in hanging} <= {200, 400}  # by then Docker may have been given up


class Hanging(threading.Thread):
    """A program that waits for the verdict of a test on a stuck server."""

    def __init__(self, dokreg: Running, key: str, registry: str, server: str) -> None:
        super().__init__()
        self.program, self.registry, self.server = Program(dokreg, key), registry, server
        self.status, self.message = 0, ""

    def run(self) -> None:
        reply = self.program.post("registry.testRegistryById", registryId=self.registry, serverId=self.server)
        self.status, self.message = reply.status, str(reply.value)


def in_state(dokreg: Running, state: str) -> int:
    return int(dokreg.column("SELECT count(*) FROM registries_registrytest WHERE state = ?", state)[0])


def listed(program: Program) -> float:
    """Seconds that a list takes."""
    since = time.monotonic()
    assert program.get("registry.all").status == 200
    return time.monotonic() - since
