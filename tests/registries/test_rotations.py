"""New credentials for a registry in use: tested where it is used, then switched, or not."""

import datetime as dt
import json
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from organisations.models import AuditEntry, User
from registries import batches, credentials, logins, rotations, saving, tasks, testing, tokens
from registries.models import Alarm, Login, Registry, RegistryTest, Rotation, Standing, TokenRefresh
from registries.models import TestBatch as Batch
from servers import runs
from servers import verdicts as host_verdicts
from servers.models import Server
from tests.lab import sshd
from tests.lab.aws import Aws
from tests.lab.fixtures import ALICE, BOB, ECR_HOST
from tests.lab.impostors import Answer
from tests.lab.registry import BearerRegistry
from tests.registries.held import KEY, away, colon, held_by, let_it_be_due, told
from tests.registries.rows import make_registry
from tests.registries.worker import Worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_servers")]
State = Rotation.State
NEW = "the new password, longer than twelve"
NEW_KEY = "AKIAIOSFODNN7OTHERKE"


@pytest.fixture
def registry(bearer: Registry, worker: Worker, one: Server, two: Server) -> Registry:
    """Two servers stay logged in with it."""
    worker(logins.choose, registry=bearer, servers=[one, two])
    return bearer


@pytest.fixture
def accepts_both(bearer_registry: BearerRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account has a second password, as one with tokens has."""
    known = bearer_registry.tokens.passwords
    monkeypatch.setattr(
        bearer_registry.tokens,
        "accepts",
        lambda user, password: known.get(user) == password or (user == "alice" and password == NEW),
    )


def save(registry: Registry, by: User, password: str | None = NEW) -> Rotation | None:
    return saving.save_registry(registry=registry, password=password, by=by)


def change(worker: Worker, registry: Registry, by: User, password: str | None = NEW) -> Rotation:
    """Save a new password, and let the workers do what follows; the rotation as it ended."""
    rotation = worker(save, registry, by, password)
    registry.refresh_from_db()
    assert rotation is not None
    rotation.refresh_from_db()
    return Rotation.objects.get(pk=rotation.pk)


def secrets_of(rotation: Rotation) -> tuple[bool, bool]:
    rotation.refresh_from_db()
    return rotation.password is not None, rotation.token is not None


def events() -> list[tuple[str, str]]:
    """What the trail says of a rotation, and who did it."""
    entries = AuditEntry.objects.filter(event__contains="credentials").order_by("timestamp", "pk")
    return [(entry.event, str(entry.actor)) for entry in entries]


# Switching


@pytest.mark.usefixtures("accepts_both")
def test_new_credentials_are_tested_everywhere_and_then_switched_to(
    worker: Worker, registry: Registry, alice: User, server_one: sshd.Server, server_two: sshd.Server
) -> None:
    rotation = change(worker, registry, alice)
    assert rotation.state == State.SWITCHED
    assert registry.open_password() == NEW
    for server in (server_one, server_two):
        assert held_by(server) == {registry.url: f"alice:{NEW}"}
    assert set(Login.objects.values_list("mark", "state")) == {(registry.login_mark, Login.State.HELD)}
    assert (secrets_of(rotation), rotation.expires_at) == ((False, False), None)
    assert events()[-2:] == [("staged new credentials", "alice"), ("switched to new credentials", "alice")]


@pytest.mark.usefixtures("accepts_both")
def test_its_tests_are_tests_of_the_registry_from_then_on(
    worker: Worker, registry: Registry, alice: User, one: Server, two: Server
) -> None:
    rotation = change(worker, registry, alice)
    tests = list(registry.tests.all())
    assert {(test.server, test.state, test.credentials_mark) for test in tests} == {
        (one, "passed", registry.credentials_mark),
        (two, "passed", registry.credentials_mark),
    }
    assert registry.last_test in tests
    assert set(Standing.objects.values_list("last_test", flat=True)) == {test.pk for test in tests}
    assert Batch.objects.get().finished_at
    assert list(rotation.tests.all()) == tests


@pytest.mark.usefixtures("accepts_both")
def test_until_the_last_server_has_passed_the_old_ones_are_in_force(
    worker: Worker, registry: Registry, alice: User, server_one: sshd.Server
) -> None:
    rotation = worker.commit(save, registry, alice)
    worker.commit(tasks.prepare_rotation, rotation.pk)
    first, second = RegistryTest.objects.filter(rotation=rotation)
    worker.commit(tasks.run_registry_test, first.pk)
    stored = Registry.objects.get()
    assert (stored.open_password(), stored.tests.count()) == (ALICE.password, 0)
    assert held_by(server_one) == {registry.url: colon(ALICE)}
    shown = rotations.to_show(registry)
    assert shown is not None
    assert (shown.state, shown.is_under_way) == (State.TESTING, True)
    worker.commit(tasks.run_registry_test, second.pk)
    assert Registry.objects.get().open_password() == NEW


@pytest.mark.usefixtures("accepts_both")
def test_what_was_wrong_with_the_old_ones_is_forgotten(worker: Worker, registry: Registry, alice: User) -> None:
    Alarm.objects.create(organisation=registry.organisation, registry=registry, kind=Alarm.Kind.NOT_WORKING)
    change(worker, registry, alice)
    assert not Alarm.objects.filter(cleared_at=None).exists()


@pytest.mark.usefixtures("accepts_both")
def test_the_server_on_which_it_is_tested_counts_as_well(
    worker: Worker, registry: Registry, alice: User, one: Server, two: Server
) -> None:
    worker(logins.choose, registry=registry, servers=[one])
    registry.server = two
    rotation = change(worker, registry, alice)
    assert {test.server for test in rotation.tests.all()} == {one, two}


@pytest.mark.usefixtures("accepts_both")
def test_the_audit_trail_names_who_and_no_secret(worker: Worker, registry: Registry, alice: User) -> None:
    registry.name = "Renamed"
    change(worker, registry, alice)
    entries = AuditEntry.objects.get_for_object(registry)
    changed = [entry for entry in entries if entry.changes_dict.get("secret_changed_at") and not entry.event]
    assert [str(entry.actor) for entry in changed if entry.action == AuditEntry.Action.UPDATE] == ["alice"]
    assert NEW not in str([(entry.changes, entry.additional_data) for entry in entries])


@pytest.mark.usefixtures("accepts_both")
def test_no_table_holds_the_new_secret_in_clear(worker: Worker, registry: Registry, alice: User) -> None:
    worker.commit(save, registry, alice)
    assert tables_with(NEW) == []
    worker.work()
    assert tables_with(NEW) == []


def tables_with(text: str) -> list[str]:
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            if text in str([[bytes(value) if isinstance(value, memoryview) else value for value in r] for r in cursor]):
                found.append(table)
    return found


# What is not staged


def test_a_rename_stages_nothing(worker: Worker, registry: Registry, alice: User) -> None:
    registry.name, registry.image_prefix = "Other images", "acme"
    assert worker(save, registry, alice, None) is None
    registry.refresh_from_db()
    assert (registry.name, registry.image_prefix, registry.open_password()) == ("Other images", "acme", ALICE.password)
    assert not Rotation.objects.exists()


def test_the_stored_password_entered_again_stages_nothing(worker: Worker, registry: Registry, alice: User) -> None:
    assert worker(save, registry, alice, ALICE.password) is None


def test_what_nobody_uses_is_saved_at_once(worker: Worker, registry: Registry, alice: User) -> None:
    worker(logins.choose, registry=registry, servers=[])
    assert worker(save, registry, alice) is None
    registry.refresh_from_db()
    assert registry.open_password() == NEW


def test_what_is_no_credential_is_saved_at_once_although_the_rest_is_staged(
    worker: Worker, registry: Registry, alice: User
) -> None:
    registry.name, registry.image_prefix, registry.username = "Other images", "acme", "bob"
    worker.commit(save, registry, alice, BOB.password)
    stored = Registry.objects.get()
    assert (stored.name, stored.image_prefix) == ("Other images", "acme")
    assert (stored.username, stored.open_password()) == ("alice", ALICE.password)
    worker.work()
    stored = Registry.objects.get()
    assert (stored.username, stored.open_password()) == ("bob", BOB.password)


@pytest.mark.usefixtures("accepts_both")
def test_a_rename_in_a_form_that_was_open_before_the_switch_keeps_what_was_switched_to(
    worker: Worker, registry: Registry, alice: User
) -> None:
    open_form = Registry.objects.get()
    change(worker, registry, alice)
    open_form.name = "Renamed"
    worker(save, open_form, alice, None)
    stored = Registry.objects.get()
    assert (stored.name, stored.open_password()) == ("Renamed", NEW)


def test_a_rename_of_a_registry_whose_secret_cannot_be_opened(worker: Worker, registry: Registry, alice: User) -> None:
    other = make_registry(registry.organisation, alice, "Other")
    Registry.objects.filter(pk=registry.pk).update(password=other.password)  # made for another row
    registry.refresh_from_db()
    registry.name = "Renamed"
    assert worker(save, registry, alice, None) is None
    assert Registry.objects.filter(name="Renamed").exists()


# Keeping the old ones


def test_where_one_server_refuses_the_old_ones_stay_and_the_reason_is_there(
    worker: Worker, registry: Registry, alice: User, server_one: sshd.Server, server_two: sshd.Server
) -> None:
    rotation = change(worker, registry, alice)
    assert rotation.state == State.KEPT
    assert {test.verdict for test in rotation.tests.all()} == {"unauthorized"}
    assert all(test.failing_rung and test.failing_rung["cause"] for test in rotation.tests.all())
    assert registry.open_password() == ALICE.password
    for server in (server_one, server_two):
        assert held_by(server) == {registry.url: colon(ALICE)}
    assert registry.tests.count() == 0  # they were none of what is stored
    assert told() == []
    assert rotations.to_show(registry) == rotation
    assert rotation.can_be_switched
    assert events()[-1] == ("kept the old credentials", "None")


@pytest.mark.usefixtures("accepts_both")
def test_one_server_that_is_away_is_enough_to_keep_them(
    worker: Worker, registry: Registry, alice: User, server_one: sshd.Server, server_two: sshd.Server
) -> None:
    with away(server_two):
        rotation = change(worker, registry, alice)
    assert rotation.state == State.KEPT
    assert {(test.server_name, test.verdict) for test in rotation.tests.all()} == {
        ("one", ""),
        ("two", "ssh_unreachable"),
    }
    assert held_by(server_one) == {registry.url: colon(ALICE)}


def test_the_secrets_are_kept_for_an_hour_and_then_wiped(worker: Worker, registry: Registry, alice: User) -> None:
    rotation = change(worker, registry, alice)
    assert rotation.expires_at
    assert abs(rotation.expires_at - timezone.now() - dt.timedelta(hours=1)) < dt.timedelta(minutes=1)
    worker()
    assert secrets_of(rotation) == (True, False)
    Rotation.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    assert not rotations.switch_anyway(rotation, by=alice)
    worker()
    assert secrets_of(rotation) == (False, False)
    assert rotation.state == State.KEPT
    assert rotations.to_show(registry) == rotation  # where it failed is shown on
    assert not rotation.can_be_switched
    assert not rotations.switch_anyway(rotation, by=alice)
    assert Registry.objects.get().open_password() == ALICE.password


@pytest.mark.usefixtures("accepts_both")
def test_somebody_may_switch_all_the_same(
    worker: Worker, registry: Registry, alice: User, bob: User, server_one: sshd.Server, server_two: sshd.Server
) -> None:
    with away(server_two):
        rotation = change(worker, registry, alice)
        assert worker(rotations.switch_anyway, rotation, by=bob)
    registry.refresh_from_db()
    assert registry.open_password() == NEW
    assert secrets_of(rotation) == (False, False)
    assert held_by(server_one) == {registry.url: f"alice:{NEW}"}
    assert held_by(server_two) == {registry.url: colon(ALICE)}
    let_it_be_due()
    worker()
    assert held_by(server_two) == {registry.url: f"alice:{NEW}"}
    assert events()[-1] == ("switched to new credentials", "bob")
    assert not rotations.switch_anyway(rotation, by=bob)


def test_whoever_switches_to_a_wrong_password_sees_it_on_the_logins(
    worker: Worker, registry: Registry, alice: User
) -> None:
    rotation = change(worker, registry, alice)
    worker(rotations.switch_anyway, rotation, by=alice)
    assert set(Login.objects.values_list("state", "verdict", "due_at")) == {("failed", "unauthorized", None)}
    assert [title.rpartition(" ")[0] for title in told()] == ["Images stopped working on"]  # once, not per server


def test_discarding_wipes_at_once(worker: Worker, registry: Registry, alice: User) -> None:
    rotation = change(worker, registry, alice)
    assert worker(rotations.discard, rotation)
    assert secrets_of(rotation) == (False, False)
    assert rotation.state == State.DISCARDED
    assert rotations.to_show(registry) is None
    assert not rotations.switch_anyway(rotation, by=alice)
    assert [event for event, _actor in events()][-1] == "discarded new credentials"
    assert not worker(rotations.discard, rotation)
    assert AuditEntry.objects.filter(event="discarded new credentials").count() == 1


@pytest.mark.usefixtures("accepts_both")
def test_discarded_while_it_is_tested_nothing_is_tried_any_more(
    worker: Worker, registry: Registry, alice: User, bearer_registry: BearerRegistry
) -> None:
    rotation = worker.commit(save, registry, alice)
    worker.commit(tasks.prepare_rotation, rotation.pk)
    assert rotation.tests.filter(sent_at__isnull=False).count() == 2
    worker.commit(rotations.discard, rotation)
    issued = bearer_registry.tokens.issued
    worker.work()
    worker()
    assert bearer_registry.tokens.issued == issued
    assert not RegistryTest.objects.exists()
    assert Batch.objects.get().finished_at
    assert Registry.objects.get().open_password() == ALICE.password


def test_a_test_of_wiped_credentials_tries_no_empty_password(
    worker: Worker, registry: Registry, alice: User, bearer_registry: BearerRegistry
) -> None:
    rotation = worker.commit(save, registry, alice)
    worker.commit(tasks.prepare_rotation, rotation.pk)
    test = rotation.tests.first()
    assert test is not None
    Rotation.objects.update(password=None)
    ended = testing.run(test.pk)
    assert ended is not None
    assert ended.verdict == "secret_unreadable"


# One after the other


@pytest.mark.usefixtures("accepts_both")
def test_a_second_change_takes_the_place_of_the_first(
    worker: Worker, registry: Registry, alice: User, server_one: sshd.Server
) -> None:
    first = worker.commit(save, registry, alice, "a typing error")
    worker.commit(tasks.prepare_rotation, first.pk)
    second = change(worker, registry, alice)
    first.refresh_from_db()
    assert (first.state, second.state) == (State.DISCARDED, State.SWITCHED)
    assert secrets_of(first) == (False, False)
    assert held_by(server_one) == {registry.url: f"alice:{NEW}"}


def test_the_old_password_entered_again_ends_what_was_staged(worker: Worker, registry: Registry, alice: User) -> None:
    rotation = change(worker, registry, alice)
    assert rotation.state == State.KEPT
    worker(save, registry, alice, ALICE.password)
    rotation.refresh_from_db()
    assert (rotation.state, secrets_of(rotation)) == (State.DISCARDED, (False, False))
    assert rotations.to_show(registry) is None


def test_a_rename_leaves_what_is_staged(worker: Worker, registry: Registry, alice: User) -> None:
    rotation = change(worker, registry, alice)
    registry.name = "Renamed"
    worker(save, registry, alice, None)
    rotation.refresh_from_db()
    assert rotation.state == State.KEPT


@pytest.mark.usefixtures("accepts_both")
def test_a_registry_that_is_used_no_more_is_saved_at_once_and_what_was_staged_goes(
    worker: Worker, registry: Registry, alice: User
) -> None:
    rotation = worker.commit(save, registry, alice, "a typing error")
    worker.commit(logins.choose, registry=registry, servers=[])
    worker.commit(save, registry, alice)
    rotation.refresh_from_db()
    assert rotation.state == State.DISCARDED
    assert Registry.objects.get().open_password() == NEW


def test_a_registry_deleted_meanwhile_ends_it(
    worker: Worker, registry: Registry, alice: User, server_one: sshd.Server
) -> None:
    rotation = worker.commit(save, registry, alice)
    worker.commit(tasks.prepare_rotation, rotation.pk)
    worker.commit(saving.delete_registry, registry=registry)
    worker.work()
    worker()
    assert not Rotation.objects.exists()
    assert not RegistryTest.objects.exists()
    assert not Login.objects.exists()
    assert held_by(server_one) == {}


def test_a_registry_deleted_while_a_test_runs(worker: Worker, registry: Registry, alice: User) -> None:
    rotation = worker.commit(save, registry, alice)
    worker.commit(tasks.prepare_rotation, rotation.pk)
    test = rotation.tests.first()
    assert test is not None
    claimed = runs.claim(RegistryTest, test.pk)
    assert claimed is not None
    worker.commit(saving.delete_registry, registry=registry)
    rotations.after(claimed)
    batches.after(claimed)
    assert not Registry.objects.exists()


# Servers that come and go meanwhile


@pytest.mark.usefixtures("accepts_both")
def test_a_server_unticked_meanwhile_does_not_count(
    worker: Worker, registry: Registry, alice: User, one: Server, server_two: sshd.Server
) -> None:
    with away(server_two):
        rotation = worker.commit(save, registry, alice)
        worker.commit(tasks.prepare_rotation, rotation.pk)
        worker.commit(logins.choose, registry=registry, servers=[one])
        worker.work()
    rotation.refresh_from_db()
    assert rotation.state == State.SWITCHED


@pytest.mark.usefixtures("accepts_both")
def test_a_server_ticked_meanwhile_is_named_as_not_tested(
    worker: Worker, registry: Registry, alice: User, one: Server, two: Server
) -> None:
    worker(logins.choose, registry=registry, servers=[one])
    rotation = worker.commit(save, registry, alice)
    worker.commit(tasks.prepare_rotation, rotation.pk)
    worker.commit(logins.choose, registry=registry, servers=[one, two])
    worker.work()
    rotation.refresh_from_db()
    assert rotation.state == State.KEPT
    assert "two" in rotation.cause


def test_cancelled_tests_switch_nothing(worker: Worker, registry: Registry, alice: User, settings: Any) -> None:
    settings.DOKREG_TESTS_AT_ONCE = 0
    rotation = worker.commit(save, registry, alice)
    worker.commit(tasks.prepare_rotation, rotation.pk)
    assert batches.cancel(Batch.objects.get()) == 2
    worker()
    rotation.refresh_from_db()
    assert rotation.state == State.KEPT
    assert "one, two" in rotation.cause
    assert Registry.objects.get().open_password() == ALICE.password


@pytest.mark.usefixtures("accepts_both")
def test_once_nothing_uses_it_any_more_it_is_switched_without_a_test(
    worker: Worker, registry: Registry, alice: User
) -> None:
    worker.commit(save, registry, alice)
    worker.commit(logins.choose, registry=registry, servers=[])
    worker.work()
    assert Registry.objects.get().open_password() == NEW


# Workers that die, and brokers that forget


@pytest.mark.usefixtures("accepts_both")
def test_what_no_worker_took_up_is_sent_again(worker: Worker, registry: Registry, alice: User) -> None:
    worker.commit(save, registry, alice)
    worker.lose_all()
    worker()
    assert Rotation.objects.get().state == State.STAGED  # it may still be on its way
    Rotation.objects.update(created_at=timezone.now() - dt.timedelta(minutes=2))
    worker()
    assert Rotation.objects.get().state == State.SWITCHED


@pytest.mark.usefixtures("accepts_both")
def test_a_worker_that_died_while_preparing_is_followed_by_another(
    worker: Worker, registry: Registry, alice: User
) -> None:
    worker.commit(save, registry, alice)
    worker.lose_all()
    long_ago = timezone.now() - dt.timedelta(minutes=2)
    Rotation.objects.update(created_at=long_ago, sent_at=long_ago)
    worker()
    assert Rotation.objects.get().state == State.SWITCHED


def test_what_no_worker_can_prepare_keeps_the_old_ones(worker: Worker, registry: Registry, alice: User) -> None:
    worker.commit(save, registry, alice)
    worker.lose_all()
    long_ago = timezone.now() - runs.GIVE_UP_AFTER - dt.timedelta(seconds=1)
    Rotation.objects.update(created_at=long_ago, sent_at=timezone.now())
    worker()
    rotation = Rotation.objects.get()
    assert (rotation.state, rotation.cause) == (State.KEPT, host_verdicts.internal_error().cause)
    assert rotation.expires_at is not None


def test_while_somebody_prepares_nobody_else_does(worker: Worker, registry: Registry, alice: User) -> None:
    rotation = worker.commit(save, registry, alice)
    Rotation.objects.update(sent_at=timezone.now())
    worker.commit(tasks.prepare_rotation, rotation.pk)
    assert not RegistryTest.objects.exists()


def test_lost_tests_keep_the_old_ones(worker: Worker, registry: Registry, alice: User) -> None:
    rotation = worker.commit(save, registry, alice)
    worker.commit(tasks.prepare_rotation, rotation.pk)
    worker.lose_all()
    for test in RegistryTest.objects.all():
        runs.claim(RegistryTest, test.pk)
    RegistryTest.objects.update(worker="another-boot:1", lease_until=timezone.now() - dt.timedelta(seconds=1))
    worker()
    rotation.refresh_from_db()
    assert rotation.state == State.KEPT
    assert {test.verdict for test in rotation.tests.all()} == {"worker_lost"}


@pytest.mark.usefixtures("accepts_both")
def test_tests_whose_end_nobody_noticed_are_settled_by_the_sweep(
    worker: Worker, registry: Registry, alice: User
) -> None:
    rotation = worker.commit(save, registry, alice)
    worker.commit(tasks.prepare_rotation, rotation.pk)
    worker.lose_all()
    for test in RegistryTest.objects.all():
        testing.run(test.pk)
    worker()
    rotation.refresh_from_db()
    assert rotation.state == State.SWITCHED


# Tokens


@pytest.fixture
def minting(worker: Worker, ecr: Registry, one: Server) -> Registry:
    """One server stays logged in with its tokens."""
    worker(logins.choose, registry=ecr, servers=[one])
    return ecr


def other_key(registry: Registry) -> None:
    registry.account = registry.account | {"access_key_id": NEW_KEY}


def test_the_token_that_was_tested_is_the_one_that_is_used(
    worker: Worker, minting: Registry, alice: User, aws: Aws, server_one: sshd.Server
) -> None:
    other_key(minting)
    rotation = change(worker, minting, alice, "t" * 40)
    assert rotation.state == State.SWITCHED
    assert aws.mints == {KEY: 1, NEW_KEY: 1}
    assert minting.token
    assert held_by(server_one) == {ECR_HOST: f"AWS:{minting.token.reveal()}"}
    assert (minting.token_state, minting.account["access_key_id"]) == ("fresh", NEW_KEY)
    assert minting.refresh_due_at
    assert minting.refresh_due_at > timezone.now()
    assert secrets_of(rotation) == (False, False)
    worker()
    assert aws.mints == {KEY: 1, NEW_KEY: 1}
    assert tokens.docker_login(minting).mark == minting.login_mark


def test_a_key_that_the_cloud_refuses_is_kept_out_without_a_single_test(
    worker: Worker, minting: Registry, alice: User, aws: Aws, server_one: sshd.Server
) -> None:
    aws.revoked.add(NEW_KEY)
    before = held_by(server_one)
    other_key(minting)
    rotation = change(worker, minting, alice, "t" * 40)
    assert rotation.state == State.KEPT
    assert "access key" in rotation.cause.lower()
    assert rotation.fix
    assert "security token included in the request is invalid" in rotation.words
    assert not RegistryTest.objects.exists()
    assert minting.account["access_key_id"] == KEY
    assert held_by(server_one) == before
    assert "t" * 40 not in json.dumps([rotation.cause, rotation.fix, rotation.words])


def test_a_key_that_the_cloud_repeats_is_in_no_sentence(
    worker: Worker, minting: Registry, alice: User, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "respond", lambda _asked: Answer(400, json.dumps({"__type": f"Odd{'t' * 40}"})))
    other_key(minting)
    rotation = change(worker, minting, alice, "t" * 40)
    assert "It said: GetAuthorizationToken Odd********" in rotation.cause
    assert "t" * 40 not in json.dumps([rotation.cause, rotation.fix, rotation.words])


def test_words_of_the_cloud_that_no_database_takes_are_cleaned(
    worker: Worker, minting: Registry, alice: User, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"__type": "Odd", "message": "a\0b\ud800\x1b"})
    monkeypatch.setattr(aws, "respond", lambda _asked: Answer(400, body))
    other_key(minting)
    rotation = change(worker, minting, alice, "t" * 40)
    assert rotation.words.endswith("ab?")


def test_switched_to_all_the_same_its_first_token_is_asked_for_at_once(
    worker: Worker, minting: Registry, alice: User, aws: Aws, server_one: sshd.Server
) -> None:
    other_key(minting)
    with aws.having(answers_500=True):
        rotation = change(worker, minting, alice, "t" * 40)
        assert rotation.state == State.KEPT
    assert worker(rotations.switch_anyway, rotation, by=alice)
    minting.refresh_from_db()
    assert minting.token
    assert aws.mints[NEW_KEY] == 1
    assert held_by(server_one) == {ECR_HOST: f"AWS:{minting.token.reveal()}"}
    assert minting.refreshes.filter(reason=TokenRefresh.Reason.SAVED).exists()


def test_a_stopped_refresh_begins_anew_when_the_same_key_is_entered_again(
    worker: Worker, minting: Registry, alice: User, aws: Aws
) -> None:
    aws.revoked.add(KEY)
    Registry.objects.update(secret_changed_at=timezone.now() - dt.timedelta(hours=1))
    worker(tokens.ask, registry=Registry.objects.get(), reason=TokenRefresh.Reason.ASKED)
    stopped = Registry.objects.get()
    assert stopped.is_refresh_stopped
    aws.revoked.clear()
    assert worker(save, stopped, alice, "s" * 40) is None
    assert Registry.objects.get().token_state == "fresh"
    assert told() == ["Images: no new token", "Images has a fresh token again."]


# What depends on it


def test_what_depends_on_a_registry_is_said_in_a_sentence(
    worker: Worker, registry: Registry, one: Server, alice: User
) -> None:
    assert rotations.dependents(registry) == ["2 servers stay logged in with it."]
    worker(logins.choose, registry=registry, servers=[one])
    assert rotations.dependents(registry) == ["1 server stays logged in with it."]
    worker(logins.choose, registry=registry, servers=[])
    assert rotations.dependents(registry) == []
    assert not rotations.is_in_use(registry)


# What nobody foresaw


def break_down(*_args: object, **_values: object) -> None:
    raise RuntimeError(NEW)


def test_what_breaks_down_while_it_is_prepared_keeps_the_old_ones_and_is_not_tried_again(
    worker: Worker, registry: Registry, alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(credentials, "staged", break_down)
    rotation = change(worker, registry, alice)
    assert (rotation.state, rotation.cause) == (State.KEPT, host_verdicts.internal_error().cause)
    assert "RuntimeError" in caplog.text
    assert NEW not in caplog.text


def test_one_that_cannot_be_settled_keeps_no_secret_of_another(
    worker: Worker,
    registry: Registry,
    alice: User,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = change(worker, registry, alice)
    Rotation.objects.update(expires_at=timezone.now())
    other = make_registry(registry.organisation, alice, "Unused")
    Rotation.objects.create(organisation=other.organisation, registry=other, state=State.TESTING, url=other.url)
    monkeypatch.setattr(rotations, "_switch", break_down)
    tasks.sweep_rotations()
    assert secrets_of(kept) == (False, False)
    assert "RuntimeError" in caplog.text
    assert NEW not in caplog.text
