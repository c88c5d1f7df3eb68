"""Clients of the API: Alice owns the organisation."""

from collections.abc import Iterator

import pytest

from organisations import throttle
from organisations.models import User
from tests.api.calling import Api, key_of


@pytest.fixture(autouse=True)
def _counts_begin_anew() -> Iterator[None]:
    throttle.forget()
    yield
    throttle.forget()


@pytest.fixture
def api(alice: User) -> Api:
    return Api(key_of(alice))
