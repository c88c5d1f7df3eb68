"""Waiting for the end of a run: in time, not for ever, and not by too many at once."""

import time

import pytest
from django.utils import timezone

from organisations.models import Organisation, User
from servers import watching
from servers.models import ServerTest
from servers.watching import TooManyWait, wait_until, wait_until_over
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
    def one_more(depth: int) -> bool:
        """Wait while so many wait already."""
        return wait_until(lambda: depth == 0 or one_more(depth - 1), seconds=0)

    assert one_more(watching.MOST_WAITING - 1) is True
    with pytest.raises(TooManyWait):
        one_more(watching.MOST_WAITING)
    assert one_more(watching.MOST_WAITING - 1) is True  # those who gave up have left
