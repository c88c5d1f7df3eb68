"""Invitations: made, taken back, accepted, and what ends them."""

import datetime as dt
import re

import pytest
import time_machine
from axes.models import AccessAttempt
from django.test import Client
from django.utils import timezone

from dokreg import permissions
from organisations import invitations, members
from organisations.models import Invitation, Membership, Organisation, Role, User
from tests.people import PASSWORD, ClientOf, allow, membership_of

INVITE = "/acme/settings/members/invite/"
ACCOUNT = {"username": "erin", "email": "", "password1": PASSWORD, "password2": PASSWORD}


def invite(by: User, role: str = Role.VIEWER, names: frozenset[str] = permissions.READ_ONLY) -> str:
    """The path of a new invitation's link."""
    _, token = invitations.invite(by=membership_of(by), note="Erin", role=role, names=names)
    return f"/invitations/{token}/"


def test_the_link_is_shown_once_and_stored_nowhere(alice: User, client_of: ClientOf) -> None:
    browser = client_of(alice)
    answer = browser.post(INVITE, {"note": "Erin", "role": Role.VIEWER, "extent": "role"})
    found = re.search(r"http://127.0.0.1:8000/invitations/([\w-]{43})/", answer.content.decode())
    assert found
    assert "no-store" in answer["Cache-Control"]
    assert found[1] not in browser.get("/acme/settings/members/").content.decode()
    assert found[1] not in str(Invitation.objects.values().get())


def test_the_list_shows_open_invitations(alice: User, client_of: ClientOf) -> None:
    invite(alice)
    page = client_of(alice).get("/acme/settings/members/").content.decode()
    assert "Open invitations" in page
    assert "Erin" in page


def test_a_new_person_joins_with_an_account(alice: User, client: Client) -> None:
    path = invite(alice)
    assert "Join Acme" in client.get(path).content.decode()
    answer = client.post(path, ACCOUNT)
    assert (answer.status_code, answer["Location"]) == (303, "/acme/")
    erin = User.objects.get(username="erin")
    assert membership_of(erin).role == Role.VIEWER
    assert not erin.is_staff
    assert client.get("/acme/settings/registries/").status_code == 200


def test_somebody_with_an_account_joins_with_one_button(alice: User, charlie: User, client_of: ClientOf) -> None:
    path = invite(alice)
    browser = client_of(charlie)
    assert "Join as charlie" in browser.get(path).content.decode()
    assert browser.post(path).status_code == 303
    assert browser.get("/acme/settings/registries/").status_code == 200


def test_somebody_with_an_account_may_sign_in_first(alice: User, charlie: User, client: Client) -> None:
    path = invite(alice)
    assert f"/sign-in/?next={path}" in client.get(path).content.decode()
    answer = client.post("/sign-in/", {"username": "charlie", "password": PASSWORD, "next": path})
    assert answer["Location"] == path


def test_the_ticked_permissions_are_handed_on(alice: User, charlie: User, client_of: ClientOf) -> None:
    path = invite(alice, Role.MEMBER, frozenset({"servers.trust_server"}))
    client_of(charlie).post(path)
    joined = Membership.objects.get(user=charlie, organisation__slug="acme")
    assert joined.granted == {"servers.trust_server"}


def test_it_works_once(alice: User, charlie: User, client: Client, client_of: ClientOf) -> None:
    path = invite(alice)
    client.post(path, ACCOUNT)
    answer = client_of(charlie).post(path)
    assert answer.status_code == 410
    assert "accepted already" in answer.content.decode()
    assert not Membership.objects.filter(user=charlie, organisation__slug="acme").exists()


def test_of_two_at_once_one_joins(alice: User, bob: User, charlie: User) -> None:
    """Both have read the invitation before either accepts."""
    token = invite(alice).split("/")[2]
    first, second = invitations.find(token), invitations.find(token)
    assert first
    assert second
    Membership.objects.filter(user=bob).delete()
    invitations.accept(invitation=first, user=bob)
    with pytest.raises(invitations.InvitationClosed):
        invitations.accept(invitation=second, user=charlie)


