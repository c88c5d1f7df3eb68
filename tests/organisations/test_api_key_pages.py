"""The pages of API keys: made and shown once, listed, revoked."""

import datetime as dt
import re
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags
from pytest_django import Settings

from dokreg import permissions
from dokreg.ids import new_id
from organisations import api_keys
from organisations.api_key_models import ApiKey
from organisations.models import AuditEntry, Organisation, Role, User
from tests.people import ClientOf, allow, join, membership_of

LIST = "/acme/settings/api-keys/"
ADD = f"{LIST}add/"
SEE, CHANGE = "registries.view_registry", "registries.change_registry"


def form(**changes: Any) -> dict[str, Any]:
    """What a browser sends of a fresh form that was filled in."""
    return {"key_id": new_id(), "name": "CI", "life": "90", "last_day": "", "extent": "whatever"} | changes


def shown_in(content: bytes) -> str:
    """The key that an answer shows."""
    found = re.search(r'<code id="api-key">([a-zA-Z]{64})</code>', content.decode())
    assert found, content.decode()
    return found[1]


def said(client: Client, path: str = LIST) -> str:
    """What a page says below its head, tags and blanks aside."""
    page = client.get(path)
    assert page.status_code == 200
    return re.sub(r"\s+", " ", strip_tags(page.content.decode().partition("<main")[2].partition("</main>")[0]))


def make(user: User, **values: Any) -> ApiKey:
    return api_keys.make(membership=membership_of(user), **{"name": "CI", **values})[0]


# Making one


def test_a_key_is_made_and_shown_once(alice: User, client_of: ClientOf, capsys: pytest.CaptureFixture[str]) -> None:
    browser = client_of(alice)
    answer = browser.post(ADD, form())
    text = shown_in(answer.content)
    assert api_keys.find(text) == ApiKey.objects.get(name="CI", membership=membership_of(alice))
    assert "no-store" in answer["Cache-Control"]
    page = answer.content.decode()
    assert "It is not shown again" in page
    assert text not in str(answer.headers) + str(answer.cookies)
    assert page.count(text) == 1  # not in the example, which takes it from a variable
    for path in (LIST, ADD, f"{LIST}{ApiKey.objects.get().pk}/", "/acme/settings/audit/"):
        assert text not in browser.get(path).content.decode()
    assert not [session for session in Session.objects.all() if text in str(session.get_decoded())]
    assert text not in str(list(ApiKey.objects.values())) + str(list(AuditEntry.objects.values()))
    assert text not in "".join(capsys.readouterr())


def test_a_form_that_is_sent_twice_makes_one_key_and_shows_it_once(alice: User, client_of: ClientOf) -> None:
    """As a reload of the answer does, or the second half of a double click."""
    browser, sent = client_of(alice), form()
    text = shown_in(browser.post(ADD, sent).content)
    again = browser.post(ADD, sent)
    assert (again.status_code, again["Location"]) == (303, LIST)
    page = browser.get(LIST).content.decode()
    assert "made already" in page
    assert text not in page
    assert api_keys.find(text) == ApiKey.objects.get()


