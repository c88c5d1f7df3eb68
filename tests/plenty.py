"""What `tests.bench.many` leaves out of a large database: the other tables that grow, and what is to be done.

There all is over and nothing is due; here some of each kind waits, runs, is lost, is due, or is old enough to go, so
that dispatchers, sweeps and pruning come to the queries that they ask only then.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from axes.models import AccessAttempt, AccessLog
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.sessions.models import Session
from django.db.models import Model
from django.utils import timezone

from applications.models import Application, ContainerLook, Deployment
from applications.webhook_models import WebhookDelivery, WebhookSignature
from dokreg import retention
from organisations.api_key_models import ApiKey
from organisations.models import Membership, Organisation
from organisations.notification_models import Delivery
from registries.models import (
    Alarm,
    CatalogLook,
    ConfigCheck,
    Draft,
    Login,
    Quota,
    Registry,
    RegistryTest,
    Rotation,
    TestBatch,
    TokenRefresh,
)
from servers.models import Run, Server, ServerTest

EACH = 300  # rows
SOME = 3
WAITING_IN_BATCH = 400
OPEN_ALARM_ONE_IN, TIMED_SIGNATURE_ONE_IN = 60, 60
APART = dt.timedelta(seconds=6)  # also the copies are younger than an hour then, after which looks are forgotten
MINUTE, HOUR, LONG = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=500)


class Plenty:
    """Of an organisation that `tests.bench.many` has filled."""

    def __init__(self, organisation: Organisation) -> None:
        self.organisation, self.now = organisation, timezone.now()
        self.owner = organisation.members.get()
        self.servers = list(Server.objects.of(organisation)[:EACH])
        self.registries = list(Registry.objects.of(organisation)[:EACH])
        self.applications = list(Application.objects.of(organisation)[:EACH])

    def add_history(self) -> None:
        """What is over."""
        _save(self._server_test(number) for number in range(EACH))
        _save(self._config_check(number) for number in range(EACH))
        _save(self._catalog_look(number) for number in range(EACH))
        _save(self._container_look(number) for number in range(EACH))
        _save(self._alarm(number) for number in range(EACH))
        _save(self._rotation(number) for number in range(EACH))
        _save(self._quota(number) for number in range(EACH))
        _save(self._webhook_delivery(number) for number in range(EACH))
        _save(self._webhook_signature(number) for number in range(EACH))
        _save(_api_keys())
        _save(self._session(number) for number in range(EACH))
        _save(self._admin_log_entry(number) for number in range(EACH))
        _save(_sign_in(number) for number in range(EACH))
        _save(_refused_sign_in(number) for number in range(EACH))
        self._add_batches()

    def add_work(self) -> TestBatch:
        """What is not over; answers a batch that is under way."""
        self._add_runs()
        self._add_deployments()
        self._let_registries_be_due()
        self._let_others_be_due()
        self._add_rotations()
        _let_some_grow_old()
        return self._batch_under_way()

    def _at(self, number: int) -> dt.datetime:
        return self.now - APART * (number + 1)

    def _over(self, number: int) -> dict[str, Any]:
        at = self._at(number)
        times = dict.fromkeys(("created_at", "sent_at", "started_at", "finished_at"), at)
        return {"organisation": self.organisation, "asked_by": self.owner, "state": Run.State.PASSED, **times}

    def _server_test(self, number: int) -> ServerTest:
        return ServerTest(server=self.servers[number], **self._over(number))

    def _config_check(self, number: int) -> ConfigCheck:
        return ConfigCheck(server=self.servers[number // 2], **self._over(number))

    def _catalog_look(self, number: int) -> CatalogLook:
        registry = self.registries[number]
        return CatalogLook(registry=registry, url=registry.url, **self._over(number))

    def _container_look(self, number: int) -> ContainerLook:
        return ContainerLook(application=self.applications[number], **self._over(number))

    def _alarm(self, number: int) -> Alarm:
        is_open = number % OPEN_ALARM_ONE_IN == 0
        return Alarm(
            organisation=self.organisation, registry=self.registries[number], place="no longer here",
            kind=Alarm.Kind.values[number % len(Alarm.Kind)], created_at=self._at(number),
            cleared_at=None if is_open else self._at(number),
        )  # fmt: skip

    def _rotation(self, number: int) -> Rotation:
        return Rotation(
            organisation=self.organisation, registry=self.registries[number], asked_by=self.owner, url="r.example.com",
            state=Rotation.State.SWITCHED, created_at=self._at(number), finished_at=self._at(number),
        )  # fmt: skip

    def _quota(self, number: int) -> Quota:
        registry = self.registries[number]
        return Quota(organisation=self.organisation, host=registry.url, registry=registry, limit=200, remaining=number)

    def _webhook_delivery(self, number: int) -> WebhookDelivery:
        return WebhookDelivery(
            application=self.applications[number], outcome=WebhookDelivery.Outcome.IGNORED, created_at=self._at(number)
        )

    def _webhook_signature(self, number: int) -> WebhookSignature:
        return WebhookSignature(
            application=self.applications[number], signature=f"{number:064}", seen_at=self._at(number),
            is_timeless=number % TIMED_SIGNATURE_ONE_IN > 0,
        )  # fmt: skip

    def _session(self, number: int) -> Session:
        return Session(session_key=f"session-{number:024}", session_data="", expire_date=self.now + HOUR * (number + 1))

    def _admin_log_entry(self, number: int) -> LogEntry:
        entry = LogEntry(user=self.owner, object_id=str(number), object_repr="a row", action_flag=CHANGE)
        entry.action_time = self._at(number)
        return entry

    def _add_batches(self) -> None:
        """Each has a few of the tests that are there."""
        batches = [
            TestBatch(
                organisation=self.organisation, registry=self.registries[number], asked_by=self.owner, total=1,
                created_at=self._at(number), finished_at=self._at(number),
            )
            for number in range(EACH)
        ]  # fmt: skip
        _save(iter(batches))
        tests = list(RegistryTest.objects.of(self.organisation))
        for number, test in enumerate(tests):
            test.batch = batches[number % EACH]
        RegistryTest.objects.bulk_update(tests, ["batch"])

    def _unfinished(self) -> Iterator[dict[str, Any]]:
        """Of a run: sent and not taken up, for a while and for too long; and begun by a worker that is gone."""
        shared = {"organisation": self.organisation, "asked_by": self.owner}
        begun = {"started_at": self.now - HOUR, "lease_until": self.now - MINUTE, "worker": "elsewhere:1.1"}
        for age in (MINUTE, HOUR):
            yield shared | {"state": Run.State.QUEUED, "created_at": self.now - age, "sent_at": self.now - age}
        yield shared | begun | {"state": Run.State.RUNNING, "created_at": self.now - HOUR}

    def _add_runs(self) -> None:
        subjects = zip(self.servers, self.registries, self.applications, strict=True)
        for columns, (server, registry, application) in zip(self._unfinished(), subjects, strict=False):
            ServerTest.objects.create(server=server, **columns)
            ConfigCheck.objects.create(server=server, **columns)
            TokenRefresh.objects.create(registry=registry, **columns)
            CatalogLook.objects.create(registry=registry, url=registry.url, **columns)
            RegistryTest.objects.create(registry=registry, server=server, **columns)
            ContainerLook.objects.create(application=application, **columns)
            Deployment.objects.create(application=application, server=application.server, **columns)
        self._add_registry_tests()

    def _add_registry_tests(self) -> None:
        """One that was cut off and has to be tidied after, and one whose turn cannot come any more."""
        cut_off = self._over(0) | {"state": Run.State.LOST, "to_tidy": True}
        RegistryTest.objects.create(registry=self.registries[0], server=self.servers[0], **cut_off)
        RegistryTest.objects.create(organisation=self.organisation, sent_at=None)

    def _add_deployments(self) -> None:
        """Some wait, some are to be tidied up after, some have failed, and there was tidying."""
        applications = iter(self.applications[-20:])
        actions = [*[Deployment.Action.DEPLOY] * SOME, Deployment.Action.RESTART]
        for action in actions:
            self._deployment(next(applications), state=Run.State.QUEUED, action=action, sent_at=None)
        over = {"finished_at": self.now - 2 * MINUTE}
        for columns in ({"to_tidy": True}, {"action": Deployment.Action.TIDY}, {"log": "It failed."}):
            self._deployment(next(applications), state=Run.State.FAILED, **over, **columns)

    def _deployment(self, application: Application, **columns: Any) -> None:
        Deployment.objects.create(
            organisation=self.organisation, application=application, server=application.server, **columns
        )

    def _let_registries_be_due(self) -> None:
        minting = [registry for registry in self.registries if registry.method]
        some = iter(minting[-4 * SOME :])
        for failures in (0, 2):
            for _number in range(SOME):
                _change(next(some), refresh_due_at=self.now - MINUTE, refresh_failures=failures)
        for _number in range(SOME):
            _change(next(some), token_expires_at=self.now - MINUTE)
            _change(next(some), secret_ends_on=self.now.date())

    def _let_others_be_due(self) -> None:
        logins = iter(Login.objects.of(self.organisation)[: 3 * SOME])
        deliveries = iter(Delivery.objects.all()[: 2 * SOME])
        for number in range(SOME):
            _change(next(logins), due_at=self.now - MINUTE)
            _change(next(logins), registry=None)
            _change(next(logins), verdict="host_key_unconfirmed", due_at=self.now + HOUR)
            _change(next(deliveries), state=Delivery.State.QUEUED, due_at=self.now - MINUTE)
            _change(next(deliveries), state=Delivery.State.SENDING, lease_until=self.now - MINUTE)
            _change(self.applications[number], poll_minutes=5, poll_due_at=self.now - MINUTE)
        for session in Session.objects.all()[:SOME]:
            _change(session, expire_date=self.now - MINUTE)
        Draft.objects.create(organisation=self.organisation, created_by=self.owner, expires_at=self.now - MINUTE)

    def _add_rotations(self) -> None:
        """One that nobody took up, one whose tests have ended, and one that was kept for long enough."""
        states = (Rotation.State.STAGED, Rotation.State.TESTING, Rotation.State.KEPT)
        for state, registry in zip(states, self.registries, strict=False):
            rotation = Rotation.objects.create(
                organisation=self.organisation, registry=registry, asked_by=self.owner, url=registry.url,
                state=state, created_at=self.now - 2 * MINUTE, expires_at=self.now - MINUTE,
            )  # fmt: skip
            ended = self._over(0) | {"state": Run.State.FAILED}
            RegistryTest.objects.create(rotation=rotation, server=self.servers[0], **ended)

    def _batch_under_way(self) -> TestBatch:
        """Of every server; it has just begun."""
        batch = TestBatch.objects.create(
            organisation=self.organisation, registry=self.registries[0], asked_by=self.owner, total=WAITING_IN_BATCH
        )
        like = RegistryTest.objects.of(self.organisation).filter(state=Run.State.PASSED)[0]
        _save(
            RegistryTest(
                organisation=self.organisation, batch=batch, registry=batch.registry, kind=like.kind, url=like.url,
                rungs=[{**rung, "state": "waiting"} for rung in like.rungs], sent_at=None,
                server=self.servers[number % len(self.servers)],
                state=Run.State.PASSED if number < SOME else Run.State.QUEUED,
            )
            for number in range(WAITING_IN_BATCH)
        )  # fmt: skip
        return batch


def _api_keys() -> Iterator[ApiKey]:
    """Revoked ones of many members: those that work are fifty at most for each."""
    memberships = list(Membership.objects.all())
    for number in range(EACH):
        membership = memberships[number % len(memberships)]
        yield ApiKey(
            organisation_id=membership.organisation_id, membership=membership, name=f"key {number}",
            start="abcdef", key_hash=f"{number:064}", revoked_at=timezone.now(),
        )  # fmt: skip


def _sign_in(number: int) -> AccessLog:
    return AccessLog(username="alice", ip_address="192.0.2.1", user_agent="x", path_info=f"/sign-in/?{number}")


def _refused_sign_in(number: int) -> AccessAttempt:
    return AccessAttempt(
        username=f"mallory {number}", ip_address="192.0.2.9", user_agent="x", failures_since_start=2, path_info="/"
    )


def _let_some_grow_old() -> None:
    """Of each kind that is forgotten some time, a few rows are due for that."""
    for rule in retention.all_rules():
        rows = rule.old(timezone.now())
        some = list(rows.order_by().values_list("pk", flat=True)[:SOME])
        rows.model._default_manager.filter(pk__in=some).update(**{rule.at: timezone.now() - LONG})


def _change(row: Model, **columns: Any) -> None:
    type(row)._default_manager.filter(pk=row.pk).update(**columns)


def _save(rows: Iterator[Any]) -> None:
    """All of one table."""
    every = list(rows)
    type(every[0])._default_manager.bulk_create(every)
