"""Tokens: minted before they are needed, kept while they live, minted once whoever asks."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from dokreg.retention import prune
from organisations.models import Organisation, User
from organisations.notification_models import Notice
from registries import alarms, credentials, retention, saving, tasks, tokens
from registries.models import Alarm, Registry, TokenRefresh
from registries.tokens import TokenMissing
from servers import runs
from tests.lab.aws import Aws
from tests.registries.rows import make_registry

KEY = "AKIAIOSFODNN7EXAMPLE"
HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
TWELVE_HOURS = dt.timedelta(hours=12)
Reason = TokenRefresh.Reason


def make_ecr(organisation: Organisation, by: User, name: str = "Images", key: str = KEY) -> Registry:
    """A saved registry that mints its tokens with an access key, saved long enough ago to be known to AWS."""
    account = {"access_key_id": key, "role_arn": "", "external_id": ""}
    registry = make_registry(
        organisation,
        by,
        name,
        kind="ecr",
        url=HOST,
        username="AWS",
        method="access_key",
        account=account,
        password="s" * 40,
    )
    Registry.objects.update(secret_changed_at=timezone.now() - dt.timedelta(hours=1))
    registry.refresh_from_db()
    return registry


@pytest.fixture
def registry(organisation: Organisation, alice: User) -> Registry:
    return make_ecr(organisation, alice)


def refresh(registry: Registry, reason: str = Reason.DUE) -> TokenRefresh:
    """Ask for a refresh, and run it as a worker does."""
    row = tokens.ask(registry=registry, reason=reason)
    tokens.run(row.pk)
    registry.refresh_from_db()
    return TokenRefresh.objects.get(pk=row.pk)


def let_it_be_due(registry: Registry, **also: Any) -> None:
    Registry.objects.filter(pk=registry.pk).update(refresh_due_at=timezone.now(), **also)
    registry.refresh_from_db()


def told() -> list[str]:
    return list(Notice.objects.order_by("created_at").values_list("title", flat=True))


def test_a_saved_registry_gets_its_first_token(registry: Registry, aws: Aws) -> None:
    asked = TokenRefresh.objects.get()
    assert (asked.reason, registry.token_state) == (Reason.SAVED, "waiting")
    tokens.run(asked.pk)
    registry.refresh_from_db()
    assert registry.token is not None
    assert aws.is_alive(registry.token.reveal())
    assert registry.token_state == "fresh"
    assert registry.last_refresh == asked


def test_the_next_one_is_due_at_four_fifths_of_its_life_or_a_little_earlier(registry: Registry, aws: Aws) -> None:
    refresh(registry)
    assert registry.token_issued_at
    assert registry.token_expires_at
    assert registry.refresh_due_at
    life = registry.token_expires_at - registry.token_issued_at
    assert abs(life - TWELVE_HOURS) < dt.timedelta(minutes=1)
    assert 0.72 * life <= registry.refresh_due_at - registry.token_issued_at <= 0.8 * life


def test_what_is_not_due_is_left_alone(registry: Registry, aws: Aws) -> None:
    refresh(registry)
    assert tokens.dispatch() == 0
    assert aws.mints[KEY] == 1


def test_what_is_due_is_taken_a_few_at_a_time(organisation: Organisation, alice: User, aws: Aws, settings: Any) -> None:
    settings.DOKREG_REFRESHES_AT_ONCE = 3
    for number in range(7):
        make_ecr(organisation, alice, f"Images {number}", f"AKIA{number:016}")
    TokenRefresh.objects.all().delete()
    assert [tokens.dispatch(), tokens.dispatch()] == [3, 0]
    for row in TokenRefresh.objects.all():
        tokens.run(row.pk)
    assert [tokens.dispatch(), tokens.dispatch()] == [3, 0]


@pytest.fixture
def due(organisation: Organisation, alice: User, settings: Any) -> list[Registry]:
    """Five, for which there is one place."""
    settings.DOKREG_REFRESHES_AT_ONCE = 1
    registries = [make_ecr(organisation, alice, f"Images {number}", f"AKIA{number:016}") for number in range(5)]
    TokenRefresh.objects.all().delete()
    return registries


def queued() -> TokenRefresh:
    return TokenRefresh.objects.get(state__in=tokens.ACTIVE)


def test_a_worker_keeps_its_place_while_more_is_due(due: list[Registry], aws: Aws) -> None:
    tokens.dispatch()
    tokens.work(queued().pk)
    rows = TokenRefresh.objects.order_by("created_at")
    assert [(row.state, row.reason, row.asked_by) for row in rows] == [("passed", Reason.DUE, None)] * 5
    assert {row.registry_id for row in rows} == {registry.pk for registry in due}
    assert aws.mints == {registry.account["access_key_id"]: 1 for registry in due}


def test_a_failure_keeps_nobody_else_from_the_place(due: list[Registry], aws: Aws) -> None:
    aws.revoked.add(due[2].account["access_key_id"])
    tokens.dispatch()
    tokens.work(queued().pk)
    assert sorted(TokenRefresh.objects.values_list("state", flat=True)) == ["failed"] + ["passed"] * 4


def test_a_worker_gives_its_place_back_after_a_while(
    due: list[Registry], aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "PLACE_SECONDS", 0)
    tokens.dispatch()
    tokens.work(queued().pk)
    assert aws.mints.total() == 1
    assert queued().state == "queued"


def test_what_somebody_asked_for_has_no_place_to_pass_on(due: list[Registry], aws: Aws) -> None:
    tokens.work(tokens.ask(registry=due[0], reason=Reason.ASKED).pk)
    assert aws.mints.total() == 1
    assert queued().state == "queued"


def test_who_was_found_lost_has_no_place_any_more(due: list[Registry], aws: Aws) -> None:
    tokens.dispatch()
    claimed = runs.claim(TokenRefresh, queued().pk)
    assert claimed
    TokenRefresh.objects.update(state="lost")
    assert tokens._run(claimed, may_go_on=True) is None
    assert list(TokenRefresh.objects.values_list("state", flat=True)) == ["lost"]


def test_a_token_takes_few_queries(due: list[Registry], aws: Aws, django_assert_max_num_queries: Any) -> None:
    """Five statements and a lock; the rest are savepoints, around all of them and around the INSERT."""
    tokens.dispatch()
    tokens.work(queued().pk)
    Registry.objects.update(refresh_due_at=timezone.now())
    tokens.dispatch()
    claimed = runs.claim(TokenRefresh, queued().pk)
    assert claimed
    following = tokens._run(claimed, may_go_on=True)
    assert following
    with django_assert_max_num_queries(9 + connection.features.has_select_for_update):
        assert tokens._run(following, may_go_on=True)


def test_a_token_with_little_left_is_minted_anew_before_it_is_handed_out(registry: Registry, aws: Aws) -> None:
    refresh(registry)
    before = tokens.docker_login(registry).password
    assert tokens.docker_login(registry).password == before
    soon = timezone.now() + tokens.MARGIN - dt.timedelta(seconds=5)
    Registry.objects.update(token_expires_at=soon, token_issued_at=soon - TWELVE_HOURS)
    registry.refresh_from_db()
    assert tokens.docker_login(registry).password != before
    assert aws.mints[KEY] == 2


def test_while_the_cloud_is_down_the_old_token_stays_and_the_tries_become_rarer(registry: Registry, aws: Aws) -> None:
    refresh(registry)
    before = tokens.docker_login(registry).password
    pauses = []
    with aws.having(answers_500=True):
        for _ in range(4):
            let_it_be_due(registry)
            assert refresh(registry).state == "failed"
            assert registry.refresh_due_at
            pauses.append((registry.refresh_due_at - timezone.now()).total_seconds())
    assert (registry.token_state, registry.refresh_failures) == ("failing", 4)
    assert tokens.docker_login(registry, insist=False).password == before
    for pause, usual in zip(pauses, (30, 60, 120, 240), strict=True):
        assert 0.75 * usual < pause <= 1.25 * usual
    let_it_be_due(registry)
    assert refresh(registry).state == "passed"
    assert (registry.token_state, registry.refresh_failures) == ("fresh", 0)


def test_people_are_told_once_and_once_more_when_it_is_over(registry: Registry, aws: Aws) -> None:
    refresh(registry)
    with aws.having(answers_500=True):
        for _ in range(6):
            let_it_be_due(registry)
            refresh(registry)
        Registry.objects.update(token_expires_at=timezone.now() - dt.timedelta(seconds=1))
        registry.refresh_from_db()
        for _ in range(3):
            alarms.watch()
        assert registry.token_state == "expired"
        assert told() == ["Images: no new token", "Images: the token has expired"]
    let_it_be_due(registry)
    refresh(registry)
    assert told()[2:] == ["Images has a fresh token again."]
    assert not Alarm.objects.filter(cleared_at=None).exists()


def test_a_revoked_key_stops_the_tries_and_says_so_until_it_is_mended(
    registry: Registry, aws: Aws, alice: User
) -> None:
    refresh(registry)
    aws.revoked.add(KEY)
    let_it_be_due(registry)
    failed = refresh(registry)
    assert (failed.verdict, failed.rungs[0]["state"]) == ("mint_key_refused", "failed")
    assert registry.is_refresh_stopped
    assert tokens.dispatch() == 0
    assert "does not try again" in Notice.objects.get().text
    registry.account = registry.account | {"access_key_id": "AKIAIOSFODNN7OTHERKE"}
    saving.save_registry(registry=registry, password="t" * 40, by=alice)
    tokens.run(TokenRefresh.objects.get(state="queued").pk)
    registry.refresh_from_db()
    assert registry.token_state == "fresh"
    assert not alarms.open_alarms(registry)


def test_a_trouble_of_dokreg_itself_is_tried_again(registry: Registry, aws: Aws) -> None:
    TokenRefresh.objects.all().delete()
    with connection.cursor() as cursor:  # as with another encryption key
        cursor.execute("UPDATE registries_registry SET password = %s", [b"no ciphertext"])
    registry.refresh_from_db()
    assert refresh(registry).verdict == "secret_unreadable"
    assert registry.refresh_due_at
    assert not registry.is_refresh_stopped


def test_what_failed_before_has_one_place_and_takes_none_from_what_did_not(
    due: list[Registry], aws: Aws, settings: Any
) -> None:
    settings.DOKREG_REFRESHES_AT_ONCE = 2
    longest = timezone.now() - dt.timedelta(hours=1)
    failing = {registry.pk for registry in due[:3]}
    Registry.objects.filter(pk__in=failing).update(refresh_failures=1, refresh_due_at=longest)
    tokens.dispatch()
    given = set(TokenRefresh.objects.filter(state="queued").values_list("registry", flat=True))
    assert len(given & failing) == 1
    assert given - failing == {due[3].pk}
    TokenRefresh.objects.filter(registry=due[3]).delete()
    tokens.dispatch()  # the one place for what failed is taken
    queued = TokenRefresh.objects.filter(state="queued")
    others = queued.exclude(registry__in=given & failing)
    assert failing.isdisjoint(others.values_list("registry", flat=True))


@pytest.mark.parametrize(("places", "number"), [(4, 3), (2, 2), (1, 1)])
def test_where_nothing_else_is_due_what_failed_before_gets_all_places(
    due: list[Registry], aws: Aws, settings: Any, places: int, number: int
) -> None:
    settings.DOKREG_REFRESHES_AT_ONCE = places
    Registry.objects.exclude(pk__in=[registry.pk for registry in due[:3]]).update(refresh_due_at=None)
    Registry.objects.filter(pk__in=[registry.pk for registry in due[:3]]).update(refresh_failures=1)
    assert tokens.dispatch() == number


def test_of_one_place_alone_what_failed_before_takes_nothing(due: list[Registry], aws: Aws, settings: Any) -> None:
    settings.DOKREG_REFRESHES_AT_ONCE = 1
    longest = timezone.now() - dt.timedelta(hours=1)
    Registry.objects.exclude(pk=due[1].pk).update(refresh_failures=1, refresh_due_at=longest)
    tokens.dispatch()
    assert TokenRefresh.objects.get(state="queued").registry == due[1]


def test_old_refreshes_are_forgotten_but_not_the_last_one(registry: Registry, aws: Aws) -> None:
    for _ in range(3):
        let_it_be_due(registry)
        refresh(registry)
    TokenRefresh.objects.update(created_at=timezone.now() - retention.REFRESHES_KEPT - dt.timedelta(days=1))
    prune()
    assert TokenRefresh.objects.get() == registry.last_refresh


def test_a_key_that_was_just_made_is_given_time_to_be_known(registry: Registry, aws: Aws) -> None:
    Registry.objects.update(secret_changed_at=timezone.now())
    aws.revoked.add(KEY)
    refresh(registry)
    assert registry.refresh_due_at is not None
    assert registry.refresh_failures == 1


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [("", 30), ("0", 30), ("120", 120), ("9" * 30, 3600), ("soon", 30)],
    ids=lambda value: str(value)[:6],
)
def test_a_throttling_cloud_says_when_to_come_again(registry: Registry, aws: Aws, wish: str, seconds: float) -> None:
    with aws.having(throttles=True, retry_after=wish):
        failed = refresh(registry)
    assert failed.verdict == "mint_throttled"
    assert registry.refresh_due_at
    assert 0.75 * seconds < (registry.refresh_due_at - timezone.now()).total_seconds() <= 1.25 * seconds


def test_a_token_that_has_ended_already_is_not_taken(registry: Registry, aws: Aws) -> None:
    refresh(registry)
    before = registry.token
    let_it_be_due(registry)
    with aws.having(gives_expired_tokens=True):
        assert refresh(registry).verdict == "mint_expired_token"
    assert registry.token == before


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_clock_that_is_off_changes_nothing_about_when_it_is_due(registry: Registry, aws: Aws, minutes: int) -> None:
    with aws.having(clock_offset=minutes * 60, checks_clock=False):
        refresh(registry)
    assert registry.token_expires_at
    assert abs(registry.token_expires_at - timezone.now() - TWELVE_HOURS) < dt.timedelta(minutes=1)


def test_a_token_minted_with_credentials_that_were_changed_meanwhile_is_thrown_away(
    registry: Registry, aws: Aws, alice: User
) -> None:
    row = TokenRefresh.objects.get()
    claimed = runs.claim(TokenRefresh, row.pk)
    assert claimed
    stale = Registry.objects.get(pk=registry.pk)
    minted = credentials.stored(stale).mint()
    registry.account = registry.account | {"access_key_id": "AKIAIOSFODNN7OTHERKE"}
    saving.save_registry(registry=registry, password=None, by=alice)
    tokens._keep(stale, claimed, minted)
    registry.refresh_from_db()
    assert registry.token is None
    assert tokens.dispatch() == 1


def test_a_refresh_whose_worker_died_is_lost_and_made_once_more(registry: Registry, aws: Aws) -> None:
    row = TokenRefresh.objects.get()
    runs.claim(TokenRefresh, row.pk)
    TokenRefresh.objects.update(worker="another-boot:1", lease_until=timezone.now() - dt.timedelta(seconds=1))
    from registries.tasks import refresh_token

    runs.sweep(TokenRefresh, refresh_token)
    row.refresh_from_db()
    assert (row.state, row.verdict) == ("lost", "worker_lost")
    assert tokens.dispatch() == 1
    tokens.run(TokenRefresh.objects.get(state="queued").pk)
    registry.refresh_from_db()
    assert registry.token_state == "fresh"


def lose(registry: Registry) -> None:
    """A worker begins the refresh that is queued, dies of it, and is found by the sweep."""
    tokens.dispatch()
    assert runs.claim(TokenRefresh, queued().pk)
    TokenRefresh.objects.filter(state="running").update(worker="another-boot:1", lease_until=registry.created_at)
    tasks.sweep_token_refreshes()
    registry.refresh_from_db()


def test_what_kills_its_worker_each_time_is_tried_ever_more_rarely_and_people_are_told(registry: Registry) -> None:
    lose(registry)
    assert registry.refresh_failures == 1
    assert queued().reason == Reason.DUE  # at once
    lose(registry)
    for usual in (30, 60, 120):
        assert not TokenRefresh.objects.filter(state__in=tokens.ACTIVE).exists()
        assert registry.refresh_due_at
        assert 0.75 * usual < (registry.refresh_due_at - timezone.now()).total_seconds() <= 1.25 * usual
        let_it_be_due(registry)
        lose(registry)
    assert registry.refresh_failures == 5
    assert registry.last_refresh
    assert registry.last_refresh.verdict == "worker_lost"
    assert told() == ["Images: no new token"]


def test_a_token_that_came_after_a_lost_refresh_is_no_failure(registry: Registry, aws: Aws) -> None:
    claimed = runs.claim(TokenRefresh, queued().pk)
    assert claimed
    TokenRefresh.objects.update(state="lost")
    refresh(registry)
    tokens.note_lost([claimed])
    registry.refresh_from_db()
    assert (registry.token_state, registry.refresh_failures) == ("fresh", 0)


def test_no_token_at_all_is_an_error_with_the_clouds_reason(registry: Registry, aws: Aws) -> None:
    aws.revoked.add(KEY)
    with pytest.raises(TokenMissing) as caught:
        tokens.docker_login(registry)
    assert caught.value.verdict.code == "mint_key_refused"


@pytest.mark.django_db(transaction=True)
def test_a_registry_deleted_before_its_token_is_needed_keeps_nobody_waiting(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, real = iter(range(3)), tokens._new_row
    monkeypatch.setattr(tokens, "_new_row", lambda *args, **columns: (next(tries), real(*args, **columns))[1])
    Registry.objects.all().delete()
    with pytest.raises(TokenMissing) as caught:
        tokens.docker_login(registry)
    assert caught.value.verdict.code == "registry_gone"


def test_a_registry_deleted_while_its_token_is_minted_leaves_no_trace(
    registry: Registry, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_mint", lambda *_args: Registry.objects.all().delete())
    with pytest.raises(TokenMissing) as caught:
        tokens.docker_login(registry)
    assert caught.value.verdict.code == "registry_gone"


def test_a_static_registry_is_never_due(organisation: Organisation, alice: User) -> None:
    registry = make_registry(organisation, alice)
    assert (registry.refresh_due_at, registry.token_state) == (None, "")
    assert tokens.docker_login(registry).password == "s3cret"


def test_the_token_is_nowhere_in_clear(registry: Registry, aws: Aws) -> None:
    refresh(registry)
    assert registry.token
    clear = registry.token.reveal()
    with connection.cursor() as cursor:
        for table in ("registries_registry", "registries_tokenrefresh", "organisations_auditentry"):
            cursor.execute(f"SELECT * FROM {table}")
            assert clear not in str([[bytes(v) if isinstance(v, memoryview) else v for v in r] for r in cursor])


@pytest.mark.parametrize(("days", "titles"), [(20, 0), (14, 1), (10, 1), (3, 1), (1, 1), (0, 1), (-5, 1)])
def test_a_known_end_is_told_once_at_each_stage(
    organisation: Organisation, alice: User, days: int, titles: int
) -> None:
    registry = make_registry(organisation, alice)
    Registry.objects.update(secret_ends_on=timezone.now().date() + dt.timedelta(days=days))
    for _ in range(3):
        alarms.watch()
    assert len(told()) == titles
    Registry.objects.filter(pk=registry.pk).update(
        secret_ends_on=timezone.now().date() + dt.timedelta(days=min(days, 1))
    )
    alarms.watch()
    assert len(told()) == titles + (days > 1)