def test_every_form_is_for_another_key(alice: User, client_of: ClientOf) -> None:
    browser = client_of(alice)
    ids = {re.findall(r'name="key_id" value="(\w{21})"', browser.get(ADD).content.decode())[0] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize("key_id", ["", "short", "x" * 22, "../../../etc/passwd/x", "y" * 20 + "\n"])
def test_an_id_that_no_form_has_is_refused(alice: User, client_of: ClientOf, key_id: str) -> None:
    assert client_of(alice).post(ADD, form(key_id=key_id)).status_code == 422
    assert not ApiKey.objects.exists()


def test_the_id_of_somebody_elses_key_changes_nothing(alice: User, charlie: User, client_of: ClientOf) -> None:
    key = make(charlie)
    assert client_of(alice).post(ADD, form(key_id=key.pk)).status_code == 303
    assert ApiKey.objects.get().membership == membership_of(charlie)


@pytest.mark.parametrize(("life", "days"), [("7", 7), ("30", 30), ("90", 90), ("365", 365)])
def test_how_long_it_works(alice: User, client_of: ClientOf, life: str, days: int) -> None:
    client_of(alice).post(ADD, form(life=life))
    end = ApiKey.objects.get().expires_at
    assert end is not None
    assert abs(end - timezone.now() - dt.timedelta(days=days)) < dt.timedelta(minutes=1)


def test_it_works_90_days_unless_something_else_is_chosen(alice: User, client_of: ClientOf) -> None:
    assert '<option value="90" selected>' in client_of(alice).get(ADD).content.decode()


def test_it_may_work_for_ever(alice: User, client_of: ClientOf) -> None:
    client_of(alice).post(ADD, form(life="never"))
    assert ApiKey.objects.get().expires_at is None


def test_it_works_until_the_end_of_the_last_day(alice: User, client_of: ClientOf) -> None:
    today = timezone.now().date()
    client_of(alice).post(ADD, form(life="day", last_day=today.isoformat()))
    end = ApiKey.objects.get().expires_at
    assert end == dt.datetime.combine(today, dt.time(23, 59, 59), dt.UTC)


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"name": "x" * 101}, "name", "at most 100 characters"),
        ({"life": "1"}, "life", "Select a valid choice"),
        ({"life": "day"}, "last_day", "Choose the last day on which it works."),
        ({"life": "day", "last_day": "2020-02-30"}, "last_day", "Enter a valid date."),
        ({"life": "day", "last_day": "2020-02-28"}, "last_day", "This day is over. Choose a later one."),
        ({"extent": ""}, "extent", "This field is required."),
        ({"extent": "ticked"}, "ticked", "Tick at least one."),
        ({"extent": "ticked", "ticked": ["auth.add_user"]}, "ticked", "Select a valid choice"),
    ],
)
def test_a_mistake_is_said_at_its_field(
    alice: User, client_of: ClientOf, changes: dict[str, Any], field: str, sentence: str
) -> None:
    answer = client_of(alice).post(ADD, form(**changes))
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert sentence in answer.content.decode().partition(f'id="id_{field}_error"')[2].partition("</div>")[0]
    assert not ApiKey.objects.exists()


def test_the_day_counts_only_where_it_was_chosen(alice: User, client_of: ClientOf) -> None:
    client_of(alice).post(ADD, form(life="never", last_day="2020-02-28"))
    assert ApiKey.objects.get().expires_at is None


def test_it_is_limited_to_what_was_ticked(alice: User, client_of: ClientOf) -> None:
    answer = client_of(alice).post(ADD, form(extent="ticked", ticked=[CHANGE, SEE]))
    assert "Registries: See and test, Change" in answer.content.decode()
    assert ApiKey.objects.get().permissions == [CHANGE, SEE]


def test_only_what_the_member_may_do_is_offered(bob: User, client_of: ClientOf) -> None:
    allow(bob, SEE)
    browser = client_of(bob)
    assert re.findall(r'name="ticked" value="([^"]+)"', browser.get(ADD).content.decode()) == [SEE]
    answer = browser.post(ADD, form(extent="ticked", ticked=[SEE, CHANGE]))
    assert answer.status_code == 422
    assert "You may not: Registries: Change." in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_a_member_who_may_do_nothing_may_have_a_key(bob: User, client_of: ClientOf) -> None:
    allow(bob)
    text = shown_in(client_of(bob).post(ADD, form()).content)
    found = api_keys.find(text)
    assert found is not None
    assert found.granted == frozenset()
    assert "At this moment that is nothing." in said(client_of(bob), f"{LIST}{found.pk}/")


def test_nobody_has_more_than_fifty(alice: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "MOST_ACTIVE", 1)
    browser = client_of(alice)
    assert browser.post(ADD, form()).status_code == 200
    answer = browser.post(ADD, form())
    assert answer.status_code == 422
    assert "alice has 1 active API keys, and nobody may have more. Revoke one first." in answer.content.decode()


