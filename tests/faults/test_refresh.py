"""Tokens are refreshed through every trouble: nothing is lost, nothing minted twice, and the page says what is true."""

import contextlib
import json
import time
from collections.abc import Iterator

import pytest

from tests.faults.minting import DISPATCH, SWEEP, Count, Registries
from tests.lab.aws import Aws
from tests.lab.impostors import Answer, HttpImpostor
from tests.owner import Owner
from tests.running import Running, moment, running

SECOND_WORKER = ("worker", "--pool", "threads", "--queues", "default", "--hostname", "second@lab", "--without-mingle")
UNDER_WAY = "SELECT id FROM registries_tokenrefresh WHERE state IN ('queued', 'running')"
UNSENT = "SELECT id FROM organisations_delivery WHERE state != 'sent'"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Aws]:
    with Aws() as started:
        yield started


@pytest.fixture(scope="module")
def dokreg(tmp_path_factory: pytest.TempPathFactory, cloud: Aws) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("refresh") / "data", DOKREG_AWS_ENDPOINT_URL=cloud.url) as started:
        started.wait_until_healthy()
        yield started


@pytest.fixture(scope="module")
def owner(dokreg: Running) -> Owner:
    return Owner(dokreg)


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize(
    ("name", "trouble", "given", "words"),
    [
        ("ERROR", {"answers_500": True}, 0, "AWS answers with an error of its own."),
        ("BUSY", {"throttles": True}, 0, "AWS turns requests away for a while"),
        ("ENDED", {"gives_expired_tokens": True}, 1, "has ended already"),
        ("EARLY", {"clock_offset": 600}, 0, "is 10 min slow"),
        ("LATE", {"clock_offset": -600}, 0, "is 10 min fast"),
    ],
)
def test_a_cloud_in_trouble_keeps_the_old_token_and_recovers(
    dokreg: Running, cloud: Aws, owner: Owner, name: str, trouble: dict[str, object], given: int, words: str
) -> None:
    registry = Registries.add(dokreg, cloud, name)
    dokreg.send(DISPATCH)
    registry.wait_until_done()
    old = registry.column("token")
    with cloud.having(**trouble):
        registry.let_be_due()
        dokreg.wait_for(lambda: registry.column("refresh_failures") == [1], "the refresh to fail")
        page = owner.get(registry.page)
        assert words in page.text
        assert "Next try" in page.text
        assert registry.column("token") == old
        assert registry.column(f"refresh_due_at > {moment()}") == [1]
    registry.let_be_due()
    registry.wait_until_done()
    assert registry.column("token") != old
    assert words not in owner.get(registry.page).match(r'(?s)id="token"(.*?)<details')
    assert registry.states == ["passed", "failed", "passed"]
    assert registry.count(needed=2 + given) == Count(asked=1, done=1, lost=0, doubled=0)


def test_a_worker_killed_between_minting_and_saving_is_found_and_one_more_token_is_minted(
    dokreg: Running, cloud: Aws, owner: Owner
) -> None:
    registry = Registries.add(dokreg, cloud, "KILLED")
    dokreg.send(DISPATCH)
    registry.wait_until_done()
    with cloud.having(holds_back=True):
        registry.let_be_due()
        dokreg.wait_for(lambda: registry.mints == 2, "the cloud to have minted")
        worker = dokreg.service("celery")
        worker.kill()
        worker.wait(30)
    dokreg.wait_for(lambda: "lost" in registry.states, "the sweep to notice")
    registry.wait_until_done()
    assert registry.states == ["passed", "lost", "passed"]
    assert "Lost" in owner.get(registry.page).match(r'(?s)id="token"(.*?)</section')
    (token,) = registry.tokens()
    assert cloud.is_alive(token)
    # The token that nobody could save was given as well.
    assert registry.count(needed=3) == Count(asked=1, done=1, lost=0, doubled=0)


