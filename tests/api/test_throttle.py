"""Too many requests of a key, and too many wrong keys from an address."""

import time_machine
from pytest_django import Settings

from organisations import throttle
from organisations.models import User
from tests.api.calling import Api, key_of

NOON = "2026-06-01T12:00:00Z"


def test_a_key_that_asks_too_often_is_told_when_to_ask_again(alice: User, settings: Settings) -> None:
    settings.DOKREG_API_REQUESTS_PER_MINUTE = 3
    with time_machine.travel(NOON, tick=False) as clock:
        busy, other = Api(key_of(alice)), Api(key_of(alice))
        assert [busy.get("registry.all").status for _ in range(4)] == [200, 200, 200, 429]
        clock.shift(20)
        refused = busy.get("registry.all")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "40")
        assert refused.value["code"] == "TOO_MANY_REQUESTS"
        assert other.get("registry.all").status == 200
        clock.shift(40)
        assert busy.get("registry.all").status == 200


def test_an_address_that_tries_wrong_keys_is_stopped_right_ones_too(api: Api) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        for _ in range(throttle.REFUSED_PER_ADDRESS):
            assert Api("wrong").get("registry.all").status == 401
        assert Api("wrong").get("registry.all").status == 429
        assert api.get("registry.all").status == 429
        clock.shift(60)
        assert api.get("registry.all").status == 200


def test_many_addresses_fill_no_memory() -> None:
    counter = throttle.Counter()
    for number in range(throttle.MOST_COUNTED + 10):
        counter.add(str(number))
    assert len(counter._counts) == throttle.MOST_COUNTED
