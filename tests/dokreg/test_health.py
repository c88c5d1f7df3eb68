"""What /healthz says of each part of the installation, and that it names no address."""

import datetime as dt
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from dokreg import health
from dokreg.celery import app
from dokreg.models import Heartbeat
from organisations.models import User
from tests.people import ClientOf

pytestmark = pytest.mark.django_db
LOST = health.ALIVE_WITHIN + dt.timedelta(seconds=15)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that answers."""
    monkeypatch.setattr(health, "_broker", lambda: health.Finding("broker"))


@pytest.fixture
def hearts() -> None:
    """A worker and beat that were seen a moment ago."""
    seen("worker one@host")
    seen("beat")


@pytest.fixture
def closed_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port on which nobody listens, as the broker's."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = int(bound.getsockname()[1])
        monkeypatch.setattr(app.conf, "broker_url", f"redis://:hunter2@127.0.0.1:{port}/0")
        yield port


def seen(name: str, *, before: dt.timedelta = dt.timedelta()) -> None:
    Heartbeat.objects.update_or_create(name=name, defaults={"at": timezone.now() - before})


def problems() -> dict[str, str]:
    return {finding.part: finding.problem for finding in health.examine() if finding.problem}


def answer(client: Client) -> tuple[int, dict[str, Any]]:
    response = client.get("/healthz")
    return response.status_code, response.json()


@pytest.mark.usefixtures("broker", "hearts")
def test_all_is_well(client: Client) -> None:
    assert problems() == {}
    checks = dict.fromkeys(("database", "broker", "worker", "beat"), "ok")
    assert answer(client) == (200, {"status": "ok", "checks": checks})


@pytest.mark.usefixtures("broker", "hearts")
def test_a_database_that_is_away_leaves_the_rest_unknown(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError('connection to "db.internal.example" (192.0.2.7), port 5432 failed: hunter2')

    monkeypatch.setattr(connection, "cursor", away)
    unknown = "not known without the database"
    expected = {"database": "The database does not answer.", "worker": unknown, "beat": unknown}
    assert problems() == expected
    status, body = answer(client)
    assert (status, body) == (503, {"status": "error", "checks": expected | {"broker": "ok"}})


@pytest.mark.usefixtures("hearts")
def test_a_broker_that_is_away_is_said_without_its_address(client: Client, closed_port: int) -> None:
    assert list(problems()) == ["broker"]
    status, body = answer(client)
    assert (status, body["status"]) == (503, "error")
    assert body["checks"]["broker"].startswith("The broker does not answer")
    for private in ("127.0.0.1", str(closed_port), "hunter2", "redis://"):
        assert private not in str(body)


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize(
    ("part", "name", "other", "words"),
    [
        ("worker", "worker one@host.internal", "beat", "No worker has been seen"),
        ("beat", "beat", "worker one@host.internal", "Beat has not been seen"),
    ],
)
def test_a_heart_that_never_beat_or_has_stopped(client: Client, part: str, name: str, other: str, words: str) -> None:
    seen(other)
    assert problems()[part].startswith(f"{words} in the last 24 h: ")
    seen(name, before=LOST)
    assert problems()[part].startswith(f"{words} for 60 s: ")
    status, body = answer(client)
    assert (status, list(problems())) == (503, [part])
    assert words in body["checks"][part]
    assert "host.internal" not in str(body)
    seen(name)
    assert answer(client)[0] == 200


@pytest.mark.usefixtures("broker")
def test_one_living_worker_is_enough() -> None:
    seen("beat")
    seen("worker old@host", before=LOST)
    seen("worker new@host")
    assert problems() == {}


def test_a_heartbeat_is_noted_and_the_long_forgotten_are_removed() -> None:
    seen("worker gone@host", before=health.FORGOTTEN_AFTER + dt.timedelta(seconds=1))
    health.beat("beat")
    health.beat("beat")
    assert [heart.name for heart in Heartbeat.objects.all()] == ["beat"]


def test_a_heartbeat_without_a_database_is_only_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(**_: object) -> None:
        raise OperationalError("192.0.2.7: hunter2")

    monkeypatch.setattr(Heartbeat.objects, "update_or_create", away)
    health.beat("beat")
    assert "could not be written: OperationalError" in caplog.text
    assert "hunter2" not in caplog.text


def test_the_database_can_be_asked_for_alone(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "examine", None)
    response = client.get("/healthz?only=database")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "checks": {"database": "ok"}})


@pytest.mark.usefixtures("broker", "hearts")
def test_only_reading_is_allowed(client: Client) -> None:
    assert client.post("/healthz").status_code == 405


# The same on every page


@pytest.fixture
def old_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web process that has been up for long enough to have seen the others."""
    monkeypatch.setattr(health, "STARTED_AT", timezone.now() - LOST)


def page_of(client: Client) -> str:
    return client.get("/acme/settings/registries/").content.decode()


@pytest.mark.usefixtures("old_process")
@pytest.mark.parametrize(
    ("name", "other", "words"),
    [
        ("worker one@host.internal", "beat", "No worker has been seen for 3 min: tests, logins"),
        ("beat", "worker one@host.internal", "Beat has not been seen for 3 min: tokens are not refreshed"),
    ],
)
def test_every_page_says_what_stands_still(bob: User, client_of: ClientOf, name: str, other: str, words: str) -> None:
    seen(other)
    seen(name, before=dt.timedelta(minutes=3))
    page = page_of(client_of(bob))
    assert page.count(words) == 1
    assert "host.internal" not in page
    assert "/doctor/" not in page  # somebody else has to mend it
    seen(name)
    assert 'role="alert"' not in page_of(client_of(bob))


@pytest.mark.usefixtures("old_process")
def test_who_can_mend_it_is_led_to_the_details(alice: User, client_of: ClientOf) -> None:
    assert "/doctor/" not in page_of(client_of(alice))
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    assert "No worker has been seen in the last 24 h: tests, logins" in page_of(client_of(alice))
    assert 'role="alert"' in page_of(client_of(alice))
    assert '<a href="/doctor/">What is wrong</a>' in page_of(client_of(alice))


def test_a_process_that_has_just_started_waits_for_the_others(alice: User, client_of: ClientOf) -> None:
    seen("beat", before=dt.timedelta(hours=8))
    assert 'role="alert"' not in page_of(client_of(alice))


@pytest.mark.usefixtures("old_process", "hearts")
def test_it_costs_a_page_one_query(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert health.standstill() == ""


@pytest.mark.usefixtures("old_process")
def test_strangers_are_told_nothing(client: Client) -> None:
    assert "has been seen" not in client.get("/sign-in/").content.decode()
