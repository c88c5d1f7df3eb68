"""Too many requests of a key, and too many wrong keys from an address."""

import time_machine
from pytest_django import Settings

from organisations import throttle
from organisations.models import User
from tests.api.calling import Api, key_of
from tests.people import ClientOf

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


def test_an_address_that_tries_wrong_keys_is_stopped_and_shuts_out_no_right_one(api: Api) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        for _ in range(throttle.REFUSED_PER_ADDRESS):
            assert Api("wrong").get("registry.all").status == 401
        refused = Api("wrong").get("registry.all")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
        assert api.get("registry.all").status == 200
        clock.shift(60)
        assert Api("wrong").get("registry.all").status == 401


def test_calls_of_a_batch_count_one_by_one(alice: User, settings: Settings) -> None:
    settings.DOKREG_API_REQUESTS_PER_MINUTE = 3
    with time_machine.travel(NOON, tick=False):
        names = ",".join(["registry.all"] * 5)
        answer = Api(key_of(alice)).send("GET", f"/api/trpc/{names}", {"batch": "1"})
    assert answer.status == 207
    assert ["result" in one for one in answer.value] == [True, True, True, False, False]
    assert answer.headers["Retry-After"] == "60"


def test_a_session_counts_as_well(alice: User, client_of: ClientOf, settings: Settings) -> None:
    settings.DOKREG_API_REQUESTS_PER_MINUTE = 2
    with time_machine.travel(NOON, tick=False):
        session = Api("", client_of(alice))
        assert [session.get("registry.all").status for _ in range(3)] == [200, 200, 429]


def test_addresses_of_one_network_count_together() -> None:
    assert throttle._neighbourhood("2001:db8::1") == throttle._neighbourhood("2001:db8::ffff")
    assert throttle._neighbourhood("2001:db8::1") != throttle._neighbourhood("2001:db8:0:1::1")
    assert throttle._neighbourhood("192.0.2.1") != throttle._neighbourhood("192.0.2.2")


def test_many_addresses_fill_no_memory() -> None:
    counter = throttle.Counter()
    for number in range(throttle.MOST_COUNTED + 10):
        counter.add(str(number))
    assert len(counter._counts) == throttle.MOST_COUNTED
