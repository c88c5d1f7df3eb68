"""Who may do what with logins, batches and their servers; and what follows when rows go or move another way."""

import datetime as dt
import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from organisations.models import AuditEntry, Organisation, User
from registries import logins, rotations, saving
from registries.models import ConfigCheck, Login, Registry, RegistryTest, Rotation
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


def test_adopting_while_a_check_is_under_way_is_asked_for_again(server: Server, client: Client) -> None:
    path, place = address("registries:login_adopt", server_id=server.pk), {"host": "ghcr.io", "folder": ""}
    client.post(address("registries:config_check", server_id=server.pk))
    assert "Press Adopt again" in client.post(path, place, follow=True).content.decode()
    assert client.post(path, place, headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"
    assert ConfigCheck.objects.get().adopts == {}
    assert not AuditEntry.objects.filter(event="adopted a login").exists()


def test_adopting_twice_is_adopting_once(server: Server, client: Client) -> None:
    for _ in range(2):
        page = client.post(address("registries:login_adopt", server_id=server.pk), {"host": "ghcr.io", "folder": ""})
        assert page.status_code == 303
    assert ConfigCheck.objects.get().adopts == {"host": "ghcr.io", "folder": ""}


@pytest.fixture
def client(alice: User, client_of: ClientOf) -> Client:
    return client_of(alice)


def test_of_many_servers_a_page_is_offered_and_what_others_show_stays(
    organisation: Organisation, registry: Registry, client: Client
) -> None:
    servers = [make_server(organisation, f"many-{number:02}") for number in range(60)]
    path = address("registries:logins", registry_id=registry.pk)
    client.post(path, {"shown": [""], "servers": [servers[59].pk]})
    offered = r'name="servers" type="checkbox" value="([^"]+)"( checked)?'
    first, second = (
        dict(re.findall(offered, client.get(f"{registry.get_absolute_url()}?page={page}").content.decode()))
        for page in (1, 2)
    )
    assert (len(first), len(second)) == (50, 10)
    assert {pk for pk, checked in (first | second).items() if checked} == {servers[59].pk}
    assert next(iter(first)) == servers[59].pk
    assert first.keys().isdisjoint(second)
    answer = client.post(path, {"shown": [""], "servers": [next(iter(second))], "page": ["1", "2"]})
    assert answer.headers["Location"] == f"{registry.get_absolute_url()}?page=2#logins"
    staying = Login.objects.exclude(state=Login.State.LEAVING).values_list("server", flat=True)
    assert set(staying) == {servers[59].pk, next(iter(second))}


def test_two_people_who_choose_at_once_do_not_undo_each_other(
    organisation: Organisation, registry: Registry, server: Server, client: Client
) -> None:
    second, third = make_server(organisation, "web-2"), make_server(organisation, "web-3")
    path = address("registries:logins", registry_id=registry.pk)
    client.post(path, {"shown": [""], "servers": [server.pk, third.pk]})
    # Both pages showed the first and the third as ticked. One person takes the third away, the other adds the second.
    shown = ["", server.pk, third.pk]
    client.post(path, {"shown": shown, "servers": [server.pk]})
    client.post(path, {"shown": shown, "servers": [server.pk, second.pk, third.pk]})
    staying = Login.objects.exclude(state=Login.State.LEAVING).values_list("server__name", flat=True)
    assert set(staying) == {"web-1", "web-2"}


def test_a_rotation_that_failed_is_shown_until_the_next_change(
    organisation: Organisation, registry: Registry, alice: User, client: Client
) -> None:
    Rotation.objects.create(
        organisation=organisation,
        registry=registry,
        url=registry.url,
        state=Rotation.State.KEPT,
        cause="It was refused.",
    )  # its secret is wiped
    page = client.get(registry.get_absolute_url()).content.decode()
    assert "It was refused." in page
    assert "Switch all the same" not in page
    saving.save_registry(registry=registry, password="another", by=alice)
    assert "It was refused." not in client.get(registry.get_absolute_url()).content.decode()


def test_what_could_not_even_be_tested_can_be_switched_to_all_the_same(
    organisation: Organisation, registry: Registry, client: Client
) -> None:
    rotation = Rotation(organisation=organisation, registry=registry, url=registry.url, cause="No cloud answered.")
    rotation.password, rotation.state = "new", Rotation.State.KEPT
    rotation.expires_at = timezone.now() + dt.timedelta(hours=1)
    rotation.save()
    page = client.get(registry.get_absolute_url()).content.decode()
    assert "The new ones are kept until" in page
    assert "Switch all the same" in page


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (Rotation.State.SWITCHED, "uses the new credentials now."),
        (Rotation.State.KEPT, "Not switched: {} goes on with the old credentials."),
    ],
)
def test_the_end_of_a_rotation_leaves_what_is_typed_meanwhile(
    organisation: Organisation, registry: Registry, server: Server, client: Client, state: Rotation.State, told: str
) -> None:
    logins.choose(registry=registry, servers=[server])
    registry.last_test = RegistryTest.objects.create(
        organisation=organisation, registry=registry, url=registry.url, state=RegistryTest.State.PASSED
    )
    registry.save(update_fields=["last_test"])
    rotation = Rotation.objects.create(organisation=organisation, registry=registry, url=registry.url)

    def look() -> str:
        return client.get(rotation.get_absolute_url(), headers={"HX-Request": "true"}).content.decode()

    meanwhile = look()
    taken = re.search(r'hx-select-oob="([^"]+)"', meanwhile)
    assert taken
    rotation.state = state
    rotation.save()
    page = look()
    assert told.format(registry.name) in page
    assert page.count('id="announce" hx-swap-oob') == 1  # what the last test says would be said in its place
    for selector in taken[1].split(","):
        assert page.count(f'id="{selector[1:]}"') == 1, selector
    assert 'hx-trigger="every 700ms"' not in page


