"""The pages of registries: the list, the wizard, the form that loses nothing and shows no secret."""

import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from organisations.models import Organisation, User
from registries import logins
from registries.models import Draft, Registry, RegistryTest
from tests.people import ClientOf
from tests.registries.rows import make_registry
from tests.servers.rows import make_server

MARKED = "marked-form-secret"
FORM = {"name": "Images", "url": "registry.example.com", "username": "robot$acme", "password": MARKED}


@pytest.fixture
def client(alice: User, client_of: ClientOf) -> Client:
    return client_of(alice)


def address(name: str, **more: str) -> str:
    return reverse(f"registries:{name}", kwargs={"organisation": "acme"} | more)


def add(client: Client, kind: str = "generic", **values: str) -> Any:
    return client.post(address("add", kind=kind), FORM | values)


def test_it_is_saved_with_its_secret_encrypted(client: Client) -> None:
    response = add(client)
    registry = Registry.objects.get()
    assert (response.status_code, response["Location"]) == (303, registry.get_absolute_url())
    assert (registry.username, registry.open_password()) == ("robot$acme", MARKED)


@pytest.mark.parametrize("password", [" a b ", "$ \" ' ` \\", "pässwörd", "x" * 20_000])
def test_a_password_is_stored_as_it_was_typed(client: Client, password: str) -> None:
    add(client, password=password)
    assert Registry.objects.get().open_password() == password


def test_what_docker_trims_is_said_when_it_is_saved(client: Client) -> None:
    page = client.post(address("add", kind="generic"), FORM | {"password": " padded "}, follow=True)
    assert "space" in page.content.decode()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("url", "registry.example.com/team", "image prefix"),
        ("url", "user@registry.example.com", "user"),
        ("url", "", "Enter the registry"),
        ("username", "a:b", "colon"),
        ("password", "", "Enter the password"),
        ("image_prefix", "UPPER", "lower"),
        ("image", "--privileged", "image"),
        ("name", "", "required"),
    ],
)
def test_bad_input_gets_its_error_at_the_field_and_loses_nothing(
    client: Client, field: str, value: str, words: str
) -> None:
    response = add(client, **{field: value})
    page = response.content.decode()
    assert response.status_code == 422
    assert words.lower() in " ".join(response.context["form"].errors[field]).lower()
    assert MARKED not in page
    assert field == "username" or "robot$acme" in page
    assert not Registry.objects.exists()


def test_without_javascript_an_error_elsewhere_keeps_the_typed_secret(client: Client) -> None:
    page = add(client, name="").content.decode()
    assert MARKED not in page
    found = re.search(r'name="draft" value="(\w+)"', page)
    assert found
    add(client, password="", draft=found[1])
    assert Registry.objects.get().open_password() == MARKED


def test_a_draft_belongs_to_one_person(client: Client, bob: User, client_of: ClientOf) -> None:
    add(client, name="")
    response = client_of(bob).post(
        address("add", kind="generic"), FORM | {"password": "", "draft": Draft.objects.get().pk}
    )
    assert response.status_code == 422
    assert not Registry.objects.exists()


def test_a_name_is_taken_once_per_organisation(client: Client) -> None:
    add(client)
    assert "name" in add(client).context["form"].errors


def test_two_accounts_may_share_a_host(client: Client) -> None:
    add(client)
    assert add(client, name="Other account", username="second").status_code == 303
    assert Registry.objects.values_list("url", flat=True).distinct().get() == "registry.example.com"


def test_docker_hubs_other_names_become_one_and_it_is_said(client: Client) -> None:
    page = client.post(
        address("add", kind="docker_hub"), FORM | {"url": "hub.docker.com", "username": "acme"}, follow=True
    )
    assert Registry.objects.get().url == "docker.io"
    assert "hub.docker.com became docker.io" in page.content.decode()


def test_a_provider_refuses_a_host_that_is_not_its_own(client: Client) -> None:
    assert "url" in add(client, kind="ecr", username="AWS").context["form"].errors


def test_edit_with_a_blank_password_keeps_it(client: Client, organisation: Organisation, alice: User) -> None:
    registry = make_registry(organisation, alice, password=MARKED)
    client.post(address("edit", registry_id=registry.pk), FORM | {"name": "Renamed", "password": ""})
    registry.refresh_from_db()
    assert (registry.name, registry.open_password()) == ("Renamed", MARKED)


