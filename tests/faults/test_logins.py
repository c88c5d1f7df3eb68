"""Servers stay logged in through every trouble: a server that is away, a worker and a broker that are killed."""

import time
from collections.abc import Iterator

import pytest

from servers.ssh import FAILURE_HOLDS_SECONDS
from tests.faults.machines import NewMachine
from tests.faults.minting import SWEEP, Count, Registries
from tests.lab.aws import Aws
from tests.lab.fixtures import ALICE
from tests.lab.registry import BasicRegistry, BearerRegistry, Registry
from tests.owner import Owner
from tests.running import Running, moment, running

SWEEP_LOGINS = "registries.tasks.sweep_logins"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Aws]:
    with Aws() as started:
        yield started


@pytest.fixture(scope="module")
def dokreg(tmp_path_factory: pytest.TempPathFactory, cloud: Aws) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("logins") / "data", DOKREG_AWS_ENDPOINT_URL=cloud.url) as started:
        started.wait_until_healthy()
        yield started


@pytest.fixture(scope="module")
def owner(dokreg: Running) -> Owner:
    return Owner(dokreg)


class Logins:
    """A saved registry, and the servers that stay logged in to it."""

    def __init__(self, dokreg: Running, owner: Owner, name: str, registry: Registry) -> None:
        self.dokreg, self.owner, self.name = dokreg, owner, name
        add = "/acme/settings/registries/add/generic/"
        owner.get(add)
        account = {"username": ALICE.username, "password": ALICE.password}
        self.page = owner.post(add, name=name, url=registry.host, **account, server="").address

    def choose(self, *server_ids: str) -> None:
        self.owner.get(self.page)
        self.owner.post(f"{self.page}logins/", servers=list(server_ids))

    @property
    def states(self) -> list[str]:
        return self.dokreg.column("SELECT state FROM registries_login WHERE registry_name = ?", self.name)

    @property
    def held(self) -> int:
        """How many servers are logged in, with nothing more to do."""
        rows = self.dokreg.column(
            "SELECT id FROM registries_login WHERE registry_name = ? AND state = 'held' AND due_at IS NULL", self.name
        )
        return len(rows)

    def wait_until_held(self, servers: int = 1) -> None:
        self.dokreg.wait_for(lambda: self.held == servers, f"{servers} servers to be logged in")

    def let_be_due(self) -> None:
        self.dokreg.change(f"UPDATE registries_login SET due_at = {moment()} WHERE registry_name = ?", self.name)


def no_turn_is_taken(dokreg: Running) -> bool:
    return not dokreg.column("SELECT server_id FROM servers_configturn WHERE claim != ''")


def test_a_server_that_was_away_is_logged_in_when_it_is_back(
    dokreg: Running, owner: Owner, new_machine: NewMachine, lab_registry: BasicRegistry
) -> None:
    machine = new_machine()
    logins = Logins(dokreg, owner, "Away", lab_registry)
    logins.choose(owner.add_server("away", machine.server))
    logins.wait_until_held()
    machine.server.stop()
    logins.let_be_due()
    dokreg.send(SWEEP_LOGINS)
    dokreg.wait_for(lambda: logins.states == ["failed"], "the server to be missed")
    page = owner.get(logins.page).text
    assert "could not reach the server" in page
    assert "Next try" in page
    assert dokreg.column(f"SELECT due_at > {moment()} FROM registries_login WHERE registry_name = 'Away'") == [1]
    machine.server.start()
    time.sleep(FAILURE_HOLDS_SECONDS)  # so long a worker does not knock again
    logins.let_be_due()
    dokreg.send(SWEEP_LOGINS)
    logins.wait_until_held()
    assert "Next try" not in owner.get(logins.page).text
    assert machine.hosts == {lab_registry.host}
    assert Count(asked=2, done=2, lost=0, doubled=machine.logins - 2) == Count(asked=2, done=2)


def test_a_worker_killed_in_the_middle_of_a_login_is_succeeded_by_another(
    dokreg: Running, owner: Owner, new_machine: NewMachine, lab_registry: BasicRegistry
) -> None:
    machine = new_machine()
    logins = Logins(dokreg, owner, "Killed", lab_registry)
    server_id = owner.add_server("killed", machine.server)
    machine.slow.touch()
    logins.choose(server_id)
    dokreg.wait_for(lambda: machine.logins == 1, "the login to begin")
    assert machine.folders[0].is_dir()
    worker = dokreg.service("celery")
    worker.kill()
    worker.wait(30)
    machine.slow.unlink()
    assert logins.states == ["waiting"]
    logins.wait_until_held()
    dokreg.wait_for(lambda: no_turn_is_taken(dokreg), "the turn to be given back")
    dokreg.wait_for(lambda: machine.is_tidy, "what the killed one began to end")
    assert machine.hosts == {lab_registry.host}
    # What the killed one began was begun once more, and no third time.
    assert Count(asked=1, done=logins.held, lost=0, doubled=machine.logins - 2) == Count(asked=1, done=1)


def test_a_broker_killed_in_the_middle_loses_and_doubles_nothing(
    dokreg: Running, cloud: Aws, owner: Owner, new_machine: NewMachine,
    lab_registry: BasicRegistry, bearer_registry: BearerRegistry,
) -> None:  # fmt: skip
    machines = [new_machine() for _ in range(3)]
    server_ids = [owner.add_server(f"server-{number}", machine.server) for number, machine in enumerate(machines)]
    both = [Logins(dokreg, owner, "Basic", lab_registry), Logins(dokreg, owner, "Bearer", bearer_registry)]
    for logins in both:
        logins.choose(*server_ids)
    for logins in both:
        logins.wait_until_held(3)
    registries = Registries.add(dokreg, cloud, "BROKER", 30, due_in=3600)
    with cloud.having(delay=0.2):
        for logins in both:
            logins.let_be_due()
        dokreg.send(SWEEP_LOGINS)
        registries.let_be_due()
        dokreg.wait_for(lambda: registries.mints >= 5, "the refreshes to be in the middle")
        dokreg.kill_broker()
        dokreg.wait_for(lambda: dokreg.health()[0] == 200, "the broker to be back")
    # What was sent and not taken is sent again later; here the time has passed at once.
    dokreg.change(f"UPDATE registries_tokenrefresh SET sent_at = {moment(seconds_ago=60)} WHERE state = 'queued'")
    dokreg.change(f"UPDATE servers_configturn SET sent_at = {moment(seconds_ago=60)} WHERE sent_at IS NOT NULL")
    for task in (SWEEP, SWEEP_LOGINS):
        dokreg.send(task)
    registries.wait_until_done()
    for logins in both:
        logins.wait_until_held(3)
    assert registries.states == ["passed"] * 30
    assert registries.count(needed=1) == Count(asked=30, done=30, lost=0, doubled=0)
    assert [machine.hosts for machine in machines] == [{lab_registry.host, bearer_registry.host}] * 3
    made, held = sum(machine.logins for machine in machines) - 6, sum(logins.held for logins in both)
    assert Count(asked=6, done=held, lost=6 - held, doubled=made - 6) == Count(asked=6, done=6)
