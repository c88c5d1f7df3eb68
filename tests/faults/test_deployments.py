"""Deployments in whose middle something dies: what was asked for, done, lost and doubled is counted at the end."""

import collections
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, NewServer
from tests.lab.ports import free_port
from tests.lab.registry import BasicRegistry
from tests.lab.slow_line import HeldLine
from tests.lab.sshd import Server, path_with_docker
from tests.lab.web import DEAF, answer_of, containers_on, push_web
from tests.owner import Owner
from tests.patience import SOON
from tests.running import Running, running

MEMORY = Path("/dev/shm")
SLOW_LOGIN = """
case " $* " in *" login "*) if [ -e {flag} ]; then sleep 8; fi;; esac
exec "$docker" "$@"
"""
PADDING = 3_000_000
OVER = "('succeeded', 'failed', 'cancelled', 'lost')"


@pytest.fixture(scope="module")
def dokreg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("dokreg") / "data") as started:
        started.wait_until_healthy()
        yield started


@pytest.fixture(scope="module")
def owner(dokreg: Running) -> Owner:
    return Owner(dokreg)


class Shop:
    """A running dokreg with one application, whose container answers "old"."""

    def __init__(self, owner: Owner, dokreg: Running, machine: Server, engine: Engine, pusher: Engine, line: HeldLine):
        self.owner, self.dokreg, self.engine, self.pusher, self.line = owner, dokreg, engine, pusher, line
        self.port = free_port()
        self.name = f"web-{self.port}"
        self.image = f"{line.host}/shop/web:{self.port}"
        self.server_id = owner.add_server(self.name, machine)
        self.registry_id = owner.add_registry(line.host, ALICE)
        push_web(pusher, self.image, port=self.port, marker="old", command=DEAF.format(port=self.port))

    def make(self, **values: Any) -> str:
        names = {"name": self.name, "container_name": "web"}
        wish = names | {"server": self.server_id, "registry": self.registry_id, "image": self.image} | values
        return wished(self.dokreg, {"make": wish})[0]

    def push_new(self) -> None:
        push_web(self.pusher, self.image, port=self.port, marker="new", padding=PADDING)

    def deploy(self, application: str) -> str:
        """Ask for a deployment, and wait for its end; its id."""
        deployment = wished(self.dokreg, {"ask": application})[0]
        wait_until_over(self.dokreg, 1, deployment)
        return deployment

    def state_of(self, deployment: str) -> str:
        return str(self.dokreg.column("SELECT state FROM applications_deployment WHERE id = ?", deployment)[0])

    def rung_of(self, deployment: str) -> str:
        """The rung that is being climbed."""
        rungs = self.dokreg.column("SELECT rungs FROM applications_deployment WHERE id = ?", deployment)[0]
        rungs = json.loads(rungs) if isinstance(rungs, str) else rungs
        return next((str(rung["name"]) for rung in rungs if rung["state"] == "running"), "")


def wished(dokreg: Running, *wishes: object) -> list[str]:
    answer: list[str] = json.loads(dokreg.run_module("tests.faults.application_rows", list(wishes)))
    return answer


def wait_until_over(dokreg: Running, number: int, *deployments: str) -> None:
    marks = ", ".join("?" for _ in deployments)
    over = f"SELECT count(*) FROM applications_deployment WHERE id IN ({marks}) AND state IN {OVER}"
    dokreg.wait_for(lambda: dokreg.column(over, *deployments) == [number], "the deployments to end")


def wait_until_tidy(dokreg: Running) -> None:
    left = "SELECT count(*) FROM applications_deployment WHERE to_tidy OR state IN ('queued', 'running')"
    dokreg.wait_for(lambda: dokreg.column(left) == [0], "what was lost to be put right")


@pytest.fixture
def slow_flag(tmp_path: Path) -> Path:
    """While this file is there, a login takes eight seconds."""
    return tmp_path / "slow"


@pytest.fixture
def shop(
    dokreg: Running, owner: Owner, new_server: NewServer, engine_one: Engine, engine_two: Engine,
    lab_registry: BasicRegistry, tmp_path: Path, slow_flag: Path,
) -> Iterator[Shop]:  # fmt: skip
    path = path_with_docker(tmp_path / "tools", SLOW_LOGIN.format(flag=slow_flag))
    machine = new_server(engine_one, environment={"PATH": path})
    with HeldLine(lab_registry.host) as line:
        yield Shop(owner, dokreg, machine, engine_one, engine_two, line)
    engine_one.remove_containers()


def at_login(shop: Shop, slow_flag: Path, deployment: str) -> None:
    shop.dokreg.wait_for(lambda: bool(list(MEMORY.glob(f"dokreg.{deployment}.*"))), "the login to begin")
    slow_flag.unlink()


def at_pull(shop: Shop, _slow_flag: Path, deployment: str) -> None:
    shop.dokreg.wait_for(shop.line.is_held.is_set, "the pull to be in its middle")
    shop.dokreg.wait_for(lambda: shop.rung_of(deployment) == "pull", "the row to say so")


def at_stop_of_the_old(shop: Shop, _slow_flag: Path, deployment: str) -> None:
    """The old one is deaf to being asked to end, so that this takes its time."""
    log = "SELECT log FROM applications_deployment WHERE id = ?"
    shop.dokreg.wait_for(lambda: "Stopping container" in shop.dokreg.column(log, deployment)[0], "the stop to begin")


def at_waiting(shop: Shop, _slow_flag: Path, deployment: str) -> None:
    shop.dokreg.wait_for(lambda: shop.rung_of(deployment) == "up", "the new one to run")


def at_switch(shop: Shop, _slow_flag: Path, deployment: str) -> None:
    shop.dokreg.wait_for(lambda: shop.rung_of(deployment) == "switch", "the switch to begin")


