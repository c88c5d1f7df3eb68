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
from registries import alarms, credentials, logins, saving, testing, tokens
from registries.models import Alarm, Registry, RegistryTest, TokenRefresh
from servers.ladder import Ladder
from servers.models import Server
from servers.verdicts import Subject, Verdict
from tests.lab.aws import Aws
from tests.registries.held import told
from tests.registries.rows import make_registry
from tests.registries.test_tokens import KEY, let_it_be_due, make_ecr, refresh
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


def ended(
    registry: Registry, server: Server | None, *, fails_at: str = "", subject: Subject = "registry", **also: Any
) -> None:
    """A test of a registry is over: it has passed, or failed at a rung for a reason that is `subject`'s."""
    test = testing.planned(registry=registry, server=server, asked_by=None, image=also.get("image", ""))
    test.rungs = testing.rungs_of(test)
    test.state = RegistryTest.State.FAILED if fails_at else RegistryTest.State.PASSED
    test.finished_at = timezone.now()
    for rung in test.rungs:
        if rung["name"] == fails_at:
            rung |= {"state": "failed", "cause": "It was refused.", "fix": "Look at it."}
    test.save()
    verdict = Verdict("refused", "It was refused.", "Look at it.", permanent=False, subject=subject)
    alarms.tested(test, verdict if fails_at else None)


def save(registry: Registry, by: User, password: str | None = "new", **values: Any) -> Registry:
    """What a person changes in the form."""
    changed = Registry.objects.get(pk=registry.pk)
    for name, value in values.items():
        setattr(changed, name, value)
    saving.save_registry(registry=changed, password=password, by=by)
    return Registry.objects.get(pk=registry.pk)


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


def break_key(registry: Registry, aws: Aws) -> None:
    aws.revoked.add(KEY)
    let_it_be_due(registry)
    refresh(registry)


def test_a_new_key_is_told_to_work_when_its_first_token_comes(minting: Registry, aws: Aws, alice: User) -> None:
    break_key(minting, aws)
    saved = save(minting, alice, "t" * 40, account=minting.account | {"access_key_id": OTHER_KEY})
    assert (told(), open_places()) == ([FAILING], [""])
    tokens.run(TokenRefresh.objects.get(state="queued").pk)
    assert (told(), alarms.open_alarms(saved)) == ([FAILING, FRESH], [])


def test_a_new_key_that_fails_as_well_is_not_told_anew_but_its_reason_is_shown(
    minting: Registry, aws: Aws, alice: User
) -> None:
    break_key(minting, aws)
    saved = save(minting, alice, "t" * 40, account=minting.account | {"access_key_id": OTHER_KEY})
    before = alarms.open_alarms(saved)[0].text
    with aws.having(answers_500=True):
        for _ in range(3):
            let_it_be_due(saved)
            refresh(saved)
    assert told() == [FAILING]
    assert alarms.open_alarms(saved)[0].text != before


def test_a_registry_that_mints_no_more_has_no_trouble_with_tokens(minting: Registry, aws: Aws, alice: User) -> None:
    break_key(minting, aws)
    saved = save(minting, alice, "a-token", method="", account={})
    assert (told(), alarms.open_alarms(saved)) == ([FAILING], [])


# Logins


def test_new_credentials_are_told_to_work_when_they_pass_anywhere(
    images: Registry, alice: User, one: Server, two: Server
) -> None:
    for place in ("one", "two"):
        alarms.stopped_working(images, place, "It was refused.")
    saved = save(images, alice)
    assert (told(), open_places()) == ([STOPPED], [alarms.SOMEWHERE])
    alarms.watch()
    assert open_places() == [alarms.SOMEWHERE]
    ended(saved, None)
    assert (told(), open_places()) == ([STOPPED, WORKS], [])


def test_where_the_new_ones_are_refused_is_no_longer_a_matter_of_the_old_ones(
    images: Registry, alice: User, one: Server, two: Server
) -> None:
    alarms.stopped_working(images, "one", "It was refused.")
    saved = save(images, alice)
    alarms.stopped_working(saved, "two", "It was refused.")
    ended(saved, one)
    assert (told(), open_places()) == ([STOPPED], ["two"])
    ended(saved, two)
    assert told() == [STOPPED, WORKS]


def test_what_passed_before_it_was_saved_counts(images: Registry, alice: User, one: Server) -> None:
    alarms.stopped_working(images, "one", "It was refused.")
    draft = testing._queued(images.organisation, images, server=None, image="", asked_by=alice)
    what = Registry.objects.get(pk=images.pk)
    what.password = "new"
    draft.credentials_mark = credentials.stored(what).mark
    draft.state, draft.finished_at = RegistryTest.State.PASSED, timezone.now()
    draft.save()
    save(images, alice)
    assert (told(), open_places()) == ([STOPPED, WORKS], [])


