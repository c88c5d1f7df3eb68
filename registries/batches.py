"""Test everywhere: many tests asked for at once, handed to the workers a few at a time.

All rows of a batch are there from the beginning, and wait with an empty `sent_at`. `pump` sends as many as there are
places; it is called when a batch is asked for, when one of its tests ends, and by the sweep, so that nothing hangs on
one call. No more than DOKREG_TESTS_AT_ONCE are on their way at any time, over all workers: a click finds a free one.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from dokreg.database import patiently
from organisations import audit
from organisations.models import Organisation, User
from registries import standings, testing
from registries.models import Registry, RegistryTest, TestBatch
from servers import runs
from servers.ladder import PLACES, Rung
from servers.models import Run, Server

# A server that does not answer must not hold every place; and its sshd drops handshakes that come all at once.
PLACES_PER_SERVER = 2
INSERTED_AT_ONCE = 500
UNFINISHED = (Run.State.QUEUED, Run.State.RUNNING)
# What ends a test at the door of a server, and would end every other one there in the same way.
OF_THE_SERVER = frozenset(
    {
        "address_forbidden",
        "host_key_changed",
        "host_key_unconfirmed",
        "name_not_found",
        "private_key_unreadable",
        "ssh_auth_refused",
        "ssh_silent",
        "ssh_undecided",
        "ssh_timeout",
        "ssh_unreachable",
    }
)


class NothingToTest(Exception):
    """There is no pair of a registry and a server; the text says what is missing."""


def ask(
    *, organisation: Organisation, registry: Registry | None, server: Server | None, asked_by: User | None
) -> TestBatch:
    """Test a registry on every server, every registry on a server, or, with neither, all on all.

    An impatient second click starts nothing: a batch for the same that is not over is answered. Raises NothingToTest.
    """
    with transaction.atomic():
        # Of two clicks at once one waits; what else refers to the organisation goes on.
        Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
        same = TestBatch.objects.of(organisation).filter(
            registry=registry, server=server, rotation=None, finished_at=None
        )
        if (under_way := same.first()) is not None:
            return under_way
        batch = TestBatch(organisation=organisation, registry=registry, server=server, asked_by=asked_by)
        tests = list(_planned(batch))
        batch.total = len(tests)
        batch.save()
        RegistryTest.objects.bulk_create(tests, batch_size=INSERTED_AT_ONCE)
        audit.record(
            "asked for a test",
            registry or server or organisation,
            actor=asked_by,
            tests=batch.total,
            registry=registry.url if registry else "every registry",
            place=server.name if server else "every server",
        )
        transaction.on_commit(pump)
    return batch


def pump() -> None:
    """Send waiting tests while there are places, and close the batches that are over."""
    if not TestBatch.objects.filter(finished_at=None).exists():
        return
    with transaction.atomic():
        # The lock makes two pumps take turns: together they would fill each place twice.
        batches = list(TestBatch.objects.select_for_update().filter(finished_at=None).order_by("created_at", "pk"))
        chosen = _chosen(batches)
        if chosen:
            _send(chosen)
        _close([batch.pk for batch in batches])


def after(test: RegistryTest) -> None:
    """A test of a batch has ended: its place is free. A server that could not be entered is tried no more in it."""
    if not test.batch_id:
        return
    if test.state == Run.State.FAILED and test.verdict in OF_THE_SERVER and _place(test.rungs)["state"] == "failed":
        patiently(lambda: _end_alike(test))
    patiently(pump)


def cancel(batch: TestBatch) -> int:
    """Drop what has not been sent; what is under way goes on to its end. Answers how many are dropped."""
    with transaction.atomic():
        TestBatch.objects.select_for_update().filter(pk=batch.pk).first()
        dropped = _unsent(batch.pk).delete()[0]
        if dropped:
            audit.record("cancelled tests", batch.registry or batch.server or batch.organisation, tests=dropped)
        _close([batch.pk])
    return dropped


def forget(old: "QuerySet[TestBatch]") -> None:
    """Delete batches of long ago, and what still waits in them; their other tests stay in the history."""
    for batch in old:
        cancel(batch)
        batch.delete()


def drop_orphans() -> None:
    """Delete tests whose turn cannot come: the registry or server that their batch was for is gone, and so is that."""
    RegistryTest.objects.filter(state=Run.State.QUEUED, sent_at=None, batch=None, rotation=None).delete()


def _planned(batch: TestBatch) -> Iterator[RegistryTest]:
    """The tests in the order of their turns: one server after the other, not fifty times the same."""
    organisation = batch.organisation
    registries = [batch.registry] if batch.registry else list(Registry.objects.of(organisation))
    servers = [batch.server] if batch.server else list(Server.objects.of(organisation))
    if not registries:
        raise NothingToTest("There is no registry to test yet. Add one first.")
    if not servers:
        raise NothingToTest("There is no server to test on yet. Add one first.")
    turn = timezone.now()
    for registry in registries:
        registry.organisation = organisation
        for server in servers:
            test = testing.planned(registry=registry, server=server, asked_by=batch.asked_by)
            test.batch, test.sent_at, test.created_at = batch, None, turn
            turn += dt.timedelta(microseconds=1)
            yield test


def _unsent(batch_id: str) -> QuerySet[RegistryTest]:
    return RegistryTest.objects.filter(batch=batch_id, state=Run.State.QUEUED, sent_at=None)


def _chosen(batches: list[TestBatch]) -> list[RegistryTest]:
    """The tests whose turn it is. Each place goes to whoever has the fewest, then to the oldest batch."""
    by_id = {batch.pk: batch for batch in batches}
    on_their_way = list(
        RegistryTest.objects.filter(batch__in=by_id, state__in=UNFINISHED, sent_at__isnull=False).values_list(
            "batch_id", "server_id"
        )
    )
    places = settings.DOKREG_TESTS_AT_ONCE - len(on_their_way)
    if places <= 0:
        return []
    of_batch = Counter(batch_id for batch_id, _server in on_their_way)
    of_asker: Counter[tuple[str, int | None]] = Counter()
    for batch_id, number in of_batch.items():
        of_asker[_asker(by_id[batch_id])] += number
    queues = {batch.pk: _Queue(batch.pk, places) for batch in batches}
    on_server = Counter(server_id for _batch, server_id in on_their_way)
    chosen: list[RegistryTest] = []
    while places and queues:
        batch_id = min(queues, key=lambda pk: (of_asker[_asker(by_id[pk])], of_batch[pk]))  # min: the first of equals
        test = queues[batch_id].next(
            full={pk for pk, number in on_server.items() if pk and number >= PLACES_PER_SERVER}
        )
        if test is None:
            del queues[batch_id]
            continue
        chosen.append(test)
        of_batch[batch_id] += 1
        of_asker[_asker(by_id[batch_id])] += 1
        on_server[test.server_id] += 1
        places -= 1
    return chosen


def _asker(batch: TestBatch) -> tuple[str, int | None]:
    return batch.organisation_id, batch.asked_by_id


class _Queue:
    """The waiting tests of one batch, read a few at a time."""

    def __init__(self, batch_id: str, places: int) -> None:
        self._batch_id, self._places = batch_id, places
        self._read: list[RegistryTest] = []
        self._taken: list[str] = []
        self._is_empty = False

    def next(self, *, full: set[str]) -> RegistryTest | None:
        """The next test for a server that is not full."""
        while True:
            for index, test in enumerate(self._read):
                if test.server_id not in full:
                    self._taken.append(test.pk)
                    return self._read.pop(index)
            if self._is_empty:
                return None
            self._read_on(full)

    def _read_on(self, full: set[str]) -> None:
        rows = _unsent(self._batch_id).exclude(pk__in=self._taken).exclude(server__in=full)
        self._read = list(rows.order_by("created_at").select_related("registry")[: self._places])
        self._is_empty = not self._read


def _send(tests: list[RegistryTest]) -> None:
    from registries.tasks import run_registry_test

    now = timezone.now()
    sent = []
    for test in tests:
        test.sent_at = test.created_at = now  # the sweep counts from here how long nobody has taken it
        test.rungs = testing.rungs_of(test)
        if _unsent(str(test.batch_id)).filter(pk=test.pk).update(sent_at=now, created_at=now, rungs=test.rungs):
            sent.append(test)
            runs.send(run_registry_test, test)
    # After the locks are gone: it changes registries, which others lock before they come here.
    transaction.on_commit(lambda: standings.note_what_is_there(sent, standings.note))


def _place(rungs: list[Rung]) -> Rung:
    """The rung at which a server is entered; a token comes before it, where there is one."""
    return next(rung for rung in rungs if rung["name"] in PLACES)


def _close(batch_ids: list[str]) -> None:
    unfinished = RegistryTest.objects.filter(batch=OuterRef("pk"), state__in=UNFINISHED)
    rows = TestBatch.objects.filter(pk__in=batch_ids, finished_at=None)
    rows.filter(~Exists(unfinished)).update(finished_at=timezone.now())


def _end_alike(test: RegistryTest) -> None:
    """End what waits for the same server in the batch with what this test has found there, instead of trying it."""
    rungs = deepcopy(test.rungs)
    said = f"As for the test of {test.registry or test.url} just before; this one was not tried."
    _place(rungs).update(fact=said, milliseconds=None)
    now = timezone.now()
    with transaction.atomic():
        TestBatch.objects.select_for_update().filter(pk=test.batch_id).first()
        alike = list(_unsent(str(test.batch_id)).filter(server=test.server_id).order_by("created_at"))
        _unsent(str(test.batch_id)).filter(pk__in=[row.pk for row in alike]).update(
            state=Run.State.FAILED,
            verdict=test.verdict,
            rungs=rungs,
            created_at=now,
            sent_at=now,
            finished_at=now,
            revision=F("revision") + 1,
        )
        transaction.on_commit(lambda: standings.note_what_is_there(alike, standings.note_on_servers))
