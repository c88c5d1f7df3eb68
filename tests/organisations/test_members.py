"""Roles and permissions: who may give and take which."""

from typing import Any

import pytest
from django.test import Client

from dokreg import permissions
from organisations import members
from organisations.models import Membership, Organisation, Role, User
from tests.people import ClientOf, allow, join, membership_of

PAGE = "/acme/settings/members/"
AS_ROLE = {"extent": "role"}


@pytest.fixture
def dora(organisation: Organisation) -> User:
    """An admin: may change members, and is no owner."""
    return join(organisation, "dora", Role.ADMIN)


def change(client: Client, user: User, **data: object) -> int:
    """Post the form of a member; the ticks default to those that the page shows."""
    shown = sorted(membership_of(user).granted)
    return client.post(f"{PAGE}{membership_of(user).pk}/", {"ticked": shown} | AS_ROLE | data).status_code


def remove(client: Client, user: User) -> int:
    return client.post(f"{PAGE}{membership_of(user).pk}/remove/").status_code


def test_the_list_shows_people_and_roles(alice: User, bob: User, client_of: ClientOf) -> None:
    allow(bob, "registries.view_registry")
    page = client_of(alice).get(PAGE).content.decode()
    assert "alice" in page
    assert "bob" in page
    assert "Customised" in page


def test_the_list_takes_the_same_queries_for_many_members(
    alice: User, organisation: Organisation, client_of: ClientOf, django_assert_max_num_queries: Any
) -> None:
    browser = client_of(alice)

    def queries() -> int:
        with django_assert_max_num_queries(8) as counted:
            assert browser.get(PAGE).status_code == 200
        return len(counted)

    join(organisation, "first", Role.VIEWER)
    browser.get(PAGE)
    few = queries()
    for number in range(20):
        join(organisation, f"person-{number}", Role.VIEWER)
    assert queries() == few


def test_an_owner_changes_a_role(alice: User, bob: User, client_of: ClientOf) -> None:
    assert change(client_of(alice), bob, role=Role.VIEWER) == 303
    assert membership_of(bob).role == Role.VIEWER
    assert not membership_of(bob).is_customised


def test_an_owner_ticks_permissions_one_by_one(alice: User, bob: User, client_of: ClientOf) -> None:
    wanted = ["registries.view_registry", "servers.trust_server"]
    assert change(client_of(alice), bob, role=Role.VIEWER, extent="ticked", ticked=wanted) == 303
    assert membership_of(bob).granted == set(wanted)
    assert membership_of(bob).is_customised


def test_ticks_that_would_be_ignored_are_asked_about(alice: User, bob: User, client_of: ClientOf) -> None:
    assert change(client_of(alice), bob, role=Role.MEMBER, ticked=["servers.trust_server"]) == 422
    assert "servers.trust_server" not in membership_of(bob)


def test_an_unknown_permission_is_refused(alice: User, bob: User, client_of: ClientOf) -> None:
    assert change(client_of(alice), bob, role=Role.MEMBER, extent="ticked", ticked=["auth.add_user"]) == 422


def test_permissions_work_and_end_at_once(alice: User, bob: User, client_of: ClientOf) -> None:
    browser = client_of(bob)
    assert browser.get("/acme/settings/registries/").status_code == 200
    change(client_of(alice), bob, role=Role.VIEWER, extent="ticked", ticked=["organisations.view_membership"])
    assert browser.get("/acme/settings/registries/").status_code == 403
    remove(client_of(alice), bob)
    assert browser.get("/acme/settings/members/").status_code == 404


def test_nobody_makes_themself_more_than_they_are(bob: User, client_of: ClientOf) -> None:
    allow(bob, "organisations.view_membership", "organisations.change_membership")
    browser = client_of(bob)
    assert change(browser, bob, role=Role.ADMIN) == 422
    assert change(browser, bob, role=Role.OWNER) == 422
    assert change(browser, bob, role=Role.MEMBER, extent="ticked", ticked=["registries.delete_registry"]) == 422
    assert membership_of(bob).granted == {"organisations.view_membership", "organisations.change_membership"}


def test_nobody_gives_others_what_they_do_not_have(bob: User, organisation: Organisation, client_of: ClientOf) -> None:
    erin = join(organisation, "erin", Role.VIEWER)
    allow(bob, "organisations.view_membership", "organisations.change_membership", "registries.delete_registry")
    browser = client_of(bob)
    assert change(browser, erin, role=Role.ADMIN) == 422
    ticks = sorted(permissions.READ_ONLY | {"servers.delete_server"})
    assert change(browser, erin, role=Role.VIEWER, extent="ticked", ticked=ticks) == 422
    ticks = sorted(permissions.READ_ONLY | {"registries.delete_registry"})
    assert change(browser, erin, role=Role.VIEWER, extent="ticked", ticked=ticks) == 303
    assert "registries.delete_registry" in membership_of(erin)