Moment = Callable[[Shop, Path, str], None]


@pytest.mark.parametrize(
    ("moment", "values"),
    [
        (at_login, {}),
        (at_pull, {}),
        (at_stop_of_the_old, {"stop_seconds": 6}),
        (at_waiting, {"settle_seconds": 60}),
        (at_switch, {"stop_seconds": 6, "order": "start_first"}),
    ],
    ids=["login", "pull", "stop", "wait", "switch"],
)
def test_a_worker_killed_in_the_middle_leaves_the_old_one_serving_and_nothing_else(
    shop: Shop, slow_flag: Path, moment: Moment, values: dict[str, Any]
) -> None:
    if moment is at_switch:  # both run for a while, so the new one must not want the port of the old
        values = values | {"command": ["sleep", "3600"], "network": "none"}
    application = shop.make(**({"stop_seconds": 1} | values))
    change = "UPDATE applications_application SET settle_seconds = ?"
    shop.dokreg.change(change, 0)
    assert shop.state_of(shop.deploy(application)) == "succeeded"
    shop.dokreg.change(change, values.get("settle_seconds", 0))
    shop.push_new()
    if moment is at_login:
        slow_flag.touch()
    if moment is at_pull:
        shop.line.hold(after=PADDING // 2)
    deployment = wished(shop.dokreg, {"ask": application})[0]
    moment(shop, slow_flag, deployment)
    shop.dokreg.service("celery").kill()
    wait_until_over(shop.dokreg, 1, deployment)
    wait_until_tidy(shop.dokreg)
    assert shop.state_of(deployment) == "lost"
    assert containers_on(shop.engine) == {"web": "running"}
    if moment is not at_switch:
        assert answer_of(shop.port, seconds=10) == "old"
    shop.dokreg.wait_for(lambda: not list(MEMORY.glob("dokreg.*")), "the folder of the login to be gone")
    shop.line.let_go()
    shop.dokreg.change(change, 0)
    again = shop.deploy(application)
    assert shop.state_of(again) == "succeeded"
    if moment is not at_switch:
        assert answer_of(shop.port) == "new"
    assert containers_on(shop.engine) == {"web": "running"}
    asked = "SELECT state FROM applications_deployment WHERE application_id = ? AND action = 'deploy'"
    count = collections.Counter(shop.dokreg.column(asked, application))
    assert count == {"succeeded": 2, "lost": 1}  # asked for three: two done, one lost and said so, none doubled


def test_a_connection_that_is_cut_in_the_middle_of_a_pull(shop: Shop, new_server: NewServer) -> None:
    machine = new_server(shop.engine)
    server_id = shop.owner.add_server("cut off", machine)
    application = shop.make(server=server_id)
    assert shop.state_of(shop.deploy(application)) == "succeeded"
    shop.push_new()
    shop.line.hold(after=PADDING // 2)
    deployment = wished(shop.dokreg, {"ask": application})[0]
    at_pull(shop, Path(), deployment)
    machine.cut_connections()
    wait_until_over(shop.dokreg, 1, deployment)
    assert shop.state_of(deployment) == "failed"
    assert answer_of(shop.port) == "old"
    shop.line.let_go()
    assert shop.state_of(shop.deploy(application)) == "succeeded"
    assert answer_of(shop.port) == "new"
    assert containers_on(shop.engine) == {"web": "running"}


def test_a_cancelled_pull_ends_though_the_line_stands_still(shop: Shop) -> None:
    application = shop.make()
    shop.push_new()
    shop.line.hold(after=PADDING // 2)
    deployment = wished(shop.dokreg, {"ask": application})[0]
    at_pull(shop, Path(), deployment)
    asked_at = time.monotonic()
    shop.dokreg.change(
        "UPDATE applications_deployment SET cancel_asked_at = CURRENT_TIMESTAMP WHERE id = ?",
        deployment,
    )
    wait_until_over(shop.dokreg, 1, deployment)
    assert shop.state_of(deployment) == "cancelled"
    assert time.monotonic() - asked_at < SOON
    assert containers_on(shop.engine) == {}


def test_fifty_at_once_on_five_servers(
    dokreg: Running, owner: Owner, new_server: NewServer, engine_one: Engine, engine_two: Engine,
    lab_registry: BasicRegistry,
) -> None:  # fmt: skip
    image = f"{lab_registry.host}/shop/many:1"
    push_web(engine_two, image, port=1, marker="one", command='["/bin/busybox", "sleep", "3600"]')
    engines = [engine_one, engine_two, engine_one, engine_two, engine_one]
    servers = [owner.add_server(f"many-{n}", new_server(engine)) for n, engine in enumerate(engines)]
    registry_id = owner.add_registry(lab_registry.host, ALICE)
    wishes = [
        {"make": {"name": f"app-{n}", "server": servers[n % 5], "registry": registry_id, "image": image}}
        for n in range(50)
    ]
    applications = wished(dokreg, *wishes)
    began = time.monotonic()
    asked = wished(dokreg, *({"ask": application} for application in applications))
    wait_until_over(dokreg, 50, *asked)
    seconds = time.monotonic() - began
    marks = ", ".join("?" for _ in applications)
    of_these = f"SELECT state FROM applications_deployment WHERE application_id IN ({marks})"
    states = collections.Counter(dokreg.column(of_these, *applications))
    assert states == {"succeeded": 50}, seconds  # asked 50: done 50, lost 0, doubled 0
    running_now = containers_on(engine_one) | containers_on(engine_two)
    assert running_now == {f"app-{n}": "running" for n in range(50)}
    with contextlib.ExitStack() as stack:
        for engine in (engine_one, engine_two):
            stack.callback(engine.remove_containers)
