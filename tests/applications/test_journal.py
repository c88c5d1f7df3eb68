"""What a deployment writes while it runs."""

import pytest
from django.utils import timezone

from applications import journal as journals
from applications.container import recognisable
from applications.journal import CancelAsked, Journal, TakenAway
from applications.models import Application, Deployment
from organisations.models import Organisation
from servers import runs
from tests.applications.rows import make_application
from tests.servers.rows import make_server


@pytest.fixture
def deployment(organisation: Organisation) -> Deployment:
    """One that this worker has in hand."""
    application: Application = make_application(
        organisation, server=make_server(organisation), registry=None, image="nginx"
    )
    row = Deployment.objects.create(organisation=organisation, application=application)
    claimed = runs.claim(Deployment, row.pk)
    assert claimed
    return claimed


@pytest.fixture
def journal(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setattr(journals, "SECONDS_BETWEEN_WRITES", 0)
    return Journal(deployment)


def test_a_secret_is_taken_out_of_every_line(journal: Journal, deployment: Deployment) -> None:
    journal.hide("s3cret-of-the-registry")
    for value in recognisable({"TOKEN": "value-of-the-token", "DEBUG": "on"}):
        journal.hide(value)
    journal.say("it said s3cret-of-the-registry and value-of-the-token, which is on")
    deployment.refresh_from_db()
    assert deployment.log.endswith("it said ******** and ********, which is on\n")


def test_the_log_is_bounded_and_says_so(journal: Journal, deployment: Deployment) -> None:
    for _ in range(200):
        journal.say("x" * 1500)
    journal.say("never seen")
    deployment.refresh_from_db()
    assert len(deployment.log) <= journals.LOG_LIMIT + len(journals.CUT)
    assert deployment.log.endswith(journals.CUT)


def test_a_long_line_is_cut(journal: Journal, deployment: Deployment) -> None:
    journal.say("y" * 100_000)
    deployment.refresh_from_db()
    assert len(deployment.log) < journals.LINE_LIMIT + 20


def test_it_does_not_write_more_often_than_a_page_can_show(
    deployment: Deployment, django_assert_num_queries: object
) -> None:
    journal = Journal(deployment)
    with django_assert_num_queries(0):  # type: ignore[operator]
        journal.say("one")
        journal.progress({"layers": 1})
    journal.write()
    deployment.refresh_from_db()
    assert (deployment.log[9:], deployment.progress) == ("one\n", {"layers": 1})


def test_a_cancelled_one_learns_it_at_the_next_beat(journal: Journal, deployment: Deployment) -> None:
    journal.beat()
    Deployment.objects.update(cancel_asked_at=timezone.now())
    with pytest.raises(CancelAsked):
        journal.beat()
    journal.is_shielded = True
    journal.beat()


def test_one_that_was_swept_as_lost_goes_no_further(journal: Journal, deployment: Deployment) -> None:
    Deployment.objects.update(state=Deployment.State.LOST)
    journal.say("from the grave")
    with pytest.raises(TakenAway):
        journal.beat()
    with pytest.raises(TakenAway):
        journal.note(digest="sha256:0")
    deployment.refresh_from_db()
    assert (deployment.log, deployment.digest) == ("", "")
