"""The commands for scripts and for the terminal."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from organisations.models import Membership, Role, SetupLink, User

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def test_setup_link_prints_a_link_that_works(client: Client) -> None:
    link = run("setup_link").strip()
    assert client.get(link.removeprefix("http://127.0.0.1:8000")).status_code == 200
    assert link.rsplit("/", 2)[1] not in str(list(SetupLink.objects.values()))


def test_setup_link_refuses_when_somebody_can_sign_in(alice: User) -> None:
    with pytest.raises(CommandError, match="set up already"):
        run("setup_link")
    assert not SetupLink.objects.exists()


def test_setup_link_if_needed_is_silent_then(alice: User) -> None:
    assert run("setup_link", "--if-needed") == ""


def test_setup_link_if_needed_prints_it_otherwise() -> None:
    assert run("setup_link", "--if-needed").startswith("http://127.0.0.1:8000/setup/")


def test_create_organisation_prints_the_slug(alice: User) -> None:
    assert run("create_organisation", "Beta Team", "--owner", "alice") == "beta-team\n"
    assert Membership.objects.get(organisation__slug="beta-team").role == Role.OWNER


def test_create_organisation_takes_a_slug(alice: User) -> None:
    assert run("create_organisation", "Beta Team", "--owner", "alice", "--slug", "beta") == "beta\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["Beta", "--owner", "nobody"], "There is no user “nobody”"),
        (["Beta", "--owner", "alice", "--slug", "acme"], "Another organisation has this address"),
        (["Beta", "--owner", "alice", "--slug", "admin"], "an address of dokreg itself"),
        (["Beta", "--owner", "alice", "--slug", "not a slug"], "slug"),
        (["", "--owner", "alice"], "cannot be blank"),
        (["x" * 101, "--owner", "alice"], "100 characters"),
    ],
)
def test_create_organisation_says_what_is_wrong(alice: User, arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run("create_organisation", *arguments)