def test_a_changed_host_asks_for_the_password_again(client: Client, organisation: Organisation, alice: User) -> None:
    registry = make_registry(organisation, alice, password=MARKED)
    edit = address("edit", registry_id=registry.pk)
    refused = client.post(edit, FORM | {"url": "evil.example.com", "password": ""})
    assert "goes to no other host" in str(refused.context["form"].errors["password"])
    registry.refresh_from_db()
    assert registry.url == "registry.example.com"
    assert client.post(edit, FORM | {"url": "new.example.com", "password": "new"}).status_code == 303


def test_a_test_of_an_edit_takes_the_stored_secret_to_no_other_host(
    client: Client, organisation: Organisation, alice: User
) -> None:
    registry = make_registry(organisation, alice, password=MARKED)
    client.post(address("test_edit", registry_id=registry.pk), FORM | {"url": "evil.example.com", "password": ""})
    assert not RegistryTest.objects.exists()


def test_a_test_of_an_edit_leaves_no_draft_with_the_stored_secret(
    client: Client, organisation: Organisation, alice: User
) -> None:
    registry = make_registry(organisation, alice, password=MARKED)
    edit = {"name": "Images", "url": registry.url, "username": registry.username, "password": ""}
    for draft in ("", "again"):
        client.post(address("test_edit", registry_id=registry.pk), edit | {"draft": draft and Draft.objects.get().pk})
    assert RegistryTest.objects.count() == 2
    assert not Draft.objects.filter(password__isnull=False).exists()
    stolen = client.post(
        address("test_draft", kind="generic"),
        FORM | {"url": "evil.example.com", "password": "", "draft": Draft.objects.first().pk},  # type: ignore[union-attr]
    )
    assert stolen.status_code == 422


@pytest.mark.parametrize("username", ["acme\u200b", "a\u00a0b", "soft\u00adhyphen"])
def test_a_character_that_nobody_sees_is_refused(client: Client, username: str) -> None:
    assert "username" in add(client, username=username).context["form"].errors


def test_a_secret_that_cannot_be_opened_is_no_error_of_the_page(
    client: Client, organisation: Organisation, alice: User, settings: Any
) -> None:
    registry = make_registry(organisation, alice)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE registries_registry SET password = %s", [b"damaged"])
    assert client.get(registry.get_absolute_url()).status_code == 200
    assert client.post(address("test", registry_id=registry.pk)).status_code == 303
    form = FORM | {"password": ""}
    assert client.post(address("edit", registry_id=registry.pk), form).status_code == 422


def test_no_page_ever_shows_the_secret(client: Client, organisation: Organisation, alice: User) -> None:
    registry = make_registry(organisation, alice, password=MARKED)
    pages = [client.get(address(name, registry_id=registry.pk)) for name in ("detail", "edit", "delete")]
    pages += [client.get(address("list")), client.get("/acme/settings/audit/")]
    assert [page.status_code for page in pages] == [200] * 5
    assert not [page for page in pages if MARKED in page.content.decode()]


def test_a_test_passed_before_saving_counts_for_what_is_saved(client: Client) -> None:
    client.post(address("test_draft", kind="generic"), FORM)
    test = RegistryTest.objects.get()
    add(client)
    registry = Registry.objects.get()
    assert registry.last_test == test
    assert registry.tested_at == test.created_at
    assert registry.is_tested


def test_a_test_of_other_credentials_does_not_count(client: Client) -> None:
    client.post(address("test_draft", kind="generic"), FORM | {"password": "another"})
    add(client)
    assert Registry.objects.get().last_test is None


def test_a_new_secret_makes_the_last_test_old(client: Client) -> None:
    client.post(address("test_draft", kind="generic"), FORM)
    add(client)
    registry = Registry.objects.get()
    client.post(address("edit", registry_id=registry.pk), FORM | {"password": "changed"})
    registry.refresh_from_db()
    assert not registry.is_tested
    assert "Changed since its last test" in client.get(registry.get_absolute_url()).content.decode()


def test_a_test_needs_no_name_yet(client: Client) -> None:
    response = client.post(address("test_draft", kind="generic"), FORM | {"name": ""})
    assert response.status_code == 303
    assert RegistryTest.objects.get().url == "registry.example.com"


def test_without_javascript_the_form_comes_back_beside_the_ladder(client: Client) -> None:
    page = client.post(address("test_draft", kind="generic"), FORM, follow=True).content.decode()
    assert 'id="ladder"' in page
    assert "robot$acme" in page
    assert MARKED not in page


def test_somebody_elses_draft_test_is_not_found(client: Client, bob: User, client_of: ClientOf) -> None:
    client.post(address("test_draft", kind="generic"), FORM)
    test = RegistryTest.objects.get()
    assert client_of(bob).get(test.get_absolute_url()).status_code == 404


