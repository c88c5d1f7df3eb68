"""Every URL × every kind of person × the status they get."""

import pytest
from django.test import Client

from dokreg import permissions
from organisations.models import User
from tests.pages import FREE, OWNED, TABLE, FreeRow, Row, Things, url_names
from tests.people import ClientOf, allow

each_owned = pytest.mark.parametrize("row", OWNED, ids=lambda row: row.id)
each_free = pytest.mark.parametrize("row", FREE, ids=lambda row: row.id)


def test_every_url_is_in_the_table() -> None:
    assert set(url_names()) == {row.name for row in TABLE}


@each_owned
def test_each_gets_what_the_table_says(
    row: Row, client: Client, bob: User, charlie: User, client_of: ClientOf, things: Things
) -> None:
    """One after the other, since to be refused changes nothing; who may comes last."""
    check_led_to_the_sign_in(row, client, things)
    check_stranger(row, charlie, client_of, things)
    check_refused(row, bob, client_of, things)
    check_allowed(row, bob, client_of, things)


def check_led_to_the_sign_in(row: Row, client: Client, things: Things) -> None:
    answer = client.generic(row.method, row.address(things))
    assert answer.status_code == 302, "who is not signed in"
    assert answer["Location"].startswith("/sign-in/?next=")


def check_stranger(row: Row, charlie: User, client_of: ClientOf, things: Things) -> None:
    """Who owns another organisation finds nothing, even as a superuser, and nothing of this one under their own."""
    assert row.ask(client_of(charlie), things) == 404, "a stranger"
    if row.names_a_row:
        address = row.address(things).replace("/acme/", "/elsewhere/", 1)
        assert client_of(charlie).generic(row.method, address).status_code == 404, "under one's own organisation"
    charlie.is_superuser = charlie.is_staff = True
    charlie.save()
    assert row.ask(client_of(charlie), things) == 404, "a superuser who is no member"


def check_refused(row: Row, bob: User, client_of: ClientOf, things: Things) -> None:
    for missing in (*({name} for name in row.permissions), *filter(None, [{*row.any_of}])):
        allow(bob, *(permissions.ALL - missing))
        assert row.ask(client_of(bob), things) == 403, f"a member without {missing}"


def check_allowed(row: Row, bob: User, client_of: ClientOf, things: Things) -> None:
    for one in row.any_of or ("",):
        allow(bob, *row.permissions, *filter(None, [one]))
        assert row.ask(client_of(bob), things) == row.status, f"a member with {row.permissions} {one}"


@each_free
@pytest.mark.parametrize("is_signed_in", [False, True])
def test_pages_outside_organisations(
    row: FreeRow, is_signed_in: bool, charlie: User, client: Client, client_of: ClientOf, things: Things
) -> None:
    if is_signed_in:
        assert row.ask(client_of(charlie), things) == row.status
    else:
        assert row.ask(client, things) == row.anonymous


@pytest.mark.parametrize(
    "path", ["", "registries/registry/", "servers/sshkey/add/", "organisations/user/1/change/", "axes/accessattempt/"]
)
def test_the_admin_is_for_staff(path: str, bob: User, client: Client, client_of: ClientOf) -> None:
    signed_out = client.get(f"/admin/{path}", follow=True)
    assert signed_out.redirect_chain[-1][0] == f"/sign-in/?next=/admin/{path}"
    no_staff = client_of(bob).get(f"/admin/{path}", follow=True)
    assert no_staff.redirect_chain[-1][0] == f"/admin/login/?next=/admin/{path}"
    assert no_staff.status_code == 403
