"""A new digest behind a tag is noticed by itself, and deployed once."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from applications import deploy, polling, tasks
from applications.models import Application, Deployment
from organisations.models import Organisation, User
from organisations.notification_models import Notice
from registries import quotas
from registries.models import Registry
from registries.rate_limits import RateLimit
from servers import draining
from servers.models import Server
from tests.applications.rows import deployed, make_application
from tests.lab.engine import Engine
from tests.lab.registry import BasicRegistry
from tests.lab.web import answer_of, push_web
from tests.people import ClientOf
from tests.registries.rows import make_registry
from tests.servers.rows import make_server

Reason, State = Deployment.Reason, Deployment.State


@pytest.fixture
def image(lab_registry: BasicRegistry, engine_two: Engine, port: int) -> str:
    reference = f"{lab_registry.host}/shop/web:{port}"
    push_web(engine_two, reference, port=port, marker="old")
    return reference


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    for task in (tasks.run_deployment, tasks.see_quota):
        monkeypatch.setattr(task, "delay", lambda _id: None)


@pytest.fixture
def application(organisation: Organisation, server: Server, registry: Registry, image: str) -> Application:
    return make_application(organisation, server=server, registry=registry, image=image, poll_minutes=5)


def test_a_new_digest_is_deployed_once(application: Application, image: str, engine_two: Engine, port: int) -> None:
    deployed(application)
    assert polling.poll(application.pk) is None  # it is what runs
    digest = push_web(engine_two, image, port=port, marker="new")
    asked = polling.poll(application.pk)
    assert asked is not None
    assert (asked.reason, asked.asked_by) == (Reason.POLL, None)
    assert polling.poll(application.pk) is None
    deploy.run(asked.pk)
    asked.refresh_from_db()
    assert (asked.state, asked.digest) == (State.SUCCEEDED, digest), asked.log
    assert answer_of(port) == "new"
    assert polling.poll(application.pk) is None


def test_a_digest_that_could_not_be_deployed_is_not_tried_again_and_again(
    application: Application, image: str, engine_two: Engine, port: int
) -> None:
    deployed(application)
    push_web(engine_two, image, port=port, marker="broken", command='["/no/such/command"]')
    asked = polling.poll(application.pk)
    assert asked is not None
    deploy.run(asked.pk)
    asked.refresh_from_db()
    assert asked.state == State.FAILED
    assert polling.poll(application.pk) is None
    assert answer_of(port) == "old"
    told = Notice.objects.get()
    assert (told.level, told.title) == (Notice.Level.FAILURE, "web could not be deployed on one")
    push_web(engine_two, image, port=port, marker="mended")
    mended = polling.poll(application.pk)
    assert mended is not None
    deploy.run(mended.pk)
    assert [notice.title for notice in Notice.objects.order_by("created_at")][1:] == ["web was deployed on one"]


def test_what_was_never_deployed_is_not_deployed_by_polling(application: Application) -> None:
    assert polling.poll(application.pk) is None
    application.refresh_from_db()
    assert application.polled_digest.startswith("sha256:")
    assert application.polled_at is not None


def test_why_it_cannot_be_asked_is_kept_without_the_secret(application: Application, registry: Registry) -> None:
    registry.password = "not-the-password-at-all"
    registry.save()
    assert polling.poll(application.pk) is None
    application.refresh_from_db()
    assert application.poll_failures == 1
    assert application.poll_cause
    assert "not-the-password" not in application.poll_cause


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ids: list[str] = []
    monkeypatch.setattr(tasks.poll_application, "delay", ids.append)
    return ids


def make_due(organisation: Organisation, **values: Any) -> Application:
    due: dict[str, Any] = {
        "image": "nginx",
        "poll_minutes": 10,
        "poll_due_at": timezone.now() - dt.timedelta(seconds=1),
    }
    server = values.pop("server", None) or make_server(organisation)
    return make_application(organisation, server=server, registry=None, **(due | values))


def test_each_turn_is_taken_once(
    organisation: Organisation, sent: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    application = make_due(organisation)
    with django_capture_on_commit_callbacks(execute=True):
        assert [polling.dispatch(), polling.dispatch()] == [1, 0]
    assert sent == [application.pk]
    application.refresh_from_db()
    assert application.poll_due_at is not None
    assert dt.timedelta(minutes=9) < application.poll_due_at - timezone.now() <= dt.timedelta(minutes=10)


def test_a_few_are_handed_over_and_take_the_others_with_them(
    organisation: Organisation,
    sent: list[str],
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    """However many are due, they leave the other threads of a worker to those who click."""
    server = make_server(organisation)
    due = [make_due(organisation, server=server, name=f"web-{number}") for number in range(polling.AT_ONCE + 3)]
    polled: list[str] = []
    monkeypatch.setattr(polling, "poll", polled.append)
    with django_capture_on_commit_callbacks(execute=True):
        assert polling.dispatch() == polling.AT_ONCE
    assert len(sent) == polling.AT_ONCE
    tasks.poll_application(sent[0])
    assert sorted(polled + sent[1:]) == sorted(application.pk for application in due)
    assert polling.dispatch() == 0


@pytest.mark.parametrize(
    ("where", "what", "value"), [(polling, "IN_TURN_SECONDS", 0), (draining, "is_ending", lambda: True)]
)
def test_who_has_polled_for_long_or_is_told_to_end_leaves_the_rest_to_others(
    organisation: Organisation, monkeypatch: pytest.MonkeyPatch, where: object, what: str, value: object
) -> None:
    monkeypatch.setattr(where, what, value)
    due = make_due(organisation)
    polled: list[str] = []
    monkeypatch.setattr(polling, "poll", polled.append)
    polling.poll_in_turn("first")
    assert polled == ["first"]
    due.refresh_from_db()
    assert due.poll_due_at is not None
    assert due.poll_due_at <= timezone.now()


def test_what_is_not_polled_has_no_turn(organisation: Organisation, sent: list[str]) -> None:
    make_due(organisation, poll_minutes=0, poll_due_at=None)
    assert polling.dispatch() == 0


def test_failures_make_the_turns_rarer(organisation: Organisation, sent: list[str]) -> None:
    application = make_due(organisation, poll_failures=3)
    polling.dispatch()
    application.refresh_from_db()
    assert application.poll_due_at is not None
    assert application.poll_due_at - timezone.now() > dt.timedelta(minutes=60)


def test_an_image_pinned_to_its_digest_is_not_asked_for(organisation: Organisation) -> None:
    application = make_due(organisation, image=f"nginx@sha256:{'a' * 64}")
    assert polling.poll(application.pk) is None
    application.refresh_from_db()
    assert (application.poll_failures, application.polled_digest) == (0, "")


def test_the_pages_show_how_many_pulls_are_left(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    hub = make_registry(organisation, alice, kind="docker_hub", url="docker.io", image_prefix="acme")
    web = make_server(organisation)
    application = make_application(organisation, server=web, registry=hub, image="shop:1")
    limit = RateLimit(limit=200, remaining=76, window_seconds=21600, source="acme-id")
    quotas.note(organisation=organisation, host="docker.io", registry=hub, server=web, rate_limit=limit)
    for page in (application, hub):
        text = client_of(alice).get(page.get_absolute_url()).content.decode()
        assert "76 of 200 in 6 h" in text
        assert "on web-1 (counted for acme-id), seen" in text
