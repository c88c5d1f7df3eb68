"""The people of the tests: Alice owns the organisation, Bob is a member of it, Charlie is a stranger."""

from collections.abc import Callable

import pytest
from django.test import Client

from organisations.models import Membership, Organisation, Role, User

PASSWORD = "correct horse battery staple"
ClientOf = Callable[[User], Client]


@pytest.fixture
def organisation(db: None) -> Organisation:
    return Organisation.objects.create(name="Acme", slug="acme")


@pytest.fixture
def alice(organisation: Organisation) -> User:
    return join(organisation, "alice", Role.OWNER)


@pytest.fixture
def bob(organisation: Organisation) -> User:
    return join(organisation, "bob", Role.MEMBER)


@pytest.fixture
def charlie(db: None) -> User:
    """Owns another organisation, so that being an owner somewhere gives nothing elsewhere."""
    return join(Organisation.objects.create(name="Elsewhere", slug="elsewhere"), "charlie", Role.OWNER)


@pytest.fixture
def client_of() -> ClientOf:
    """Makes a browser in which a person is signed in."""

    def make(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return make


def person(username: str) -> User:
    """Somebody with an account, and nothing else."""
    return User.objects.create_user(username, f"{username}@example.com", PASSWORD)


def join(organisation: Organisation, username: str, role: str) -> User:
    """A new person who is a member of the organisation."""
    user = person(username)
    Membership.objects.create(organisation=organisation, user=user, role=role)
    return user


def membership_of(user: User) -> Membership:
    """The person's only membership, as it is now."""
    return Membership.objects.select_related("organisation", "user").get(user=user)


def allow(user: User, *names: str) -> Membership:
    """Give a member exactly these permissions."""
    membership = membership_of(user)
    membership.set_permissions(Role.MEMBER, frozenset(names))
    membership.save()
    return membership
