"""Test everywhere: who gets the places, what a dead server costs, and how a batch ends."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from dokreg.retention import prune
from organisations.models import AuditEntry, Organisation, Role, User
from registries import batches, credentials, standings, tasks, testing
from registries.models import Draft, Registry, RegistryTest, Standing
from registries.models import TestBatch as Batch
from registries.outcome import Outcome
from servers import runs, ssh
from servers.models import Run, Server
from tests.lab.aws import Aws
from tests.people import join
from tests.registries.fleet_rows import AWAY, REFUSED, failed, fill_fleet
from tests.registries.rows import lab_server, make_registry
from tests.registries.test_tokens import KEY, make_ecr, refresh
from tests.servers.rows import make_server

pytestmark = pytest.mark.django_db
PLACES = 8


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, settings: Any) -> list[str]:
    """What was handed to the broker."""
    settings.DOKREG_TESTS_AT_ONCE = PLACES
    ids: list[str] = []
    monkeypatch.setattr(tasks.run_registry_test, "delay", ids.append)
    monkeypatch.setattr(tasks.tidy_after, "delay", lambda _test_id: None)
    return ids


@pytest.fixture
def commit(django_capture_on_commit_callbacks: Any) -> Callable[..., Any]:
    """Call something as a request or task does that commits."""

    def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with django_capture_on_commit_callbacks(execute=True):
            return function(*args, **kwargs)

    return call


@pytest.fixture
def fleet(organisation: Organisation) -> Organisation:
    """Five registries and twelve servers."""
    fill_fleet(organisation, registries=5, servers=12, tested=False)
    return organisation


def everything(organisation: Organisation, by: User | None = None) -> Batch:
    return batches.ask(organisation=organisation, registry=None, server=None, asked_by=by)


def on_their_way() -> list[RegistryTest]:
    rows = RegistryTest.objects.filter(sent_at__isnull=False, state__in=batches.UNFINISHED)
    return list(rows.order_by("sent_at", "pk"))


def end(test: RegistryTest, commit: Callable[..., Any], **values: Any) -> None:
    """A worker runs it to its end, as `values` say."""
    claimed = runs.claim(RegistryTest, test.pk)
    assert claimed is not None
    own = {"state": Run.State.PASSED, "finished_at": timezone.now()} | values
    RegistryTest.objects.filter(pk=test.pk).update(**own)
    claimed.refresh_from_db()
    commit(batches.after, claimed)


def end_all(commit: Callable[..., Any], **values: Any) -> int:
    """Run what is sent to its end until nothing is left; how many there were at once at most."""
    most = 0
    while waiting := on_their_way():
        most = max(most, len(waiting))
        end(waiting[0], commit, **values)
    return most


# What is asked for


def test_all_on_all_makes_a_row_for_every_pair(fleet: Organisation, alice: User, sent: list[str]) -> None:
    batch = everything(fleet, alice)
    pairs = set(batch.tests.values_list("registry", "server"))
    assert (batch.total, len(pairs)) == (60, 60)
    assert not batch.tests.filter(sent_at__isnull=False).exists()


def test_one_registry_goes_to_every_server_and_every_registry_to_one(
    fleet: Organisation, alice: User, sent: list[str]
) -> None:
    registry, server = Registry.objects.all()[0], Server.objects.all()[0]
    one = batches.ask(organisation=fleet, registry=registry, server=None, asked_by=alice)
    other = batches.ask(organisation=fleet, registry=None, server=server, asked_by=alice)
    assert (one.total, other.total) == (12, 5)
    assert set(one.tests.values_list("registry", flat=True)) == {registry.pk}
    assert set(other.tests.values_list("server", flat=True)) == {server.pk}


def test_nothing_of_another_organisation_is_tested(fleet: Organisation, charlie: User, sent: list[str]) -> None:
    elsewhere = charlie.organisations.get()
    fill_fleet(elsewhere, registries=1, servers=1, tested=False)
    assert everything(elsewhere, charlie).total == 1


def test_an_impatient_second_click_starts_nothing(fleet: Organisation, alice: User, sent: list[str]) -> None:
    assert everything(fleet, alice) == everything(fleet, alice)
    assert RegistryTest.objects.count() == 60


def test_a_batch_that_is_over_may_be_asked_for_again(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    first = commit(everything, fleet, alice)
    end_all(commit)
    assert everything(fleet, alice) != first


@pytest.mark.parametrize(("registries", "servers", "missing"), [(0, 1, "registry"), (1, 0, "server")])
def test_without_a_pair_it_is_said_what_is_missing(
    organisation: Organisation, alice: User, registries: int, servers: int, missing: str
) -> None:
    fill_fleet(organisation, registries=registries, servers=servers, tested=False)
    with pytest.raises(batches.NothingToTest, match=missing):
        everything(organisation, alice)
    assert not Batch.objects.exists()


def test_the_trail_has_one_line_with_the_number(fleet: Organisation, alice: User, sent: list[str]) -> None:
    everything(fleet, alice)
    entry = AuditEntry.objects.get(event="asked for a test")
    assert (entry.actor, entry.additional_data["tests"]) == (alice, 60)


# Who gets the places


def test_no_more_are_on_their_way_than_there_are_places(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    commit(everything, fleet, alice)
    assert len(sent) == PLACES
    assert end_all(commit) == PLACES
    assert Counter(sent).most_common(1)[0][1] == 1
    assert len(sent) == 60


def test_the_places_are_shared_between_servers(fleet: Organisation, alice: User, sent: list[str], commit: Any) -> None:
    commit(everything, fleet, alice)
    assert len({test.server_id for test in on_their_way()}) == PLACES


def test_one_server_never_holds_more_than_two(fleet: Organisation, alice: User, sent: list[str], commit: Any) -> None:
    server = Server.objects.all()[0]
    commit(batches.ask, organisation=fleet, registry=None, server=server, asked_by=alice)
    assert len(sent) == batches.PLACES_PER_SERVER


def test_a_server_that_hangs_holds_two_places_and_the_others_go_on(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    batch = commit(everything, fleet, alice)
    hanging = Server.objects.all()[0]
    while ready := [test for test in on_their_way() if test.server_id != hanging.pk]:
        end(ready[0], commit)
    assert set(batch.tests.filter(state=Run.State.QUEUED).values_list("server", flat=True)) == {hanging.pk}
    assert len(on_their_way()) == batches.PLACES_PER_SERVER


def test_a_large_batch_does_not_make_a_small_one_wait_for_its_end(
    fleet: Organisation, alice: User, charlie: User, sent: list[str], commit: Any
) -> None:
    large = commit(everything, fleet, alice)
    elsewhere = charlie.organisations.get()
    fill_fleet(elsewhere, registries=1, servers=5, tested=False)
    small = commit(everything, elsewhere, charlie)
    ended = 0
    while Batch.objects.filter(pk=small.pk, finished_at=None).exists():
        end(on_their_way()[0], commit)
        ended += 1
    assert ended <= PLACES + 2 * small.total
    assert Batch.objects.filter(pk=large.pk, finished_at=None).exists()


def test_somebody_with_many_batches_gets_no_more_than_somebody_with_one(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    bob = join(fleet, "bob", Role.MEMBER)
    for registry in Registry.objects.all()[:4]:
        batches.ask(organisation=fleet, registry=registry, server=None, asked_by=alice)
    batches.ask(organisation=fleet, registry=Registry.objects.all()[4], server=None, asked_by=bob)
    commit(batches.pump)
    assert Counter(test.asked_by for test in on_their_way()) == {alice: PLACES // 2, bob: PLACES // 2}


def test_a_pump_that_finds_no_place_sends_nothing(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    commit(everything, fleet, alice)
    for _ in range(3):
        commit(batches.pump)
    assert len(sent) == PLACES


def test_a_pump_costs_a_handful_of_queries(
    fleet: Organisation, alice: User, sent: list[str], commit: Any, django_assert_max_num_queries: Any
) -> None:
    commit(everything, fleet, alice)
    RegistryTest.objects.filter(pk=sent[0]).update(state=Run.State.PASSED)
    with django_assert_max_num_queries(13):
        commit(batches.pump)
    assert len(sent) == PLACES + 1


# Waiting


def test_what_waits_for_its_turn_is_not_given_up(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    commit(everything, fleet, alice)
    waiting = RegistryTest.objects.filter(sent_at=None)
    waiting.update(created_at=timezone.now() - dt.timedelta(hours=2))
    tasks.sweep_registry_tests()
    assert waiting.filter(state=Run.State.QUEUED).count() == 60 - PLACES


def test_a_broker_that_takes_nothing_ends_no_sweep(
    fleet: Organisation, alice: User, sent: list[str], commit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_nothing(_test_id: str) -> None:
        raise OperationalError

    commit(everything, fleet, alice)
    now = timezone.now()
    RegistryTest.objects.update(state=Run.State.LOST, to_tidy=True, finished_at=now)
    monkeypatch.setattr(tasks.tidy_after, "delay", take_nothing)
    abandoned = Draft.objects.create(organisation=fleet, created_by=alice, expires_at=now)
    tasks.sweep_registry_tests()
    assert not Draft.objects.filter(pk=abandoned.pk).exists()
    assert RegistryTest.objects.filter(to_tidy=True).exists()


def test_the_clock_of_a_test_starts_when_it_is_sent(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    everything(fleet, alice)
    RegistryTest.objects.update(created_at=timezone.now() - dt.timedelta(hours=2))
    commit(batches.pump)
    for test in on_their_way():
        assert timezone.now() - test.created_at < dt.timedelta(minutes=1)


def test_the_sweep_goes_on_where_a_pump_was_lost(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    everything(fleet, alice)
    commit(tasks.sweep_registry_tests)
    assert len(sent) == PLACES


def test_a_registry_counts_what_was_sent_and_not_what_is_planned(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    everything(fleet, alice)
    assert not Registry.objects.exclude(last_test=None).exists()
    commit(batches.pump)
    assert set(Standing.objects.values_list("last_test", flat=True)) == set(sent)
    assert set(Registry.objects.exclude(last_test=None).values_list("last_test", flat=True)) <= set(sent)


@pytest.mark.django_db(transaction=True)
def test_what_is_deleted_before_it_is_noted_keeps_nothing_else_from_being_noted(
    organisation: Organisation, alice: User, sent: list[str]
) -> None:
    registry, gone, stays = (
        make_registry(organisation, alice),
        make_server(organisation),
        make_server(organisation, "b"),
    )
    tests = [testing.planned(registry=registry, server=server, asked_by=alice) for server in (gone, stays)]
    RegistryTest.objects.bulk_create(tests)
    Server.objects.filter(pk=gone.pk).delete()
    standings.note_what_is_there(tests, standings.note)
    assert Standing.objects.get().server == stays
    assert Registry.objects.get().last_test == tests[1]


def test_a_click_counts_for_the_matrix_too(organisation: Organisation, alice: User, sent: list[str]) -> None:
    registry, server = make_registry(organisation, alice), make_server(organisation)
    for _ in range(2):
        test = testing.ask(registry=registry, server=server, asked_by=alice)
    assert Standing.objects.get().last_test == test
    assert Registry.objects.get().last_test == test


def test_what_was_tested_before_saving_counts_for_the_matrix(
    organisation: Organisation, alice: User, sent: list[str]
) -> None:
    server = make_server(organisation)
    registry = make_registry(organisation, alice, name="First")
    test = testing.ask_for_draft(
        organisation=organisation,
        credentials=credentials.stored(registry),
        server=server,
        image="",
        asked_by=alice,
    )
    testing.adopt_tests(registry=registry, by=alice)
    assert (Standing.objects.get().registry, Standing.objects.get().last_test) == (registry, test)


# The end


def test_a_batch_is_over_with_its_last_test(fleet: Organisation, alice: User, sent: list[str], commit: Any) -> None:
    batch = commit(everything, fleet, alice)
    end_all(commit)
    batch.refresh_from_db()
    assert batch.finished_at is not None
    assert dict(Outcome(batch).counts) == {"passed": 60}


def test_a_lost_test_ends_a_batch_as_well(
    organisation: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    fill_fleet(organisation, registries=1, servers=1, tested=False)
    batch = commit(everything, organisation, alice)
    runs.claim(RegistryTest, sent[0])
    RegistryTest.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    commit(tasks.sweep_registry_tests)
    batch.refresh_from_db()
    assert batch.finished_at is not None
    assert dict(Outcome(batch).counts) == {"lost": 1}


def test_cancelling_drops_what_was_not_sent_and_says_how_many(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    batch = commit(everything, fleet, alice)
    assert batches.cancel(batch) == 60 - PLACES
    assert Batch.objects.get().finished_at is None  # what was under way goes on
    end_all(commit)
    batch.refresh_from_db()
    assert batch.finished_at is not None
    assert (Outcome(batch).not_run, Outcome(batch).done, len(sent)) == (60 - PLACES, PLACES, PLACES)


def test_cancelling_twice_does_nothing_the_second_time(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    batch = everything(fleet, alice)
    assert (batches.cancel(batch), batches.cancel(batch)) == (60, 0)
    assert Batch.objects.get().finished_at is not None


def test_old_batches_are_forgotten_and_their_tests_stay(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    commit(everything, fleet, alice)
    end_all(commit)
    Batch.objects.update(created_at=timezone.now() - dt.timedelta(days=31))
    prune()
    assert not Batch.objects.exists()
    assert RegistryTest.objects.filter(batch=None).count() == 60


def test_a_batch_whose_server_is_deleted_leaves_nothing_waiting(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    server = Server.objects.all()[0]
    commit(batches.ask, organisation=fleet, registry=None, server=server, asked_by=alice)
    server.delete()
    tasks.sweep_registry_tests()
    assert set(RegistryTest.objects.values_list("pk", flat=True)) == set(sent)


# Dead servers


def test_a_dead_server_is_tried_once_and_every_other_test_there_says_so(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    server = Server.objects.all()[0]
    batch = commit(batches.ask, organisation=fleet, registry=None, server=server, asked_by=alice)
    end(on_their_way()[0], commit, **failed("ssh", "SSH", "ssh_unreachable", AWAY))
    assert batch.tests.filter(state=Run.State.FAILED, verdict="ssh_unreachable").count() == 4
    untried = batch.tests.filter(state=Run.State.FAILED).exclude(pk__in=sent)
    for test in untried:
        assert test.rungs[0]["cause"] == AWAY["cause"]
        assert "not tried" in test.rungs[0]["fact"]
        assert Standing.objects.get(registry=test.registry).last_test == test
    assert (untried.count(), len(sent)) == (3, batches.PLACES_PER_SERVER)


def test_a_dead_server_is_tried_once_for_registries_with_tokens_too(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    server = Server.objects.all()[0]
    batch = commit(batches.ask, organisation=fleet, registry=None, server=server, asked_by=alice)
    values = failed("ssh", "SSH", "ssh_unreachable", AWAY)
    values["rungs"].insert(0, {"name": "token", "state": "passed", "fact": "works"})
    end(on_their_way()[0], commit, **values)
    untried = batch.tests.filter(state=Run.State.FAILED).exclude(pk__in=sent)
    assert [test.rungs[0]["fact"] for test in untried] == ["works"] * 3
    assert all("not tried" in test.rungs[1]["fact"] for test in untried)


def test_a_batch_asks_no_cloud_that_has_just_refused(organisation: Organisation, alice: User, aws: Aws) -> None:
    registry = make_ecr(organisation, alice)
    aws.revoked.add(KEY)
    refresh(registry)
    asked = aws.requests
    batch = batches.ask(
        organisation=organisation, registry=registry, server=make_server(organisation, "one"), asked_by=alice
    )
    testing.run(batch.tests.get().pk)
    assert batch.tests.get().verdict == "mint_key_refused"
    assert aws.requests == asked


def test_a_dead_server_says_nothing_about_a_registry_that_was_not_tried_there(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    server = Server.objects.all()[0]
    commit(batches.ask, organisation=fleet, registry=None, server=server, asked_by=alice)
    end(on_their_way()[0], commit, **failed("ssh", "SSH", "ssh_timeout", AWAY))
    assert set(Registry.objects.exclude(last_test=None).values_list("last_test", flat=True)) == set(sent)


@pytest.mark.parametrize(
    ("rung", "verdict"), [("login", "credentials_refused"), ("ssh", "connection_lost"), ("daemon", "ssh_timeout")]
)
def test_what_fails_further_up_says_nothing_about_the_next_test(
    fleet: Organisation, alice: User, sent: list[str], commit: Any, rung: str, verdict: str
) -> None:
    server = Server.objects.all()[0]
    batch = commit(batches.ask, organisation=fleet, registry=None, server=server, asked_by=alice)
    values = failed(rung, rung, verdict, REFUSED)
    if rung != "ssh":
        values["rungs"].insert(0, {"name": "ssh", "state": "passed"})
    end(on_their_way()[0], commit, **values)
    assert batch.tests.filter(state=Run.State.FAILED).count() == 1
    assert len(sent) == 3


def test_a_dead_server_ends_nothing_in_other_batches(
    fleet: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    server = Server.objects.all()[0]
    batches.ask(organisation=fleet, registry=None, server=server, asked_by=alice)
    other = everything(fleet, alice)
    commit(batches.pump)
    test = next(test for test in on_their_way() if test.batch != other)
    end(test, commit, **failed("ssh", "SSH", "ssh_unreachable", AWAY))
    assert not other.tests.filter(state=Run.State.FAILED).exists()


# On real servers


@pytest.fixture
def loopback(settings: Any) -> Iterator[None]:
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield
    ssh.close_all()


def test_an_unconfirmed_server_is_tried_once(
    organisation: Organisation, alice: User, loopback: None, server_one: Any, sent: list[str], commit: Any
) -> None:
    lab_server(organisation, server_one, host_key="")
    for name in "abcde":
        make_registry(organisation, alice, name)
    batch = commit(everything, organisation, alice)
    while waiting := on_their_way():
        commit(tasks.run_registry_test, waiting[0].pk)
    assert set(batch.tests.values_list("verdict", flat=True)) == {"host_key_unconfirmed"}
    assert len(sent) == batches.PLACES_PER_SERVER
    batch.refresh_from_db()
    assert batch.finished_at is not None


def test_a_finished_test_is_not_sent_by_a_late_pump(
    organisation: Organisation, alice: User, sent: list[str], commit: Any
) -> None:
    fill_fleet(organisation, registries=1, servers=1, tested=False)
    commit(everything, organisation, alice)
    test = RegistryTest.objects.get()
    batches._send([test])
    assert sent == [test.pk]
