"""API keys: what is stored of them, what they may do, and why they stop."""

import datetime as dt
import re

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from dokreg import permissions
from dokreg.ids import new_id
from organisations import api_keys
from organisations.api_key_models import ApiKey
from organisations.members import NotAllowed
from organisations.models import Membership, User
from tests.people import allow, membership_of

READ = "registries.view_registry"
ADD = "registries.add_registry"


def test_a_key_has_64_letters_and_only_its_hash_is_stored(alice: User) -> None:
    key, text = api_keys.make(membership=membership_of(alice), name="CI")
    assert re.fullmatch("[a-zA-Z]{64}", text)
    assert key.start == text[:6]
    assert text not in str(list(ApiKey.objects.filter(pk=key.pk).values()))
    assert api_keys.find(text) == key


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: text + "a", str.swapcase, lambda text: ""])
def test_nothing_but_the_key_itself_finds_it(alice: User, change: "object") -> None:
    _key, text = api_keys.make(membership=membership_of(alice), name="CI")
    assert callable(change)
    assert api_keys.find(change(text)) is None


def test_it_may_do_what_its_member_may_at_that_moment(bob: User) -> None:
    _key, text = api_keys.make(membership=membership_of(bob), name="CI")
    allow(bob, READ)
    found = api_keys.find(text)
    assert found is not None
    assert found.granted == {READ}


def test_limits_narrow_it_and_never_widen_it(bob: User) -> None:
    allow(bob, READ, ADD)
    _key, text = api_keys.make(membership=membership_of(bob), name="CI", limits=frozenset({READ}))
    allow(bob, ADD)
    found = api_keys.find(text)
    assert found is not None
    assert found.granted == frozenset()


def test_nobody_gives_a_key_what_they_do_not_have(bob: User) -> None:
    allow(bob, READ)
    with pytest.raises(NotAllowed, match="You may not: Registries: Add"):
        api_keys.make(membership=membership_of(bob), name="CI", limits=frozenset({READ, ADD}))


def test_a_key_made_with_a_key_goes_no_further(alice: User) -> None:
    soon = timezone.now() + dt.timedelta(hours=1)
    narrow, _text = api_keys.make(
        membership=membership_of(alice), name="narrow", limits=frozenset({READ}), expires_at=soon
    )
    made, _text = api_keys.make(membership=membership_of(alice), name="made", by=narrow)
    assert made.limits == {READ}
    assert made.expires_at == soon
    with pytest.raises(NotAllowed):
        api_keys.make(membership=membership_of(alice), name="wider", limits=frozenset({ADD}), by=narrow)


def test_why_a_key_does_not_work(alice: User) -> None:
    key, _text = api_keys.make(membership=membership_of(alice), name="CI")
    assert api_keys.refusal_of(key) == ""
    key.expires_at = timezone.now() - dt.timedelta(seconds=1)
    assert "expired on" in api_keys.refusal_of(key)
    key.membership.user.is_active = False
    key.expires_at = None
    assert api_keys.refusal_of(key) == "The account of alice is switched off."
    api_keys.revoke(key)
    assert "was revoked on" in api_keys.refusal_of(key)


def test_a_key_ends_with_its_membership(bob: User) -> None:
    _key, text = api_keys.make(membership=membership_of(bob), name="CI")
    membership_of(bob).delete()
    assert api_keys.find(text) is None


def test_its_last_use_is_noted_once_a_minute(alice: User) -> None:
    key, _text = api_keys.make(membership=membership_of(alice), name="CI")
    api_keys.note_use(key, address="192.0.2.1")
    key.refresh_from_db()
    first = key.last_used_at
    api_keys.note_use(key, address="192.0.2.2")
    key.refresh_from_db()
    assert (key.last_used_at, key.last_used_from) == (first, "192.0.2.1")


