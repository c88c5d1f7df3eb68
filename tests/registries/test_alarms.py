"""Alarms: what goes wrong is told once, and once more when it is over; what is nobody's concern is not told."""

import datetime as dt
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from organisations.models import Organisation, User
from registries import alarms
from registries.models import Alarm, Registry, TokenRefresh
from servers.models import Server
from tests.lab.aws import Aws
from tests.registries.held import told
from tests.registries.rows import make_registry
from tests.registries.test_tokens import make_ecr, refresh
from tests.servers.rows import make_server

OTHER_KEY = "AKIAIOSFODNN7OTHERKE"
STOPPED, WORKS = "Images stopped working on one", "Images works again."
FAILING, FRESH, EXPIRED = "Images: no new token", "Images has a fresh token again.", "Images: the token has expired"


@pytest.fixture
def images(organisation: Organisation, alice: User) -> Registry:
    return make_registry(organisation, alice)


@pytest.fixture
def one(organisation: Organisation) -> Server:
    return make_server(organisation, "one")


@pytest.fixture
def two(organisation: Organisation) -> Server:
    return make_server(organisation, "two")


@pytest.fixture
def minting(organisation: Organisation, alice: User, aws: Aws) -> Registry:
    """It has its first token."""
    registry = make_ecr(organisation, alice)
    refresh(registry)
    return registry


def open_places() -> list[str]:
    return list(Alarm.objects.filter(cleared_at=None).order_by("place").values_list("place", flat=True))


def in_days(days: int) -> dt.date:
    return timezone.now().date() + dt.timedelta(days=days)


def at_once(*calls: Callable[[], Any]) -> None:
    """Each in a thread and a connection of its own; where the database lets one write at a time, one by one."""
    if connection.vendor == "sqlite":  # which in memory refuses the second one, instead of letting it wait
        for call in calls:
            call()
        return
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> None:
        start.wait()
        call()
        connection.close()

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Tokens


def test_a_token_that_expired_without_a_single_try_is_told(minting: Registry) -> None:
    """Such as when no worker ran for half a day."""
    Registry.objects.update(token_expires_at=timezone.now() - dt.timedelta(seconds=1))
    alarms.watch()
    alarms.watch()
    assert told() == [EXPIRED]
    minting.refresh_from_db()
    refresh(minting, TokenRefresh.Reason.ASKED)
    assert told() == [EXPIRED, FRESH]


def test_a_token_that_comes_while_somebody_looks_is_not_told_as_expired(
    minting: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    Registry.objects.update(token_expires_at=timezone.now() - dt.timedelta(seconds=1))
    lock = alarms._lock

    def come_first(*args: Any) -> bool:
        Registry.objects.update(token_expires_at=timezone.now() + dt.timedelta(hours=12))
        return lock(*args)

    monkeypatch.setattr(alarms, "_lock", come_first)
    alarms.watch()
    assert told() == []


# Logins


@pytest.mark.django_db(transaction=True)
def test_two_servers_that_fail_and_recover_at_the_same_moment_are_told_of_once(
    images: Registry, one: Server, two: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "_tell", slowly(alarms._tell))
    monkeypatch.setattr(alarms, "_close", slowly(alarms._close))
    at_once(
        lambda: alarms.stopped_working(images, "one", "It was refused."),
        lambda: alarms.stopped_working(images, "two", "It was refused."),
    )
    assert (len(told()), open_places()) == (1, ["one", "two"])
    at_once(lambda: alarms.works_again(images, "one"), lambda: alarms.works_again(images, "two"))
    assert (told()[1:], open_places()) == ([WORKS], [])


def slowly(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with time for another connection before the transaction is committed."""

    def call(*args: Any) -> Any:
        answer = function(*args)
        time.sleep(0.3)
        return answer

    return call


# Ends


def test_a_secret_works_until_the_day_on_which_it_ends_is_over(images: Registry) -> None:
    images.secret_ends_on = in_days(0)
    assert not images.is_ended
    assert images.secret_ends_at is not None
    assert images.secret_ends_at.date() == in_days(0)
    images.secret_ends_on = in_days(-1)
    assert images.is_ended
