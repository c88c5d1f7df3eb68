"""A registry that servers use is changed through the API: all or nothing, wherever it does not work."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.fixtures import ALICE, BOB
from tests.lab.registry import BasicRegistry
from tests.lab.sshd import Server
from tests.owner import Owner
from tests.program import Program, add_machine, key_of
from tests.running import Running, running


class Fleet:
    """A registry of Alice's account that some servers stay logged in to."""

    def __init__(self, dokreg: Running, registry: BasicRegistry, **machines: Server) -> None:
        self.dokreg = dokreg
        self.owner = Owner(dokreg)
        self.program = Program(dokreg, key_of(dokreg))
        self.servers = {name: add_machine(self.program, name, machine) for name, machine in machines.items()}
        self.id = self.program.made(
            "registry.create",
            registryName="Images", username=ALICE.username, password=ALICE.password, registryUrl=registry.host,
            registryType="cloud", imagePrefix=None, serverId=next(iter(self.servers.values())),
        )["registryId"]  # fmt: skip
        self.page = f"/acme/settings/registries/{self.id}/"

    def keep_logged_in(self, *names: str) -> None:
        self.owner.get(self.page)
        self.owner.post(f"{self.page}logins/", servers=[self.servers[name] for name in names])

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = self.program.get("registry.one", registryId=self.id).value
        return found

    def rotations(self) -> list[tuple[str, bool]]:
        """Their states, and whether a secret is kept with them."""
        return self.dokreg.rows("SELECT state, password IS NOT NULL FROM registries_rotation ORDER BY created_at")


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory,
    lab_registry: BasicRegistry,
    server_one: Server,
    server_without_docker: Server,
) -> Iterator[Fleet]:
    with running(tmp_path_factory.mktemp("proven") / "data") as dokreg:
        dokreg.wait_until_healthy()
        yield Fleet(dokreg, lab_registry, one=server_one, bare=server_without_docker)


def test_all_or_nothing(fleet: Fleet, server_one: Server) -> None:
    fleet.keep_logged_in("one", "bare")
    fleet.owner.wait_until(fleet.page, 'data-state="held"')
    before = fleet.record

    changes = {"username": BOB.username, "password": BOB.password, "registryName": "Renamed", "imagePrefix": "acme"}
    refused = fleet.program.post("registry.update", registryId=fleet.id, **changes)

    assert refused.status == 400
    assert "bare could not log in with the new ones" in refused.value["message"]
    assert BOB.password not in str(refused.value)
    after = fleet.record
    assert {name: after[name] for name in ("username", "registryName", "imagePrefix")} == {
        name: before[name] for name in ("username", "registryName", "imagePrefix")
    }
    assert fleet.rotations() == [("discarded", 0)]
    assert fleet.program.post("registry.testRegistryById", registryId=fleet.id).value is True

    fleet.keep_logged_in("one")
    assert fleet.program.made("registry.update", registryId=fleet.id, **changes) is True
    after = fleet.record
    assert {name: after[name] for name in changes if name != "password"} == {
        name: value for name, value in changes.items() if name != "password"
    }
    assert fleet.rotations() == [("discarded", 0), ("switched", 0)]
    wrong = fleet.program.post("registry.update", registryId=fleet.id, password="wrong", registryName="Again")
    assert wrong.status == 400
    assert fleet.record == after | {"lastTest": fleet.record["lastTest"]}