def test_colleagues_see_other_keys_only_with_the_permission(alice: User, bob: User) -> None:
    theirs, _text = api_keys.make(membership=membership_of(alice), name="hers")
    own, _text = api_keys.make(membership=membership_of(bob), name="his")
    assert list(api_keys.keys_of(membership_of(bob))) == [own]
    assert set(api_keys.keys_of(allow(bob, *permissions.ALL))) == {theirs, own}


@pytest.mark.parametrize("away", [dt.timedelta(0), dt.timedelta(seconds=-1), dt.timedelta(days=-400)])
def test_a_key_that_would_never_work_is_not_made(alice: User, away: dt.timedelta) -> None:
    with pytest.raises(NotAllowed, match="later than now"):
        api_keys.make(membership=membership_of(alice), name="CI", expires_at=timezone.now() + away)


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_a_key_has_a_name(alice: User, name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        api_keys.make(membership=membership_of(alice), name=name)
    assert set(refused.value.message_dict) == {"name"}


def test_a_member_has_fifty_active_keys_at_most(alice: User, bob: User) -> None:
    for _ in range(api_keys.MOST_ACTIVE):
        key, _text = api_keys.make(membership=membership_of(bob), name="CI")
    with pytest.raises(NotAllowed, match="bob has 50 active API keys"):
        api_keys.make(membership=membership_of(bob), name="one too many")
    api_keys.make(membership=membership_of(alice), name="somebody else's")
    api_keys.revoke(key)
    key, _text = api_keys.make(membership=membership_of(bob), name="in its place")
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())
    api_keys.make(membership=membership_of(bob), name="in the place of the expired one")


def test_who_has_left_gets_no_key(bob: User) -> None:
    membership = membership_of(bob)
    Membership.objects.all().delete()
    with pytest.raises(NotAllowed, match="no member any more"):
        api_keys.make(membership=membership, name="CI")


def test_of_one_id_there_is_one_key(alice: User) -> None:
    key, text = api_keys.make(membership=membership_of(alice), name="CI", key_id=new_id())
    with pytest.raises(api_keys.AlreadyMade):
        api_keys.make(membership=membership_of(alice), name="again", key_id=key.pk)
    assert api_keys.find(text) == ApiKey.objects.get()


def test_a_key_is_revoked_once(alice: User, bob: User) -> None:
    key, _text = api_keys.make(membership=membership_of(bob), name="CI")
    stale = ApiKey.objects.get(pk=key.pk)
    assert api_keys.revoke(key, by=alice)
    first = key.revoked_at
    assert not api_keys.revoke(stale, by=bob)
    assert (stale.revoked_at, stale.revoked_by) == (first, alice)
    assert stale.is_revoked_by_another


def test_the_keys_that_work_come_first(alice: User) -> None:
    made = {name: api_keys.make(membership=membership_of(alice), name=name)[0] for name in "abcd"}
    api_keys.revoke(made["d"])
    ApiKey.objects.filter(name="c").update(expires_at=timezone.now())
    assert [key.name for key in api_keys.keys_of(membership_of(alice))] == ["b", "a", "d", "c"]


@pytest.mark.parametrize(
    ("change", "chip", "word"),
    [
        ({}, "passed", "Active"),
        ({"expires_at": dt.timedelta(days=8)}, "passed", "Active"),
        ({"expires_at": dt.timedelta(days=7)}, "warning", "Expires soon"),
        ({"expires_at": dt.timedelta(0)}, "expired", "Expired"),
        ({"revoked_at": dt.timedelta(0)}, "cancelled", "Revoked"),
        ({"revoked_at": dt.timedelta(0), "expires_at": dt.timedelta(0)}, "cancelled", "Revoked"),
    ],
)
def test_its_state_in_a_word(change: dict[str, dt.timedelta], chip: str, word: str) -> None:
    key = ApiKey(**{name: timezone.now() + away for name, away in change.items()})
    assert (key.chip, key.word) == (chip, word)