def test_a_server_of_another_organisation_cannot_be_chosen(client: Client, charlie: User) -> None:
    foreign = make_server(charlie.organisations.get())
    response = client.post(address("test_draft", kind="generic"), FORM | {"server": foreign.pk})
    assert response.status_code == 422
    assert not RegistryTest.objects.exists()


def test_deleting_asks_first(client: Client, organisation: Organisation, alice: User) -> None:
    registry = make_registry(organisation, alice)
    assert "forgets" in client.get(address("delete", registry_id=registry.pk)).content.decode()
    assert client.post(address("delete", registry_id=registry.pk)).status_code == 303
    assert not Registry.objects.exists()


def test_a_login_line_fills_in_the_form_without_its_secret(client: Client) -> None:
    line = f"docker login -u robot -p {MARKED} registry.example.com:5000"
    page = client.post(address("paste"), {"text": line}, follow=True)
    text = page.content.decode()
    assert "registry.example.com:5000" in text
    assert MARKED not in text
    assert MARKED not in page.redirect_chain[-1][0]
    assert Draft.objects.get().password is not None


def test_a_file_with_two_logins_offers_both(client: Client) -> None:
    auths = {host: {"username": "u", "password": MARKED} for host in ("ghcr.io", "quay.io")}
    text = client.post(address("paste"), {"text": json.dumps({"auths": auths})}, follow=True).content.decode()
    assert "ghcr.io" in text
    assert "quay.io" in text
    assert MARKED not in text


def test_what_is_not_understood_is_not_shown_again(client: Client) -> None:
    page = client.post(address("paste"), {"text": f"?? {MARKED} ??"})
    assert page.status_code == 422
    assert MARKED not in page.content.decode()


@pytest.mark.parametrize("query", ["needle", "NEEDLE"])
@pytest.mark.parametrize("field", ["name", "url", "username", "image_prefix"])
def test_the_list_is_searched(client: Client, organisation: Organisation, alice: User, field: str, query: str) -> None:
    make_registry(organisation, alice, **{"name": "found", field: "a-needle"})
    make_registry(organisation, alice, "other")
    page = client.get(address("list"), {"q": query})
    assert [registry.username for registry, *_ in page.context["rows"]] == [
        Registry.objects.get(**{field: "a-needle"}).username
    ]


@pytest.mark.parametrize(("sort", "first"), [("name", "a"), ("-name", "c"), ("nonsense", "a"), ("-tested", "b")])
def test_the_list_is_sorted(client: Client, organisation: Organisation, alice: User, sort: str, first: str) -> None:
    for name in "cab":
        make_registry(organisation, alice, name)
    tested = Registry.objects.get(name="b")
    tested.last_test = RegistryTest.objects.create(
        organisation=organisation, registry=tested, kind="generic", url="u", username="u", state="passed"
    )
    tested.tested_at = tested.last_test.created_at
    tested.save()
    page = client.get(address("list"), {"sort": sort})
    assert page.context["rows"][0][0].name == first


def test_the_list_costs_the_same_with_many(
    client: Client, organisation: Organisation, alice: User, django_assert_max_num_queries: Any
) -> None:
    def queries() -> int:
        with django_assert_max_num_queries(20) as counted:
            client.get(address("list"))
        return len(counted)

    make_registry(organisation, alice, "first")
    client.get(address("list"))
    few = queries()
    for number in range(60):
        make_registry(organisation, alice, f"more {number}")
    assert queries() == few


def test_the_pages_are_turned(client: Client, organisation: Organisation, alice: User) -> None:
    for number in range(30):
        make_registry(organisation, alice, f"registry {number:02}")
    page = client.get(address("list"), {"page": "2"})
    assert [registry.name for registry, *_ in page.context["rows"]] == [f"registry {n}" for n in range(25, 30)]


def test_servers_that_stay_logged_in_come_first_and_all_by_name(
    client: Client, organisation: Organisation, alice: User
) -> None:
    registry = make_registry(organisation, alice)
    servers = {name: make_server(organisation, name) for name in ("delta", "alpha", "echo", "bravo", "charlie")}
    assert ticks(client, registry) == ["alpha", "bravo", "charlie", "delta", "echo"]
    logins.choose(registry=registry, servers=[servers["echo"], servers["charlie"]])
    assert ticks(client, registry) == ["charlie", "echo", "alpha", "bravo", "delta"]


def ticks(client: Client, registry: Registry) -> list[str]:
    """The names beside the ticks of servers, as they follow on the registry's page."""
    page = client.get(registry.get_absolute_url()).content.decode()
    return re.findall(r'<input name="servers"[^>]*> ([^<]+)</label>', page)
