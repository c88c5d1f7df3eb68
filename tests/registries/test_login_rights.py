"""Who may do what with logins, batches and their servers; and what follows when rows go or move another way."""

import pytest
from django.test import Client
from django.urls import reverse

from organisations.models import AuditEntry, Organisation, User
from registries import logins, rotations
from registries.models import Login, Registry, Rotation
from registries.models import TestBatch as Batch
from servers import hosts
from servers.models import Server
from tests.people import ClientOf, allow
from tests.registries.rows import make_registry
from tests.servers.rows import make_server


@pytest.fixture
def registry(organisation: Organisation, alice: User) -> Registry:
    return make_registry(organisation, alice)


@pytest.fixture
def server(organisation: Organisation) -> Server:
    return make_server(organisation)


@pytest.fixture
def held(registry: Registry, server: Server) -> Login:
    """As if the server had been logged in."""
    logins.choose(registry=registry, servers=[server])
    Login.objects.update(state=Login.State.HELD, mark=registry.login_mark, due_at=None, logged_in_at=server.created_at)
    return Login.objects.get()


def address(name: str, **more: str) -> str:
    return reverse(name, kwargs={"organisation": "acme"} | more)


def test_deleting_a_registry_in_the_admin_logs_its_servers_out(
    held: Login, client_of: ClientOf, registry: Registry
) -> None:
    root = client_of(User.objects.create_superuser("root", password="a long password"))
    path = f"/admin/registries/registry/{registry.pk}/delete/"
    assert root.post(path, {"post": "yes"}).status_code == 302
    held.refresh_from_db()
    assert (held.registry, held.state) == (None, Login.State.LEAVING)
    assert held.due_at is not None


def test_a_login_that_lost_its_registry_in_any_other_way_is_noticed(held: Login, registry: Registry) -> None:
    registry.delete()
    logins.wake()
    held.refresh_from_db()
    assert (held.is_leaving, held.state) == (True, Login.State.LEAVING)
    assert held.due_at is not None


def test_a_server_that_moves_is_logged_in_anew(held: Login, server: Server, alice: User) -> None:
    server.host = "10.0.0.6"
    hosts.save_server(server=server, by=alice, connection_changed=True)
    held.refresh_from_db()
    assert (held.state, held.mark, held.logged_in_at) == (Login.State.WAITING, "", None)
    assert held.due_at is not None


def test_a_new_name_of_a_server_changes_nothing(held: Login, server: Server, alice: User) -> None:
    server.name = "renamed"
    hosts.save_server(server=server, by=alice, connection_changed=False)
    held.refresh_from_db()
    assert (held.state, held.due_at) == (Login.State.HELD, None)


def test_the_page_that_deletes_a_server_says_that_it_stays_logged_in(
    held: Login, server: Server, alice: User, client_of: ClientOf
) -> None:
    page = client_of(alice).get(address("servers:delete", server_id=server.pk)).content.decode()
    assert "It stays logged in to 1 registry" in page


def test_a_batch_is_cancelled_by_who_asked_or_may_change_registries(
    organisation: Organisation, registry: Registry, server: Server, alice: User, bob: User, client_of: ClientOf
) -> None:
    allow(bob, "registries.view_registry", "servers.view_server")
    for asked_by, status in ((alice, 403), (bob, 303)):
        batch = Batch.objects.create(organisation=organisation, registry=registry, asked_by=asked_by)
        assert client_of(bob).post(address("fleet:cancel", batch_id=batch.pk)).status_code == status


def test_nobody_cancels_the_tests_of_a_rotation(
    organisation: Organisation, registry: Registry, alice: User, client_of: ClientOf
) -> None:
    rotation = Rotation.objects.create(organisation=organisation, registry=registry, url=registry.url, asked_by=alice)
    batch = Batch.objects.create(organisation=organisation, registry=registry, rotation=rotation, asked_by=alice)
    assert client_of(alice).post(address("fleet:cancel", batch_id=batch.pk)).status_code == 403
    rotations.discard(rotation)


def test_adopting_is_in_the_trail_with_its_host(server: Server, alice: User, client_of: ClientOf) -> None:
    client_of(alice).post(address("registries:login_adopt", server_id=server.pk), {"host": "ghcr.io", "folder": ""})
    entry = AuditEntry.objects.get(event="adopted a login")
    assert (entry.actor, entry.additional_data["registry"]) == (alice, "ghcr.io")


@pytest.fixture
def client(alice: User, client_of: ClientOf) -> Client:
    return client_of(alice)