def test_a_pass_of_the_old_credentials_says_nothing_of_the_new_ones(images: Registry, alice: User, one: Server) -> None:
    alarms.stopped_working(images, "one", "It was refused.")
    save(images, alice)
    ended(images, one)  # it began before
    alarms.stopped_working(images, "two", "It was refused.")
    assert (told(), open_places()) == ([STOPPED], [alarms.SOMEWHERE])


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


def test_an_unticked_server_keeps_nobody_from_hearing_of_the_next_one(
    images: Registry, one: Server, two: Server
) -> None:
    logins.choose(registry=images, servers=[one, two])
    alarms.stopped_working(images, "one", "It was refused.")
    logins.choose(registry=images, servers=[two])
    assert open_places() == []
    alarms.stopped_working(images, "two", "It was refused.")
    alarms.works_again(images, "two")
    assert told() == [STOPPED, "Images stopped working on two", WORKS]


def test_a_login_that_was_refused_is_told(images: Registry, one: Server) -> None:
    ended(images, one)
    ended(images, one, fails_at="login", subject="credentials")
    assert told() == [STOPPED]


def test_what_is_the_servers_own_trouble_is_not_told(images: Registry, one: Server) -> None:
    ended(images, one)
    ended(images, one, fails_at="login", subject="server")
    assert told() == []


def test_a_mistyped_image_is_not_told_but_one_that_could_be_pulled_is(images: Registry, one: Server) -> None:
    ended(images, one, image="shop:1")
    ended(images, one, image="shpo:1", fails_at="pull")
    assert told() == []
    ended(images, one, image="shop:1", fails_at="pull")
    assert told() == [STOPPED]


# Ends


def warned(registry: Registry) -> list[str]:
    alarms.watch()
    return [title.rpartition(" ends ")[2] for title in told()]


@pytest.mark.parametrize("is_new_secret", [False, True])
def test_another_end_has_warnings_of_its_own(images: Registry, alice: User, is_new_secret: bool) -> None:
    def to(days: int | None) -> None:
        day = None if days is None else in_days(days)
        save(images, alice, str(days) if is_new_secret else None, secret_ends_on=day)

    to(2)
    assert warned(images) == ["in 2 days"]
    to(3)
    assert warned(images) == ["in 2 days", "in 3 days"]
    to(10)
    assert warned(images) == ["in 2 days", "in 3 days", "in 10 days"]
    to(100)
    assert (warned(images)[3:], open_places()) == ([], [])
    to(1)
    assert warned(images)[3:] == ["in 1 day"]
    to(None)
    assert open_places() == []


def test_the_same_end_is_not_told_anew(images: Registry, alice: User) -> None:
    save(images, alice, None, secret_ends_on=in_days(2))
    assert warned(images) == ["in 2 days"]
    save(images, alice, "newer", name="Pictures")
    assert warned(images) == ["in 2 days"]


def test_the_end_of_a_key_that_mints_is_told_by_its_own_name(minting: Registry, alice: User) -> None:
    for days in (2, -1):
        save(minting, alice, None, secret_ends_on=in_days(days))
        alarms.watch()
    assert told()[-2:] == [
        "Images: the secret access key ends in 2 days", "Images: the secret access key has ended",
    ]  # fmt: skip


def test_a_secret_works_until_the_day_on_which_it_ends_is_over(images: Registry) -> None:
    images.secret_ends_on = in_days(0)
    assert not images.is_ended
    assert images.secret_ends_at is not None
    assert images.secret_ends_at.date() == in_days(0)
    images.secret_ends_on = in_days(-1)
    assert images.is_ended


def test_what_the_old_credentials_are_refused_for_is_no_alarm_about_the_new_ones(
    minting: Registry, aws: Aws, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.revoked.add(KEY)
    let_it_be_due(minting)
    row, real = tokens.ask(registry=minting, reason=TokenRefresh.Reason.DUE), tokens._mint

    def mint(*args: Any) -> None:
        real(*args)
        changed = Registry.objects.get(pk=minting.pk)
        changed.account = changed.account | {"access_key_id": OTHER_KEY}
        saving.save_registry(registry=changed, password="t" * 40, by=alice)

    monkeypatch.setattr(tokens, "_mint", mint)
    tokens.run(row.pk)
    row.refresh_from_db()
    minting.refresh_from_db()
    assert (row.state, row.verdict) == ("failed", "mint_key_refused")
    assert (minting.refresh_failures, told()) == (0, [])


def test_a_test_that_ends_after_new_credentials_were_saved_says_nothing_of_them(
    images: Registry, one: Server, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(images, one)
    test = testing.ask(registry=images, server=one, asked_by=alice)

    def climb(tried: RegistryTest, ladder: Ladder, _server: Server) -> None:
        testing._credentials_of_test(tried)
        ladder.passed(ladder.place)
        saving.save_registry(registry=Registry.objects.get(pk=images.pk), password="new one", by=alice)
        ladder.failed("login", Verdict("credentials_refused", "Refused.", "", permanent=True, subject="credentials"))

    monkeypatch.setattr(testing, "_climb", climb)
    testing.run(test.pk)
    test.refresh_from_db()
    assert (test.state, told()) == ("failed", [])
