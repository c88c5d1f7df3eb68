"""The audit trail: what is written, and how a page says it."""

import datetime as dt
import re
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags

from dokreg.paging import BoundedPaginator
from organisations import api_keys, audit, audit_words
from organisations.models import AuditEntry, Organisation, Role, User
from tests.pages import PRIVATE_KEY, Things
from tests.people import PASSWORD, ClientOf, allow, membership_of

PAGE = "/acme/settings/audit/"


def said(client: Client, **filters: str) -> str:
    """The trail as a person reads it."""
    page = client.get(PAGE, filters)
    assert page.status_code == 200
    table = page.content.decode().partition("<tbody>")[2].partition("</tbody>")[0]
    return re.sub(r"\s+", " ", strip_tags(table.replace("&quot;", '"')))


def test_a_change_of_a_registry_in_words(alice: User, client_of: ClientOf, things: Things) -> None:
    browser = client_of(alice)
    form = {
        "name": "Production",
        "url": "registry.example.com",
        "username": "robot",
        "image_prefix": "team",
        "server": things.server.pk,
    }
    assert browser.post(f"/acme/settings/registries/{things.registry.pk}/edit/", form).status_code == 303
    text = said(browser, what="update")
    assert "alice changed registry Production" in text
    assert "Image Prefix “team”" in text
    assert "Server “web-1”" in text
    assert "127.0.0.1" in text
    browser.post(f"/acme/settings/registries/{things.registry.pk}/edit/", form | {"image_prefix": "crew"})
    assert "Image Prefix from “team” to “crew”" in said(browser, what="update")


def test_columns_and_values_are_said_as_on_the_forms(alice: User, client_of: ClientOf, things: Things) -> None:
    AuditEntry.objects.all().delete()
    browser = client_of(alice)
    registry, organisation = things.registry, things.organisation
    registry.kind, registry.url = "docker_hub", "docker.io"
    registry.save()
    registry.kind = "a provider of the past"
    registry.save()
    organisation.name, organisation.slug = "Acme Ltd", "acme"
    organisation.save()
    text = said(browser, what="update")
    assert "Provider from “Other registry” to “Docker Hub”" in text
    assert "Provider from “Docker Hub” to “a provider of the past”" in text
    assert "Registry URL from “registry.example.com” to “docker.io”" in text
    organisation.slug = "acme-ltd"
    organisation.save()
    (line,) = audit_words.lines_of([audit.in_order(AuditEntry.objects.all())[0]])
    assert line.details == ("Address from “acme” to “acme-ltd”",)


def test_deleting_is_called_as_on_the_button(alice: User, bob: User, client_of: ClientOf, things: Things) -> None:
    browser = client_of(alice)
    browser.post(f"/acme/settings/registries/{things.registry.pk}/delete/")
    browser.post(f"/acme/settings/members/{membership_of(bob).pk}/remove/")
    browser.post(f"/acme/settings/members/invitations/{things.invitation.pk}/revoke/")
    text = said(browser, what="delete")
    assert "alice deleted registry Production" in text
    assert "alice removed member bob" in text
    assert "alice revoked invitation of" in text


def test_whoever_joins_or_leaves_is_named_once(alice: User, bob: User, client: Client, client_of: ClientOf) -> None:
    from tests.organisations.test_invitations import ACCOUNT, invite

    client.post(invite(alice), ACCOUNT)
    text = said(client_of(alice), what="create")
    assert "erin became a member Role “" in text
    assert "Expires" not in text  # the invitation: all of them do, after the same time
    client_of(bob).post(f"/acme/settings/members/{membership_of(bob).pk}/remove/")
    assert "bob left the organisation" in said(client_of(alice), what="delete")


def test_a_new_password_is_said_without_the_password(alice: User, client_of: ClientOf, things: Things) -> None:
    browser = client_of(alice)
    form = {"name": "Production", "url": "registry.example.com", "username": "robot", "password": "marked-secret-41"}
    browser.post(f"/acme/settings/registries/{things.registry.pk}/edit/", form)
    assert "A new password" in said(browser, what="update")
    assert "marked-secret-41" not in str(list(AuditEntry.objects.values()))


def test_entries_hold_no_secret(things: Things) -> None:
    entries = str(list(AuditEntry.objects.values()))
    assert "Production" in entries
    for secret in ("s3cret-of-the-robot", PRIVATE_KEY.private[40:80], things.invitation_token):
        assert secret not in entries
    for ciphertext in (things.registry.password, things.key.private_key):
        assert ciphertext
        assert ciphertext.token.decode() not in entries
    assert things.invitation.token_hash not in entries


def test_every_model_with_secrets_is_audited_by_named_columns() -> None:
    """A new secret column is then left out until somebody adds it by name."""
    from auditlog.registry import auditlog

    from dokreg.encryption import secret_fields

    for field in secret_fields():
        if auditlog.contains(field.model):
            recorded = auditlog.get_model_fields(field.model)
            assert recorded["include_fields"]
            assert field.name not in recorded["include_fields"]


