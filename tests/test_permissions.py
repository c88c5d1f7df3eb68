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
def test_who_is_not_signed_in_is_led_to_the_sign_in(row: Row, client: Client, things: Things) -> None:
    answer = client.generic(row.method, row.address(things))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/?next=")


@each_owned
def test_a_stranger_finds_nothing(row: Row, charlie: User, client_of: ClientOf, things: Things) -> None:
    assert row.ask(client_of(charlie), things) == 404


@each_owned
def test_a_superuser_who_is_no_member_is_a_stranger(
    row: Row, charlie: User, client_of: ClientOf, things: Things
) -> None:
    charlie.is_superuser = charlie.is_staff = True
    charlie.save()
    assert row.ask(client_of(charlie), things) == 404


@each_owned
def test_a_member_without_a_permission_is_refused(row: Row, bob: User, client_of: ClientOf, things: Things) -> None:
    for missing in row.permissions:
        allow(bob, *(permissions.ALL - {missing}))
        assert row.ask(client_of(bob), things) == 403, missing
    if row.any_of:
        allow(bob, *(permissions.ALL - {*row.any_of}))
        assert row.ask(client_of(bob), things) == 403, row.any_of


@each_owned
def test_a_member_with_the_permission_may(row: Row, bob: User, client_of: ClientOf, things: Things) -> None:
    for one in row.any_of or ("",):
        allow(bob, *row.permissions, *filter(None, [one]))
        assert row.ask(client_of(bob), things) == row.status, one


@pytest.mark.parametrize("row", [row for row in OWNED if row.names_a_row], ids=lambda row: row.id)
def test_nothing_of_another_organisation_is_found_under_ones_own(
    row: Row, charlie: User, client_of: ClientOf, things: Things
) -> None:
    address = row.address(things).replace("/acme/", "/elsewhere/", 1)
    assert client_of(charlie).generic(row.method, address).status_code == 404


@each_free
def test_pages_outside_organisations_without_signing_in(row: FreeRow, client: Client, things: Things) -> None:
    assert row.ask(client, things) == row.anonymous


@each_free
def test_pages_outside_organisations_when_signed_in(
    row: FreeRow, charlie: User, client_of: ClientOf, things: Things
) -> None:
    assert row.ask(client_of(charlie), things) == row.status


@pytest.mark.parametrize(
    "path", ["", "registries/registry/", "servers/sshkey/add/", "organisations/user/1/change/", "axes/accessattempt/"]
)
def test_the_admin_is_for_staff(path: str, bob: User, client: Client, client_of: ClientOf) -> None:
    signed_out = client.get(f"/admin/{path}", follow=True)
    assert signed_out.redirect_chain[-1][0] == f"/sign-in/?next=/admin/{path}"
    no_staff = client_of(bob).get(f"/admin/{path}", follow=True)
    assert no_staff.redirect_chain[-1][0] == f"/admin/login/?next=/admin/{path}"
    assert no_staff.status_code == 403
