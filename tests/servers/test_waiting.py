"""Waiting for the end of a run: in time, not for ever, and not by too many at once."""

import contextlib
import time

import pytest
from django.utils import timezone

from organisations.models import Organisation, User
from servers import watching
from servers.models import ServerTest
from servers.watching import TooManyWait, place, wait_until, wait_until_over
from tests.servers.rows import make_key, make_server


@pytest.fixture
def run(organisation: Organisation, alice: User) -> ServerTest:
    server = make_server(organisation, "web-1", ssh_key=make_key(organisation))
    return ServerTest.objects.create(organisation=organisation, server=server, state="running", asked_by=alice)


def test_a_run_that_is_over_is_not_waited_for(run: ServerTest) -> None:
    end = timezone.now()
    ServerTest.objects.filter(pk=run.pk).update(state="failed", verdict="ssh_timeout", finished_at=end)
    assert wait_until_over(run, seconds=0) is True
    assert (run.state, run.verdict, run.finished_at) == ("failed", "ssh_timeout", end)


def test_one_that_does_not_end_is_given_up(run: ServerTest) -> None:
    since = time.monotonic()
    assert wait_until_over(run, seconds=0.1) is False
    assert time.monotonic() - since >= 0.1
    assert run.state == "running"


def test_a_row_that_is_gone_is_over(run: ServerTest) -> None:
    ServerTest.objects.all().delete()
    assert wait_until_over(run, seconds=0) is True


def test_no_more_wait_than_can_be_spared() -> None:
    others = [f"organisation {number}" for number in range(watching.MOST_WAITING)]
    with contextlib.ExitStack() as stack:
        for organisation in others:
            stack.enter_context(place(organisation))
        with pytest.raises(TooManyWait), place("one more"):
            pass
    with place("one more"):  # those who had waited have left
        pass
    assert not watching._places


def test_one_organisation_does_not_take_all_places() -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(watching.MOST_OF_ONE):
            stack.enter_context(place("greedy"))
        with pytest.raises(TooManyWait), place("greedy"):
            pass
        stack.enter_context(place("another"))


def test_something_else_is_waited_for() -> None:
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), seconds=5) is True