def test_a_change_of_permissions_in_words(alice: User, bob: User, client_of: ClientOf) -> None:
    browser = client_of(alice)
    form = {
        "role": Role.MEMBER,
        "extent": "ticked",
        "ticked": ["registries.view_registry", "registries.delete_registry"],
    }
    browser.post(f"/acme/settings/members/{membership_of(bob).pk}/", form)
    text = said(browser, what="update", kind="organisations.membership")
    assert "alice changed member bob" in text
    assert "Permissions from “as the role says” to “Registries: See and test, Delete”" in text


def test_sign_ins_and_refused_ones(alice: User, bob: User, client: Client, client_of: ClientOf) -> None:
    client.post("/sign-in/", {"username": "bob", "password": "wrong"}, REMOTE_ADDR="192.0.2.9")
    client.post("/sign-in/", {"username": "bob", "password": PASSWORD}, REMOTE_ADDR="192.0.2.8")
    client.post("/sign-out/", REMOTE_ADDR="192.0.2.8")
    browser = client_of(alice)
    refused = said(browser, what="sign-in refused")
    assert "Somebody was refused a sign-in as member bob" in refused
    assert "192.0.2.9" in refused
    assert "bob signed in " in said(browser, what="signed in")
    assert "bob signed out " in said(browser, what="signed out")
    entries = AuditEntry.objects.exclude(event="").exclude(event="sign-in refused")
    assert {entry.remote_addr for entry in entries.filter(actor=bob)} == {"192.0.2.8"}


def test_the_trail_is_counted_no_further_than_its_pages_lead(
    alice: User, client_of: ClientOf, organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedPaginator, "MOST", 60)
    browser = client_of(alice)
    number = AuditEntry.objects.filter(organisation=organisation).count()
    for _ in range(60 - number):
        audit.record("asked for a test", organisation)
    assert "51–60 of 60<" in browser.get(PAGE, {"page": 2}).content.decode()
    audit.record("asked for a test", organisation)
    for page in (2, 99):
        assert "51–60 of the newest 60<" in browser.get(PAGE, {"page": page}).content.decode()


def test_headers_write_nothing_into_the_trail(alice: User, client: Client) -> None:
    headers = {"X-Forwarded-For": "192.0.2.66", "X-Forwarded-Port": "-99999999999", "X-Correlation-ID": "x" * 300}
    sign_in = {"username": "alice", "password": PASSWORD}
    assert client.post("/sign-in/", sign_in, headers=headers).status_code == 303
    entry = AuditEntry.objects.get(event="signed in")
    assert (entry.remote_addr, entry.remote_port, entry.cid) == ("127.0.0.1", None, None)


def test_api_keys_in_words(alice: User, bob: User, client_of: ClientOf) -> None:
    browser = client_of(alice)
    until = timezone.now() + dt.timedelta(days=30)
    limits = frozenset({"registries.view_registry"})
    key, text = api_keys.make(membership=membership_of(bob), name="CI", limits=limits, expires_at=until)
    address = f"/acme/settings/api-keys/{key.pk}/"
    browser.post(f"{address}revoke/")
    made, revoked = said(browser, what="create", kind="organisations.apikey"), said(browser, what="update")
    assert "dokreg made API key CI" in made
    for part in ("Member “bob”", f"Key “{key.start}…”", "Limited to “Registries: See and test”"):
        assert part in made
    assert f"Expires “{until:%-d %b %Y, %H:%M} UTC”" in made
    assert re.search(r"alice revoked API key CI\s+127\.0\.0\.1", revoked)
    page = re.sub(r"\s+", " ", strip_tags(browser.get(address).content.decode()))
    assert "alice revoked this API key" in page
    assert "dokreg made this API key" in page
    entries = str(list(AuditEntry.objects.values()))
    for secret in (text, text[:7], key.key_hash):
        assert secret not in entries


def test_the_trail_links_to_api_keys_for_those_who_see_them(alice: User, bob: User, client_of: ClientOf) -> None:
    key, _text = api_keys.make(membership=membership_of(alice), name="CI")
    link = f'href="/acme/settings/api-keys/{key.pk}/"'
    allow(bob, "organisations.view_auditentry")
    assert link in client_of(alice).get(PAGE).content.decode()
    assert link not in client_of(bob).get(PAGE).content.decode()


def test_other_things_that_happen_to_accounts(alice: User, bob: User, client_of: ClientOf) -> None:
    browser = client_of(bob)
    new = {"old_password": PASSWORD, "new_password1": "another long password", "new_password2": "another long password"}
    browser.post("/account/password/", new)
    browser.post("/account/sign-out-everywhere/")
    text = said(client_of(alice), person="bob")
    assert "bob changed the password" in text
    assert "bob ended all sessions" in text


def test_what_happens_to_one_organisation_is_not_shown_in_another(
    alice: User, charlie: User, client_of: ClientOf, things: Things
) -> None:
    page = client_of(charlie).get("/elsewhere/settings/audit/").content.decode()
    assert "charlie" in page
    for name in ("alice", "Production", "web-1"):
        assert name not in page