def test_a_refused_acceptance_leaves_no_account(alice: User) -> None:
    found = invitations.find(invite(alice).split("/")[2])
    assert found
    Invitation.objects.all().delete()
    with pytest.raises(invitations.InvitationClosed):
        invitations.accept_as_new_person(invitation=found, user=User(username="erin"))
    assert not User.objects.filter(username="erin").exists()


def test_it_ends_after_a_week(alice: User, client: Client) -> None:
    path = invite(alice)
    with time_machine.travel(timezone.now() + dt.timedelta(days=7, minutes=1)):
        answer = client.get(path)
        assert answer.status_code == 410
        assert "ended on" in answer.content.decode()
        assert client.post(path, ACCOUNT).status_code == 410
    assert not User.objects.filter(username="erin").exists()


def test_it_is_taken_back_at_once(alice: User, client: Client, client_of: ClientOf) -> None:
    path = invite(alice)
    revoke = f"/acme/settings/members/invitations/{Invitation.objects.get().pk}/revoke/"
    assert client_of(alice).post(revoke).status_code == 303
    assert client.get(path).status_code == 404
    assert client.post(path, ACCOUNT).status_code == 404


def test_an_accepted_one_cannot_be_taken_back(alice: User, client: Client, client_of: ClientOf) -> None:
    client.post(invite(alice), ACCOUNT)
    revoke = f"/acme/settings/members/invitations/{Invitation.objects.get().pk}/revoke/"
    page = client_of(alice).post(revoke, follow=True)
    assert "Remove the member instead" in page.content.decode()


def test_a_member_is_told_so_and_uses_nothing_up(alice: User, bob: User, client_of: ClientOf) -> None:
    path = invite(alice)
    for answer in (client_of(bob).get(path), client_of(bob).post(path)):
        assert answer.status_code == 200
        assert "a member of Acme already" in answer.content.decode()
    assert Invitation.objects.get().is_open


def test_a_removed_inviter_cannot_come_back_by_their_own_link(alice: User, bob: User, client: Client) -> None:
    allow(bob, "organisations.add_membership", "organisations.view_membership")
    path = invite(bob, Role.VIEWER, frozenset({"organisations.view_membership"}))
    members.remove(membership=membership_of(bob), by=membership_of(alice))
    answer = client.post(path, ACCOUNT)
    assert answer.status_code == 410
    assert "may not invite" in answer.content.decode()


def test_an_invitation_gives_no_more_than_the_inviter_still_has(alice: User, bob: User, client: Client) -> None:
    allow(bob, "organisations.add_membership", "registries.view_registry")
    path = invite(bob, Role.VIEWER, frozenset({"registries.view_registry"}))
    allow(bob, "organisations.add_membership")
    assert client.post(path, ACCOUNT).status_code == 410


def test_nobody_invites_to_more_than_they_have(bob: User, client_of: ClientOf) -> None:
    allow(bob, "organisations.add_membership")
    browser = client_of(bob)
    assert browser.post(INVITE, {"role": Role.OWNER, "extent": "role"}).status_code == 422
    assert browser.post(INVITE, {"role": Role.VIEWER, "extent": "role"}).status_code == 422
    ticks = {"role": Role.VIEWER, "extent": "ticked", "ticked": ["organisations.add_membership"]}
    assert browser.post(INVITE, ticks).status_code == 200


def test_a_taken_username_is_refused_and_the_invitation_stays(alice: User, client: Client) -> None:
    path = invite(alice)
    assert client.post(path, ACCOUNT | {"username": "Alice"}).status_code == 422
    assert Invitation.objects.get().is_open


def test_a_failed_sign_in_does_not_record_the_link(alice: User, client: Client, organisation: Organisation) -> None:
    path = invite(alice)
    client.post(f"/sign-in/?next={path}", {"username": "alice", "password": "wrong", "next": path})
    attempt = AccessAttempt.objects.get()
    assert path not in attempt.post_data + attempt.get_data
