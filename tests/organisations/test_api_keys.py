"""API keys: what is stored of them, what they may do, and why they stop."""

import datetime as dt
import re

import pytest
from django.utils import timezone

from dokreg import permissions
from organisations import api_keys
from organisations.api_key_models import ApiKey
from organisations.members import NotAllowed
from organisations.models import User
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
    assert api_keys.keys_of(membership_of(bob)) == [own]
    assert set(api_keys.keys_of(allow(bob, *permissions.ALL))) == {theirs, own}
