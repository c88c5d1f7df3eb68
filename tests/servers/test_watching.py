"""Waiting for news of a run."""

import datetime as dt
import threading
import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from organisations.models import Organisation
from servers.models import Run, ServerTest
from servers.watching import wait_for_change
from tests.patience import SOON
from tests.servers.rows import make_server, make_test


def test_news_that_are_there_are_not_waited_for(organisation: Organisation) -> None:
    test = make_test(make_server(organisation), Run.State.RUNNING, revision=2)
    began = time.monotonic()
    wait_for_change(test, 1, 60)
    assert time.monotonic() - began < SOON


def test_a_run_that_is_over_is_not_waited_for(organisation: Organisation) -> None:
    test = make_test(make_server(organisation), revision=2)
    began = time.monotonic()
    wait_for_change(test, 2, 60)
    assert time.monotonic() - began < SOON


def test_without_news_it_answers_when_the_time_is_up(organisation: Organisation) -> None:
    test = make_test(make_server(organisation), Run.State.RUNNING, revision=2)
    began = time.monotonic()
    assert wait_for_change(test, 2, 0.2).revision == 2
    assert 0.2 <= time.monotonic() - began < SOON


def test_a_run_that_is_deleted_meanwhile_is_answered_as_it_was(organisation: Organisation) -> None:
    test = make_test(make_server(organisation), Run.State.RUNNING, revision=2)
    ServerTest.objects.filter(pk=test.pk).delete()
    assert wait_for_change(test, 2, 0.1).revision == 2


@pytest.mark.django_db(transaction=True)
def test_news_end_the_waiting_at_once(organisation: Organisation) -> None:
    test = make_test(make_server(organisation), Run.State.RUNNING, revision=2)

    def worker() -> None:
        time.sleep(0.2)
        ServerTest.objects.filter(pk=test.pk).update(state=Run.State.FAILED, revision=3)
        connection.close()

    thread = threading.Thread(target=worker)
    thread.start()
    began = time.monotonic()
    news = wait_for_change(test, 2, 60)
    thread.join()
    assert (news.state, news.revision) == (Run.State.FAILED, 3)
    assert time.monotonic() - began < SOON


def test_what_goes_on_for_long_is_looked_at_rarely(organisation: Organisation) -> None:
    """Each page that watches one asks again and again."""
    began = timezone.now() - dt.timedelta(minutes=1)
    test = make_test(make_server(organisation), Run.State.RUNNING, revision=2, started_at=began)
    with CaptureQueriesContext(connection) as asked:
        wait_for_change(test, 2, 1)
    assert len(asked) < 8