def test_a_registry_that_was_deleted_meanwhile_is_not_made_anew(registry: Registry, alice: User) -> None:
    stale = Registry.objects.get(pk=registry.pk)
    registry.delete()
    with pytest.raises(saving.ChangedMeanwhile):
        saving.save_registry(registry=stale, password="secret", by=alice)
    assert not Registry.objects.exists()


def test_the_admin_says_why_it_did_not_save(
    registry: Registry, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise saving.ChangedMeanwhile("Somebody was faster.")

    monkeypatch.setattr(saving, "save_registry", refuse)
    root = client_of(User.objects.create_superuser("root", password="a long password"))
    path = f"/admin/registries/registry/{registry.pk}/change/"
    form = {"name": "x", "kind": "generic", "url": registry.url, "username": "robot", "new_password": "", "server": ""}
    page = root.post(path, form, follow=True).content.decode()
    assert "Somebody was faster." in page
    assert "was changed successfully" not in page


@pytest.mark.parametrize("name", ["servers", "shown"])
def test_a_nul_in_a_field_is_a_bad_request(registry: Registry, client: Client, name: str) -> None:
    assert client.post(address("registries:logins", registry_id=registry.pk), {name: "a\0b"}).status_code == 400
    assert client.get(f"{address('registries:list')}?q=%00").status_code == 400


@pytest.mark.parametrize(
    ("kind", "url", "username", "hours"),
    [
        ("google", "europe-west3-docker.pkg.dev", "oauth2accesstoken", 1),
        ("google", "europe-west3-docker.pkg.dev", "_json_key", None),
        ("acr", "acme.azurecr.io", "00000000-0000-0000-0000-000000000000", 3),
        ("alibaba", "registry.eu-central-1.aliyuncs.com", "cr_temp_user", 1),
        ("ecr", "123456789012.dkr.ecr.eu-central-1.amazonaws.com", "AWS", 12),
    ],
)
def test_it_is_known_when_a_pasted_token_ends(kind: str, url: str, username: str, hours: int | None) -> None:
    registry = Registry(kind=kind, url=url, username=username)
    ends_at = registry.secret_ends_at
    assert (ends_at - registry.secret_changed_at).total_seconds() / 3600 == hours if ends_at else hours is None