def test_permissions_that_one_does_not_have_stay_when_others_are_ticked(
    bob: User, organisation: Organisation, client_of: ClientOf
) -> None:
    """A browser does not send the boxes that bob cannot tick."""
    erin = join(organisation, "erin", Role.VIEWER)
    allow(erin, "servers.delete_server", "registries.view_registry")
    allow(bob, "organisations.view_membership", "organisations.change_membership", "registries.view_registry")
    assert change(client_of(bob), erin, role=Role.VIEWER, extent="ticked", ticked=[]) == 303
    assert membership_of(erin).granted == {"servers.delete_server"}


def test_an_admin_neither_makes_nor_changes_nor_removes_owners(
    alice: User, bob: User, dora: User, client_of: ClientOf
) -> None:
    browser = client_of(dora)
    assert change(browser, bob, role=Role.OWNER) == 422
    assert change(browser, alice, role=Role.VIEWER) == 422
    assert remove(browser, alice) == 303
    assert membership_of(alice).role == Role.OWNER
    assert membership_of(bob).role == Role.MEMBER


def test_an_owner_makes_and_unmakes_owners(alice: User, bob: User, client_of: ClientOf) -> None:
    browser = client_of(alice)
    assert change(browser, bob, role=Role.OWNER) == 303
    assert membership_of(bob).granted == permissions.ALL
    assert change(browser, bob, role=Role.VIEWER) == 303


def test_the_last_owner_stays(alice: User, dora: User, client_of: ClientOf) -> None:
    browser = client_of(alice)
    assert change(browser, alice, role=Role.ADMIN) == 422
    page = browser.post(f"{PAGE}{membership_of(alice).pk}/remove/", follow=True)
    assert "alice is the last owner" in page.content.decode()
    assert membership_of(alice).role == Role.OWNER


def test_an_owner_whose_account_is_switched_off_does_not_count(alice: User, organisation: Organisation) -> None:
    erin = join(organisation, "erin", Role.OWNER)
    erin.is_active = False
    erin.save()
    with pytest.raises(members.NotAllowed, match="last owner"):
        members.remove(membership=membership_of(alice), by=membership_of(alice))


def test_of_two_owners_who_demote_each_other_one_stays(alice: User, organisation: Organisation) -> None:
    """Both have read that the other is an owner before either is saved."""
    erin = join(organisation, "erin", Role.OWNER)
    by_alice, by_erin = membership_of(alice), membership_of(erin)
    viewer = permissions.READ_ONLY
    members.change(membership=membership_of(erin), by=by_alice, role=Role.VIEWER, names=viewer)
    with pytest.raises(members.NotAllowed):
        members.change(membership=membership_of(alice), by=by_erin, role=Role.VIEWER, names=viewer)
    assert membership_of(alice).role == Role.OWNER


def test_a_member_may_leave_without_any_permission(alice: User, bob: User, client_of: ClientOf) -> None:
    allow(bob)
    browser = client_of(bob)
    assert "Leave" in browser.get(f"{PAGE}{membership_of(bob).pk}/remove/").content.decode()
    assert remove(browser, bob) == 303
    assert not Membership.objects.filter(user=bob).exists()
    assert User.objects.filter(pk=bob.pk).exists()


def test_who_may_only_look_sees_no_form(bob: User, alice: User, client_of: ClientOf) -> None:
    allow(bob, "organisations.view_membership")
    page = client_of(bob).get(f"{PAGE}{membership_of(alice).pk}/").content.decode()
    assert 'name="role"' not in page
    assert "Delete" in page


def test_the_organisation_is_renamed(alice: User, organisation: Organisation, client_of: ClientOf) -> None:
    browser = client_of(alice)
    answer = browser.post("/acme/settings/organisation/", {"name": "Acme Ltd", "slug": "acme-ltd"})
    assert (answer.status_code, answer["Location"]) == (303, "/acme-ltd/settings/organisation/")
    assert browser.get("/acme/").status_code == 404


@pytest.mark.parametrize("slug", ["admin", "sign-in", "elsewhere", "not a slug", ""])
def test_an_address_that_is_taken_is_refused(alice: User, charlie: User, client_of: ClientOf, slug: str) -> None:
    answer = client_of(alice).post("/acme/settings/organisation/", {"name": "Acme", "slug": slug})
    assert answer.status_code == 422
    assert Organisation.objects.filter(slug="acme").exists()


def test_staff_with_the_permission_makes_an_organisation(alice: User, client_of: ClientOf) -> None:
    alice.is_superuser = True
    alice.save()
    answer = client_of(alice).post("/organisations/new/", {"name": "Beta"})
    assert (answer.status_code, answer["Location"]) == (303, "/beta/")
    assert Membership.objects.get(organisation__slug="beta", user=alice).role == Role.OWNER


def test_a_member_without_permissions_is_told_so(bob: User, client_of: ClientOf) -> None:
    allow(bob)
    page = client_of(bob).get("/acme/")
    assert page.status_code == 200
    assert "You may not see anything here yet" in page.content.decode()