def test_the_example_sends_the_key_in_the_header(alice: User, client_of: ClientOf, settings: Settings) -> None:
    """Run as it stands on the page, by a real shell and a real curl."""
    seen: list[tuple[str, str | None]] = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers["x-api-key"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Api) as server:
        settings.DOKREG_URL = f"http://127.0.0.1:{server.server_port}"
        answer = client_of(alice).post(ADD, form())
        command, text = answer.context["call"], shown_in(answer.content)
        serving = Thread(target=server.handle_request)
        serving.start()
        done = subprocess.run(
            ["sh", "-c", command], env={"PATH": "/usr/bin:/bin", "DOKREG_API_KEY": text}, capture_output=True
        )
        serving.join()
    assert done.returncode == 0, done.stderr
    assert seen == [("/api/user.get", text)]


# The list


def test_the_empty_page_says_what_a_key_is_for(bob: User, client_of: ClientOf) -> None:
    words = said(client_of(bob))
    assert "No API keys yet" in words
    assert "a CI job" in words


def test_the_list_shows_what_there_is_to_know(alice: User, bob: User, client_of: ClientOf) -> None:
    key = make(bob, limits=frozenset({SEE}), expires_at=timezone.now() + dt.timedelta(days=3, hours=1))
    api_keys.note_use(key, address="192.0.2.17")
    words = said(client_of(alice))
    for part in ("CI", f"{key.start}…", "bob", "Registries: See and test", "in 3 days", "created just now"):
        assert part in words
    assert "just now 192.0.2.17" in words
    assert "Expires soon" in words
    assert "Never" not in words
    assert key.key_hash not in client_of(alice).get(LIST).content.decode()


def test_members_see_their_own_and_those_who_change_members_everybodys(
    alice: User, bob: User, client_of: ClientOf
) -> None:
    make(alice, name="hers")
    make(bob, name="his")
    allow(bob, *(permissions.ALL - {api_keys.MANAGE_ALL}))
    words = said(client_of(bob))
    assert "his" in words
    assert "hers" not in words
    assert "Member" not in words
    allow(bob, api_keys.MANAGE_ALL)
    words = said(client_of(bob))
    assert "hers" in words
    assert "Whatever they may do" in words
    assert "Whatever you may do" in words


def test_the_list_shows_what_a_key_may_do_now(bob: User, client_of: ClientOf) -> None:
    browser = client_of(bob)
    make(bob, limits=frozenset({SEE, CHANGE}))
    make(bob)
    assert "Now 18 permissions" in said(browser)
    assert "Now only" not in said(browser)
    allow(bob, SEE)
    assert "Registries: See and test, Change Now only Registries: See and test" in said(browser)
    assert "Whatever you may do Now Registries: See and test" in said(browser)
    allow(bob)
    assert said(browser).count("Now nothing") == 2


def test_a_key_of_an_account_that_is_switched_off_is_marked(alice: User, bob: User, client_of: ClientOf) -> None:
    make(bob)
    assert "Switched off" not in said(client_of(alice))
    bob.is_active = False
    bob.save()
    assert "Switched off" in said(client_of(alice))


def test_a_key_that_is_over_stays_listed_and_may_do_nothing(bob: User, client_of: ClientOf) -> None:
    revoked, expired = make(bob, name="revoked one"), make(bob, name="expired one", limits=frozenset({SEE}))
    api_keys.revoke(revoked, by=bob)
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    browser = client_of(bob)
    words = said(browser)
    assert "Revoked" in words
    assert "Expired" in words
    assert "Now" not in words
    assert "/revoke/" not in browser.get(LIST).content.decode()
    assert "It may do nothing any more" in said(browser, f"{LIST}{revoked.pk}/")
    assert "limited to: Registries See and test" in said(browser, f"{LIST}{expired.pk}/").replace("Yes: ", "")


