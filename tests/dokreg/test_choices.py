"""The choice of one row out of very many: bounded, found by name, with and without JavaScript."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from applications.models import Application, Project
from dokreg.choices import MOST
from organisations.models import Organisation, User
from registries.models import Registry
from servers.models import Server, SSHKey
from tests.applications.page_rows import address
from tests.applications.rows import make_application
from tests.applications.test_forms import FORM
from tests.people import ClientOf
from tests.registries.rows import make_registry
from tests.servers.rows import make_server

pytestmark = pytest.mark.django_db
MANY = 60


@pytest.fixture
def client(alice: User, client_of: ClientOf) -> Client:
    return client_of(alice)


@pytest.fixture
def server(organisation: Organisation) -> Server:
    return make_server(organisation)


@pytest.fixture
def form(organisation: Organisation, server: Server) -> str:
    """The address of the form of a new application."""
    return address("add", project_id=Project.objects.create(organisation=organisation, name="Shop").pk)


@pytest.fixture
def registries(organisation: Organisation, alice: User) -> list[Registry]:
    first = make_registry(organisation, alice, "images 00")
    copies = [
        Registry(
            organisation=organisation, name=f"images {number:02}", kind=first.kind, url=f"r{number}.example.com",
            username="robot", password="a-password",
        )
        for number in range(1, MANY)
    ]  # fmt: skip
    return [first, *Registry.objects.bulk_create(copies)]


def options(page: str, name: str = "registry") -> list[str]:
    """The values that the list offers."""
    (found,) = re.findall(rf'<select name="{name}".*?</select>', page, re.DOTALL)
    return re.findall(r'<option value="([^"]*)"', found)


def chosen(page: str, name: str = "registry") -> list[str]:
    (found,) = re.findall(rf'<select name="{name}".*?</select>', page, re.DOTALL)
    return re.findall(r'<option value="([^"]+)" selected', found)


def posted(client: Client, form: str, **values: str) -> tuple[int, str, dict[str, list[str]]]:
    answer = client.post(form, FORM | {"server": Server.objects.get().pk} | values)
    errors = dict(answer.context["form"].errors) if answer.context else {}
    return answer.status_code, answer.content.decode(), errors


def test_few_stand_in_a_list_without_a_search(client: Client, form: str, organisation: Organisation) -> None:
    page = client.get(form).content.decode()
    assert options(page, "server") == ["", Server.objects.get().pk]
    assert "server_find" not in page


def test_of_many_the_first_are_listed_in_as_many_queries(
    client: Client, form: str, registries: list[Registry], organisation: Organisation
) -> None:
    Registry.objects.filter(pk__in=[row.pk for row in registries[10:]]).delete()
    few = queries(client, form)
    Registry.objects.bulk_create(registries[10:])
    assert queries(client, form) == few
    page = client.get(form).content.decode()
    assert options(page) == ["", *[row.pk for row in registries[:MOST]]]
    assert 'name="registry_find"' in page


def queries(client: Client, where: str) -> int:
    client.get(where)
    with CaptureQueriesContext(connection) as asked:
        client.get(where)
    return len(asked)


def test_the_chosen_one_is_listed_wherever_it_stands(
    client: Client, registries: list[Registry], organisation: Organisation, server: Server
) -> None:
    application = make_application(organisation, server=server, registry=registries[-1], image="web")
    page = client.get(address("edit", application_id=application.pk)).content.decode()
    assert chosen(page) == [registries[-1].pk]
    assert len(options(page)) == MOST + 2


def test_the_button_finds_and_saves_nothing(client: Client, form: str, registries: list[Registry]) -> None:
    status, page, errors = posted(client, form, registry_find="IMAGES 5", registry_asked="1", name="")
    assert status == 422
    assert options(page) == ["", *[row.pk for row in registries[50:60]]]
    assert chosen(page) == []
    assert list(errors) == ["registry"]
    assert "nginx:1.27" in page
    assert not Application.objects.exists()


def test_what_alone_is_found_is_chosen_and_seen_before_it_is_sent(
    client: Client, form: str, registries: list[Registry]
) -> None:
    found = {"registry_find": "r57.example"}
    _status, page, _errors = posted(client, form, **found, registry_asked="1")
    assert chosen(page) == [registries[57].pk]
    status, _page, _errors = posted(client, form, **found, registry=registries[57].pk, image="web")
    assert status == 303
    assert Application.objects.get().registry == registries[57]


@pytest.mark.parametrize(
    ("find", "words"),
    [("images 5", "Choose one of those that have “images 5” in their name"), ("nowhere", "Nothing has “nowhere”")],
)
def test_a_search_that_was_not_followed_by_a_choice_is_said_at_the_field(
    client: Client, form: str, registries: list[Registry], find: str, words: str
) -> None:
    for registry in ("", registries[0].pk):
        status, page, errors = posted(client, form, registry=registry, registry_find=find)
        assert (status, list(errors)) == (422, ["registry"])
        assert words in errors["registry"][0]
        assert chosen(page) in ([], [registry])
    assert not Application.objects.exists()


def test_what_others_own_is_not_found(client: Client, form: str, registries: list[Registry], charlie: User) -> None:
    elsewhere = make_registry(charlie.organisations.get(), charlie, "elsewhere")
    _status, page, _errors = posted(client, form, registry_find="elsewhere", registry_asked="1")
    assert elsewhere.pk not in page
    _status, page, errors = posted(client, form, registry=elsewhere.pk)
    assert list(errors) == ["registry"]
    assert elsewhere.name not in page


def test_a_name_is_shown_as_text(client: Client, form: str, registries: list[Registry]) -> None:
    Registry.objects.filter(pk=registries[0].pk).update(name="<script>alert(1)</script>")
    _status, page, _errors = posted(client, form, registry_find="<script>", registry_asked="1")
    assert "<script>alert" not in page


@pytest.mark.parametrize("htmx", [True, False])
def test_where_a_registry_is_tested_is_found_among_many(
    client: Client, organisation: Organisation, alice: User, htmx: bool
) -> None:
    servers = [make_server(organisation, f"web-{number:02}") for number in range(MANY)]
    registry = make_registry(organisation, alice, "Images")
    headers = {"HX-Request": "true"} if htmx else {}
    for where in ("test/", "edit/"):
        values = {"server_find": "web-58", "server_asked": "1"}
        answer = client.post(f"{registry.get_absolute_url()}{where}", values, headers=headers)
        assert answer.status_code == 422
        assert "HX-Retarget" not in answer
        assert chosen(answer.content.decode(), "server") == [servers[58].pk]
    assert not registry.tests.exists()


def test_the_key_of_a_server_is_found_among_many(client: Client, organisation: Organisation) -> None:
    server = make_server(organisation)
    first = server.ssh_key
    keys = [
        SSHKey(
            organisation=organisation, name=f"team {number:02}", private_key=first.private_key,
            public_key=first.public_key,
        )
        for number in range(MANY)
    ]  # fmt: skip
    SSHKey.objects.bulk_create(keys)
    for form in (reverse("servers:add", args=[organisation.slug]), f"{server.get_absolute_url()}edit/"):
        page = client.get(form).content.decode()
        assert len(options(page, "ssh_key")) <= MOST + 2
        answer = client.post(form, {"name": "typed", "ssh_key_find": "team 58", "ssh_key_asked": "1"})
        assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["ssh_key"])
        assert chosen(answer.content.decode(), "ssh_key") == [keys[58].pk]
        assert 'value="typed"' in answer.content.decode()
    assert chosen(client.get(form).content.decode(), "ssh_key") == [first.pk]
    values = {"name": "web-2", "host": "web-2.example.com", "port": 22, "user": "root", "ssh_key": keys[58].pk}
    assert client.post(form, values).status_code == 303
    assert Server.objects.get().ssh_key == keys[58]