@pytest.mark.usefixtures("owner")
def test_two_beats_and_two_workers_mint_everything_once(dokreg: Running, cloud: Aws) -> None:
    registries = Registries.add(dokreg, cloud, "TWICE", 50, due_in=3600)
    rounds = 0
    with dokreg.beside("beat"), dokreg.beside(*SECOND_WORKER):
        wait_for_second_worker(dokreg)
        while len(registries.workers) < 2 and rounds < 5:  # on a busy machine one of them may be the quicker every time
            rounds += 1
            with cloud.having(delay=0.25):  # together they take longer than a worker keeps its place
                refresh_all_with_messages_that_come_twice(registries)
        assert len(registries.workers) == 2
    assert registries.states == ["passed"] * 50 * rounds
    assert max(cloud.mints[key] for key in registries.keys) == rounds
    assert registries.count(needed=rounds) == Count(asked=50, done=50, lost=0, doubled=0)


def refresh_all_with_messages_that_come_twice(registries: Registries) -> None:
    """A broker that was away brings a message twice: what is under way is sent again and again."""
    dokreg = registries.dokreg
    registries.set(f"refresh_due_at = {moment()}")
    for _ in range(8):
        dokreg.send(DISPATCH)
        dokreg.send(SWEEP)
    end = time.monotonic() + 60
    while registries.done < 50 and time.monotonic() < end:
        under_way = dokreg.column(UNDER_WAY)
        assert len(under_way) <= 4  # the default of DOKREG_REFRESHES_AT_ONCE
        for refresh in under_way:
            dokreg.send("registries.tasks.refresh_token", refresh)
    registries.wait_until_done()


def test_people_are_told_once_each_time_something_changes(dokreg: Running, cloud: Aws, owner: Owner) -> None:
    registry = Registries.add(dokreg, cloud, "TOLD")
    dokreg.send(DISPATCH)
    registry.wait_until_done()
    with receiving(owner) as receiver:
        with cloud.having(answers_500=True):
            for failures in range(1, 7):
                registry.let_be_due()
                dokreg.wait_for(lambda wanted=failures: registry.column("refresh_failures") == [wanted], "a failure")
            registry.set(f"token_expires_at = {moment(seconds_ago=3600)}")
            for _ in range(3):
                dokreg.send(DISPATCH)
            dokreg.wait_for(lambda: len(receiver.requests) == 2, "people to be told of the end")
            assert "expired" in owner.get(registry.page).text
        registry.let_be_due()
        registry.wait_until_done()
        dokreg.wait_for(lambda: len(receiver.requests) == 3, "people to be told that it is over")
        for _ in range(3):
            dokreg.send(DISPATCH)
        dokreg.wait_for(lambda: not dokreg.column(UNSENT), "everything to be sent")
    titles = [json.loads(request.body)["title"] for request in receiver.requests]
    assert titles == [
        "TOLD 00000: no new token",
        "TOLD 00000: the token has expired",
        "TOLD 00000 has a fresh token again.",
    ]
    assert registry.states == ["passed", *["failed"] * 6, "passed"]
    assert registry.count(needed=2) == Count(asked=1, done=1, lost=0, doubled=0)


@contextlib.contextmanager
def receiving(owner: Owner) -> Iterator[HttpImpostor]:
    """A service that is notified while the block runs."""
    with HttpImpostor(lambda _: Answer(200)) as receiver:
        owner.get("/acme/settings/notifications/add/")
        added = owner.post(
            "/acme/settings/notifications/add/",
            name="On-call", how="apprise", address=f"json://{receiver.host}/", enabled="on",
        )  # fmt: skip
        assert "On-call" in added.text
        yield receiver


def test_without_beat_every_page_says_what_stands_still(dokreg: Running, owner: Owner) -> None:
    page = "/acme/settings/registries/"
    with dokreg.beside(*SECOND_WORKER):
        wait_for_second_worker(dokreg)
        worker = dokreg.service("celery")
        worker.suspend()  # and beat with it, which is a thread there
        try:
            dokreg.change(f"UPDATE dokreg_heartbeat SET at = {moment(seconds_ago=180)} WHERE name LIKE 'beat%'")
            status, body = dokreg.health()
            assert status == 503
            assert "Beat has not been seen for 3 min" in str(body["checks"])
            dokreg.wait_for(lambda: "Beat has not been seen for 3 min" in owner.get(page).text, "the page to say so")
            assert "No worker" not in owner.get(page).text
        finally:
            worker.resume()
    dokreg.wait_until_healthy()
    assert "has not been seen" not in owner.get(page).text


def wait_for_second_worker(dokreg: Running) -> None:
    dokreg.wait_for(lambda: dokreg.takes_tasks("second@lab"), "the second worker")
