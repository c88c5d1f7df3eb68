"""The set-up of the first owner."""

import re

import pytest
from django.http import HttpResponse
from django.test import Client

from organisations import setup
from organisations.models import Membership, Organisation, Role, SetupLink, User
from tests.people import PASSWORD

pytestmark = pytest.mark.django_db

FORM = {
    "organisation": "Acme & Söhne",
    "username": "alice",
    "email": "",
    "password1": PASSWORD,
    "password2": PASSWORD,
}


def link() -> str:
    made = setup.new_setup_link()
    assert made is not None
    assert made.startswith("http://127.0.0.1:8000/setup/")
    return made.removeprefix("http://127.0.0.1:8000")


def post(client: Client, path: str, **changes: str) -> HttpResponse:
    return client.post(path, FORM | changes)  # type: ignore[return-value]


def test_before_it_the_first_page_says_where_the_link_is(client: Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "python manage.py setup_link" in page.content.decode()
    assert client.get("/sign-in/")["Location"] == "/"


def test_it_makes_an_owner_who_is_signed_in(client: Client) -> None:
    path = link()
    assert client.get(path).status_code == 200
    answer = post(client, path)
    assert (answer.status_code, answer["Location"]) == (303, "/")
    owner = Membership.objects.select_related("user", "organisation").get()
    assert (owner.user.username, owner.role, owner.organisation.slug) == ("alice", Role.OWNER, "acme-sohne")
    assert owner.user.is_staff
    assert owner.user.is_superuser
    assert owner.user.check_password(PASSWORD)
    assert client.get("/account/").status_code == 200


def test_the_first_field_has_the_focus(client: Client) -> None:
    page = client.get(link()).content.decode()
    focused = re.findall(r"<input[^>]* autofocus[^>]*>", page)
    assert [re.findall(r'name="(\w+)"', field) for field in focused] == [["organisation"]]
    assert "150 characters" not in page


def test_the_link_works_once(client: Client) -> None:
    path = link()
    post(client, path)
    assert not SetupLink.objects.exists()
    for answer in (Client().get(path), post(Client(), path, username="mallory")):
        assert answer.status_code == 404
        assert "set up already" in answer.content.decode()
    assert User.objects.count() == 1


def test_only_the_last_link_works(client: Client) -> None:
    first, second = link(), link()
    assert client.get(first).status_code == 404
    assert "setup_link" in client.get(first).content.decode()
    assert client.get(second).status_code == 200


def test_of_two_at_once_one_becomes_the_owner(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have seen the link open before either is saved."""
    path = link()
    post(client, path)
    monkeypatch.setattr(setup, "is_open_for", lambda _token: True)
    assert post(Client(), path, username="mallory").status_code == 404
    assert User.objects.get().username == "alice"
    assert Organisation.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"password2": "another one altogether"}, "didn’t match"),
        ({"password1": "short", "password2": "short"}, "too short"),
        ({"organisation": ""}, "required"),
    ],
)
def test_mistakes_are_shown_and_leave_the_link_open(client: Client, changes: dict[str, str], complaint: str) -> None:
    path = link()
    answer = post(client, path, **changes)
    assert answer.status_code == 422
    assert complaint in answer.content.decode()
    assert not User.objects.exists()
    assert client.get(path).status_code == 200


def test_the_password_is_not_sent_back(client: Client) -> None:
    assert PASSWORD not in post(client, link(), organisation="").content.decode()


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme", "acme"),
        ("日本", "organisation"),
        ("Admin", "admin-2"),
        ("x" * 80, "x" * 50),
    ],
)
def test_slugs_are_made_from_names(alice: User, name: str, slug: str) -> None:
    Organisation.objects.all().delete()
    assert setup.create_organisation(name=name, owner=alice).slug == slug


def test_equal_names_get_different_slugs(alice: User) -> None:
    assert [setup.create_organisation(name="Beta", owner=alice).slug for _ in range(3)] == ["beta", "beta-2", "beta-3"]
