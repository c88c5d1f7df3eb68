"""Signing in and out, throttling, and the end of sessions."""

import datetime as dt
import re

import pytest
import time_machine
from axes.models import AccessAttempt
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from organisations.models import Organisation, Role, User
from tests.people import PASSWORD, ClientOf, join

pytestmark = pytest.mark.django_db


def sign_in(client: Client, username: str = "alice", password: str = PASSWORD, **also: str) -> HttpResponse:
    return client.post("/sign-in/", {"username": username, "password": password, **also})  # type: ignore[return-value]


def fail(client: Client, times: int) -> HttpResponse:
    for _ in range(times):
        answer = sign_in(client, password="wrong")
    return answer


def test_it_leads_to_the_organisation(alice: User, client: Client) -> None:
    assert client.get("/")["Location"] == "/sign-in/"
    answer = sign_in(client)
    assert (answer.status_code, answer["Location"]) == (303, "/")
    assert client.get("/")["Location"] == "/acme/settings/registries/"


def test_it_leads_on_to_where_the_person_wanted_to_go(alice: User, client: Client) -> None:
    assert sign_in(client, next="/account/")["Location"] == "/account/"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_it_leads_to_no_other_site(alice: User, client: Client, elsewhere: str) -> None:
    assert sign_in(client, next=elsewhere)["Location"] == "/"


def test_a_wrong_password_is_refused_without_telling_which_part_is_wrong(alice: User, client: Client) -> None:
    wrong, unknown = sign_in(client, password="wrong"), sign_in(client, username="nobody")
    assert wrong.status_code == unknown.status_code == 422
    said = re.findall(r'role="alert".*?</div>', wrong.content.decode(), re.DOTALL)
    assert said
    assert said == re.findall(r'role="alert".*?</div>', unknown.content.decode(), re.DOTALL)


def test_who_is_switched_off_cannot_sign_in(alice: User, client: Client) -> None:
    alice.is_active = False
    alice.save()
    assert sign_in(client).status_code == 422


def test_the_fifth_failure_locks_for_a_quarter_of_an_hour(alice: User, client: Client) -> None:
    assert fail(client, 4).status_code == 422
    locked = fail(client, 1)
    assert (locked.status_code, locked["Retry-After"]) == (429, "900")
    assert "15 minutes" in locked.content.decode()
    assert sign_in(client).status_code == 429
    with time_machine.travel(timezone.now() + dt.timedelta(minutes=16)):
        assert sign_in(client).status_code == 303


def test_the_lock_is_for_one_username_from_one_address(alice: User, bob: User, client: Client) -> None:
    fail(client, 5)
    assert sign_in(client, username="bob").status_code == 303
    assert sign_in(Client(REMOTE_ADDR="192.0.2.7")).status_code == 303


def test_a_success_starts_the_count_anew(alice: User, client: Client) -> None:
    fail(client, 4)
    assert sign_in(client).status_code == 303
    assert fail(Client(), 4).status_code == 422


def test_a_forged_header_does_not_get_around_the_lock(alice: User, client: Client) -> None:
    for number in range(5):
        headers = {"X-Forwarded-For": f"192.0.2.{number}"}
        client.post("/sign-in/", {"username": "alice", "password": "wrong"}, headers=headers)
    assert sign_in(client).status_code == 429


def test_the_record_of_failures_holds_no_password(alice: User, client: Client) -> None:
    sign_in(client, password="my-other-password")
    attempt = AccessAttempt.objects.get()
    assert "my-other-password" not in attempt.post_data + attempt.get_data


def test_signing_out_takes_a_post(alice: User, client_of: ClientOf) -> None:
    browser = client_of(alice)
    assert browser.get("/sign-out/").status_code == 405
    assert browser.post("/sign-out/").status_code == 303
    assert browser.get("/account/").status_code == 302


def test_signing_out_everywhere_ends_every_session(alice: User, bob: User, client_of: ClientOf) -> None:
    here, there, bobs = client_of(alice), client_of(alice), client_of(bob)
    answer = here.post("/account/sign-out-everywhere/", follow=True)
    assert "Every session of yours has ended" in answer.content.decode()
    assert [browser.get("/account/").status_code for browser in (here, there, bobs)] == [302, 302, 200]


def test_a_new_password_ends_the_other_sessions(alice: User, client_of: ClientOf) -> None:
    here, there = client_of(alice), client_of(alice)
    new = {"old_password": PASSWORD, "new_password1": "another long password", "new_password2": "another long password"}
    assert here.post("/account/password/", new).status_code == 303
    assert here.get("/account/").status_code == 200
    assert there.get("/account/").status_code == 302


def test_a_new_password_takes_the_old_one(alice: User, client_of: ClientOf) -> None:
    new = {"old_password": "wrong", "new_password1": "another long password", "new_password2": "another long password"}
    assert client_of(alice).post("/account/password/", new).status_code == 422
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_people_change_their_name_and_address(alice: User, client_of: ClientOf) -> None:
    page = client_of(alice).post(
        "/account/", {"first_name": "Alice", "last_name": "Liddell", "email": "al@ice.example"}
    )
    assert page.status_code == 303
    alice.refresh_from_db()
    assert (alice.get_full_name(), alice.email) == ("Alice Liddell", "al@ice.example")


def test_a_bad_address_is_refused(alice: User, client_of: ClientOf) -> None:
    assert client_of(alice).post("/account/", {"email": "no address"}).status_code == 422


def test_home_leads_to_the_organisation_visited_last(
    alice: User, organisation: Organisation, client_of: ClientOf
) -> None:
    other = Organisation.objects.create(name="Zebra", slug="zebra")
    other.memberships.create(user=alice, role=Role.OWNER)
    browser = client_of(alice)
    assert browser.get("/")["Location"].startswith("/acme/")
    browser.get("/zebra/settings/members/")
    assert browser.get("/")["Location"].startswith("/zebra/")
    other.memberships.all().delete()
    assert browser.get("/")["Location"].startswith("/acme/")


def test_home_says_so_if_there_is_no_organisation(organisation: Organisation, client_of: ClientOf) -> None:
    dora = join(organisation, "dora", Role.VIEWER)
    organisation.delete()
    page = client_of(dora).get("/")
    assert page.status_code == 200
    assert "You belong to no organisation" in page.content.decode()