def test_many_keys_come_in_pages_with_the_same_number_of_queries(
    alice: User, organisation: Organisation, client_of: ClientOf, django_assert_max_num_queries: Any
) -> None:
    browser = client_of(alice)

    def queries() -> int:
        with django_assert_max_num_queries(12) as counted:
            assert browser.get(LIST).status_code == 200
        return len(counted)

    make(alice)
    browser.get(LIST)
    few = queries()
    for number in range(30):
        key = make(join(organisation, f"person-{number}", Role.VIEWER))
        api_keys.revoke(key, by=alice)
    assert queries() == few
    assert "1–25 of 31" in said(browser)
    assert "26–31 of 31" in said(browser, f"{LIST}?page=2")


# Revoking one


def test_a_key_is_revoked_after_a_question(bob: User, client_of: ClientOf) -> None:
    key, text = api_keys.make(membership=membership_of(bob), name="CI")
    browser = client_of(bob)
    assert "Revoke CI?" in said(browser, f"{LIST}{key.pk}/revoke/")
    assert api_keys.refusal_of(key) == ""
    answer = browser.post(f"{LIST}{key.pk}/revoke/")
    assert (answer.status_code, answer["Location"]) == (303, LIST)
    assert "“CI” is revoked." in said(browser)
    found = api_keys.find(text)
    assert found is not None
    assert "was revoked on" in api_keys.refusal_of(found)
    assert found.revoked_by == bob


def test_a_revoked_key_is_not_revoked_again(alice: User, bob: User, client_of: ClientOf) -> None:
    key = make(bob)
    api_keys.revoke(key, by=alice)
    address = f"{LIST}{key.pk}/revoke/"
    browser = client_of(bob)
    assert browser.get(address)["Location"] == f"{LIST}{key.pk}/"
    browser.post(address)
    assert "was revoked before" in said(browser)
    key.refresh_from_db()
    assert key.revoked_by == alice


def test_a_colleague_without_the_permission_can_do_nothing_with_it(alice: User, bob: User, client_of: ClientOf) -> None:
    key = make(alice)
    allow(bob, *(permissions.ALL - {api_keys.MANAGE_ALL}))
    browser = client_of(bob)
    for address in (f"{LIST}{key.pk}/", f"{LIST}{key.pk}/revoke/"):
        assert browser.get(address).status_code == 403
    assert browser.post(f"{LIST}{key.pk}/revoke/").status_code == 403
    key.refresh_from_db()
    assert key.is_active


def test_a_stranger_finds_nothing(alice: User, charlie: User, client_of: ClientOf) -> None:
    key = make(alice)
    for organisation in ("acme", "elsewhere"):
        address = f"/{organisation}/settings/api-keys/{key.pk}/"
        assert client_of(charlie).get(address).status_code == 404
        assert client_of(charlie).post(f"{address}revoke/").status_code == 404
    key.refresh_from_db()
    assert key.is_active


def test_the_owner_of_a_key_sees_who_else_revoked_it(alice: User, bob: User, client_of: ClientOf) -> None:
    key = make(bob)
    client_of(alice).post(f"{LIST}{key.pk}/revoke/")
    browser = client_of(bob)
    assert "Revoked just now by alice" in said(browser)
    assert "alice revoked your key just now." in said(browser, f"{LIST}{key.pk}/")
    own = make(bob)
    browser.post(f"{LIST}{own.pk}/revoke/")
    assert "revoked your key" not in said(browser, f"{LIST}{own.pk}/")


def test_the_page_of_a_key_shows_limits_that_its_member_has_lost(bob: User, client_of: ClientOf) -> None:
    key = make(bob, limits=frozenset({SEE, CHANGE}))
    allow(bob, SEE)
    words = said(client_of(bob), f"{LIST}{key.pk}/")
    assert words.count("See and test") == 1
    page = client_of(bob).get(f"{LIST}{key.pk}/").content.decode()
    assert re.search(r'aria-label="Yes:".*?</svg> See and test', page)
    assert re.search(r'aria-label="No:".*?</svg> Change', page)


# The frame


def test_it_stands_in_the_settings_of_every_member(bob: User, client_of: ClientOf) -> None:
    allow(bob)
    assert f'href="{LIST}" aria-current="page"' in client_of(bob).get(LIST).content.decode()
