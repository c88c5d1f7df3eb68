"""Clients of the API: Alice owns the organisation."""

from collections.abc import Iterator

import pytest

from applications.api import applications
from organisations import throttle
from organisations.api import ORGANISATION_ID
from organisations.models import Organisation, User
from registries import proving
from servers import api as servers
from servers import docker
from tests.api.calling import Api, key_of
from tests.api.documented import make_things
from tests.api.verdicts import Verdicts


@pytest.fixture(autouse=True)
def _counts_begin_anew() -> Iterator[None]:
    throttle.forget()
    yield
    throttle.forget()


@pytest.fixture
def api(alice: User) -> Api:
    return Api(key_of(alice))


@pytest.fixture
def organisation(db: None) -> Organisation:
    """The one that the examples of the API's document name."""
    return Organisation.objects.create(id=ORGANISATION_ID, name="Acme", slug="acme")


@pytest.fixture
def documented(organisation: Organisation, alice: User) -> None:
    """Every other thing that they name, made by Alice."""
    make_things(organisation, alice)


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> Verdicts:
    """Whatever is waited for is over at once."""
    return Verdicts(monkeypatch)


@pytest.fixture
def no_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker comes, and nobody waits for one as long as they would otherwise."""
    monkeypatch.setattr(docker, "own_host_has_docker", lambda: True)
    monkeypatch.setattr(proving, "DEADLINE_SECONDS", 0.001)
    monkeypatch.setattr(servers, "DEADLINE_SECONDS", 0.001)
    monkeypatch.setattr(applications, "REMOVED_WITHIN_SECONDS", 0.001)
