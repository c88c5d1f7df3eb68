"""No page needs, or allows, anything but files of dokreg's own."""

from html.parser import HTMLParser

import pytest
from django.test import Client

from dokreg import permissions
from organisations.models import User
from tests.pages import FREE, OWNED, FreeRow, Row, Things
from tests.people import ClientOf, allow

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
ADMIN_PAGES = (
    "",
    "registries/registry/",
    "registries/registry/add/",
    "servers/server/add/",
    "servers/sshkey/add/",
    "organisations/auditentry/",
    "organisations/organisation/",
    "organisations/user/",
)
pages = pytest.mark.parametrize("row", [row for row in OWNED if row.method == "GET"], ids=lambda row: row.id)
free_pages = pytest.mark.parametrize("row", [row for row in FREE if row.method == "GET"], ids=lambda row: row.id)


class Inline(HTMLParser):
    """Finds what a strict policy forbids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in attributes):
            self.found.append(f"<{tag}>")
        for name, value in attributes.items():
            is_active = (value or "").strip().lower().startswith(("data:", "javascript:"))
            if name == "style" or name.startswith(("on", "hx-on")) or is_active:
                self.found.append(f"<{tag} {name}={value!r}>")


@pages
def test_pages_of_an_organisation_are_strict(row: Row, bob: User, client_of: ClientOf, things: Things) -> None:
    allow(bob, *permissions.ALL)
    _check(client_of(bob), row.address(things))


@free_pages
def test_pages_outside_organisations_are_strict(
    row: FreeRow, client: Client, charlie: User, client_of: ClientOf, things: Things
) -> None:
    _check(client, row.address(things))
    _check(client_of(charlie), row.address(things))


@pytest.mark.parametrize("path", ADMIN_PAGES)
def test_the_admin_carries_the_policy(path: str, admin_client: Client) -> None:
    _check(admin_client, f"/admin/{path}")


def _check(client: Client, address: str) -> None:
    answer = client.get(address)
    assert set(answer["Content-Security-Policy"].split("; ")) == set(POLICY.split("; "))
    assert Inline(answer.content.decode()).found == []