def test_changes_of_accounts_by_staff_are_no_organisations_business(alice: User, client_of: ClientOf) -> None:
    alice.email = "new@example.com"
    alice.save()
    assert AuditEntry.objects.filter(content_type__model="user", organisation=None).exists()
    assert "new@example.com" not in said(client_of(alice))


def test_the_set_up_and_new_members_have_an_actor(alice: User, client: Client) -> None:
    from tests.organisations.test_invitations import ACCOUNT, invite

    client.post(invite(alice), ACCOUNT)
    entries = AuditEntry.objects.filter(actor__username="erin")
    assert {"accepted", "signed in"} <= set(entries.values_list("event", flat=True))
    assert entries.filter(
        action=AuditEntry.Action.CREATE, object_repr="erin", content_type__model="membership"
    ).exists()


def test_tests_are_recorded(alice: User, client_of: ClientOf, things: Things) -> None:
    browser = client_of(alice)
    browser.post(f"/acme/settings/servers/{things.server.pk}/test/")
    assert "alice asked for a test of server web-1" in said(browser, what="asked for a test")


def test_links_lead_to_what_exists_and_may_be_seen(alice: User, bob: User, client_of: ClientOf, things: Things) -> None:
    link = f'href="/acme/settings/registries/{things.registry.pk}/"'
    allow(bob, "organisations.view_auditentry")
    assert link in client_of(alice).get(PAGE).content.decode()
    assert link not in client_of(bob).get(PAGE).content.decode()
    things.registry.delete()
    assert link not in client_of(alice).get(PAGE).content.decode()
    assert "dokreg deleted registry Production" in said(client_of(alice))


def test_the_filter(alice: User, client_of: ClientOf, things: Things) -> None:
    browser = client_of(alice)
    browser.post(f"/acme/settings/servers/{things.server.pk}/test/")
    assert "Production" not in said(browser, kind="servers.server")
    assert "web-1" not in said(browser, thing="Product")
    assert "asked for a test" in said(browser, person="ALI")
    assert "added" not in said(browser, person="ali")
    today = timezone.now().date()
    assert "web-1" in said(browser, since=today.isoformat(), until=today.isoformat())
    assert said(browser, until=(today - dt.timedelta(days=1)).isoformat()) == ""
    assert said(browser, since=(today + dt.timedelta(days=1)).isoformat()) == ""


def test_a_filter_that_is_none_is_refused(alice: User, client_of: ClientOf) -> None:
    browser = client_of(alice)
    assert browser.get(PAGE, {"since": "yesterday"}).status_code == 422
    assert browser.get(PAGE, {"kind": "auth.user"}).status_code == 422
    assert browser.get(PAGE, {"page": "999"}).status_code == 200


def test_newest_first_in_pages_of_fifty(alice: User, organisation: Organisation, client_of: ClientOf) -> None:
    for number in range(60):
        with time_machine.travel(timezone.now() + dt.timedelta(seconds=number)):
            audit.record("asked for a test", organisation, actor=alice, place=f"place-{number:02}.")
    browser = client_of(alice)
    first, second = said(browser, what="asked for a test"), said(browser, what="asked for a test", page="2")
    assert first.index("place-59.") < first.index("place-58.") < first.index("place-10.")
    assert "place-09." not in first
    assert "place-09." in second


def test_the_number_of_queries_does_not_grow(
    alice: User, client_of: ClientOf, things: Things, django_assert_max_num_queries: Any
) -> None:
    browser = client_of(alice)
    AuditEntry.objects.all().delete()

    def happen() -> None:
        for row in (things.server, things.registry, things.key, things.membership):
            audit.record("asked for a test", row, actor=alice)
        things.registry.server = None if things.registry.server else things.server
        things.registry.save()

    def queries() -> int:
        with django_assert_max_num_queries(16) as counted:
            assert browser.get(PAGE).status_code == 200
        return len(counted)

    happen()
    queries()
    few = queries()
    for _ in range(40):
        happen()
    assert queries() == few


def test_the_trail_of_one_row(alice: User, bob: User, client_of: ClientOf, things: Things) -> None:
    audit.record("asked for a test", things.server, actor=alice)
    lines = audit.entries_of(things.server)
    assert [(line.who, line.what) for line in lines] == [("alice", "asked for a test of"), ("dokreg", "added")]
    assert len(audit.entries_of(things.server, limit=1)) == 1
    address = f"/acme/settings/members/{things.membership.pk}/"
    allow(bob, "organisations.view_membership")
    assert "Audit trail" in client_of(alice).get(address).content.decode()
    assert "Audit trail" not in client_of(bob).get(address).content.decode()


def test_every_recorded_event_can_be_filtered() -> None:
    from django.conf import settings

    called = set()
    for app in ("organisations", "servers", "registries", "applications"):
        for file in (settings.BASE_DIR / app).rglob("*.py"):
            called |= set(re.findall(r'record(?:_for_all)?\(\s*"([^"]+)"', file.read_text()))
    assert called == set(audit.EVENTS)
