"""Registries, through each of the clients: saved, listed, shown, changed, tested and deleted."""

from typing import Any

import pytest

from tests.clients.calling import NEW, ROBOT, WRONG, Client, wish
from tests.lab.registry import BasicRegistry
from tests.running import Running

Place = dict[str, str]
# Where a test runs: on the server that a client names, or on dokreg's own host.
both_places = pytest.mark.parametrize("place", ["server", "own host"], indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, server: str) -> Place:
    return {"serverId": server} if request.param == "server" else {}


def saved(dokreg: Running) -> set[str]:
    """The names of the registries that there are."""
    return set(dokreg.column("SELECT name FROM registries_registry"))


def test_a_registry_is_saved_listed_shown_and_deleted(
    client: Client, registry: BasicRegistry, server: str, dokreg: Running
) -> None:
    given = wish(registry, serverId=server)
    record = client.ask("registry.create", **given)
    assert record.pop("notices") == []  # so it could be tested
    assert {name: record[name] for name in given if name != "password"} == {
        name: value for name, value in given.items() if name != "password"
    }
    registry_id = record["registryId"]
    assert client.ask("registry.one", registryId=registry_id) == record
    assert record in client.ask("registry.all")
    assert client.ask("registry.remove", registryId=registry_id)["registryId"] == registry_id
    assert given["registryName"] not in saved(dokreg)


@both_places
def test_a_registry_with_a_wrong_password_is_not_saved(
    client: Client, registry: BasicRegistry, place: Place, dokreg: Running
) -> None:
    before = saved(dokreg)
    assert_login_refused(client, "registry.create", **wish(registry, password=WRONG, **place))
    assert saved(dokreg) == before


@both_places
def test_credentials_are_tested_without_being_saved(
    client: Client, registry: BasicRegistry, place: Place, dokreg: Running
) -> None:
    before = saved(dokreg)
    assert client.ask("registry.testRegistry", **wish(registry, **place)) is True
    assert_login_refused(client, "registry.testRegistry", **wish(registry, password=WRONG, **place))
    assert saved(dokreg) == before


def test_a_saved_registry_is_tested_anywhere(client: Client, registry: BasicRegistry, server: str) -> None:
    record = client.ask("registry.create", **wish(registry))
    assert (record["serverId"], record["notices"]) == (None, [])
    of_it = {"registryId": record["registryId"]}
    assert client.ask("registry.testRegistryById", **of_it, serverId=server) is True
    assert client.ask("registry.testRegistryById", **of_it) is True
    with registry.password_changed(ROBOT.username, NEW):
        assert_login_refused(client, "registry.testRegistryById", **of_it, serverId=server)
        assert_login_refused(client, "registry.testRegistryById", **of_it)


def test_what_an_update_leaves_out_stays_the_password_too(client: Client, registry: BasicRegistry) -> None:
    before = client.ask("registry.create", **wish(registry))
    changed = {"registryId": before["registryId"], "registryName": f"new-{before['registryName']}"}
    assert client.ask("registry.update", **changed) is True
    after = client.ask("registry.one", registryId=before["registryId"])
    assert after == {name: before[name] for name in after} | changed
    assert client.ask("registry.testRegistryById", registryId=before["registryId"]) is True


def test_a_new_password_is_saved_once_it_has_passed(
    client: Client, registry: BasicRegistry, server: str, dokreg: Running
) -> None:
    before = client.ask("registry.create", **wish(registry, serverId=server))
    of_it = {"registryId": before["registryId"]}
    with registry.password_changed(ROBOT.username, NEW):
        assert_login_refused(client, "registry.update", **of_it, registryName="not to be", password=WRONG)
        assert before["registryName"] in saved(dokreg)
        assert client.ask("registry.update", **of_it, password=NEW) is True
        assert client.ask("registry.testRegistryById", **of_it, serverId=server) is True


def assert_login_refused(client: Client, name: str, /, **values: Any) -> None:
    """The call fails because of the login, and the client shows that as far as it shows reasons."""
    outcome = client.call(name, **values)
    assert outcome.failed
    assert client.shows_of_a_refused_login in outcome.output, outcome.output
