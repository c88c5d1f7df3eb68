"""What is forgotten, and what stays because it is still shown or needed."""

import datetime as dt
import subprocess
import sys
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from applications.models import Application, Deployment
from applications.retention import ROLLBACKS
from dokreg import retention, tasks
from dokreg.celery import app
from dokreg.doctor import pruning
from dokreg.doctor.checks import OK, WARNING
from organisations.models import AuditEntry, Organisation, User
from organisations.notification_models import Notice
from registries.models import Alarm, ConfigCheck, Registry, RegistryTest, Rotation, Standing
from registries.retention import rules as of_registries
from servers.models import Server, ServerTest
from tests.applications.page_rows import DIGEST, make_deployment, serve
from tests.applications.rows import make_application
from tests.registries.rows import make_registry
from tests.running import ROOT, Running
from tests.servers.rows import make_server, make_test

pytestmark = pytest.mark.django_db
OLD = dt.timedelta(days=91)
LONG = dt.timedelta(days=366)
ENDED = {"started_at": timezone.now(), "finished_at": timezone.now()}


@pytest.fixture
def server(organisation: Organisation) -> Server:
    return make_server(organisation)


@pytest.fixture
def registry(organisation: Organisation, alice: User) -> Registry:
    return make_registry(organisation, alice)


@pytest.fixture
def application(organisation: Organisation, server: Server) -> Application:
    return make_application(organisation, server=server, registry=None, image="nginx:1.27")


def aged(row: Any, age: dt.timedelta, column: str = "created_at") -> Any:
    """The row, as if it were of that age."""
    type(row).objects.filter(pk=row.pk).update(**{column: timezone.now() - age})
    return row


def make_registry_test(registry: Registry, age: dt.timedelta = OLD, **values: Any) -> RegistryTest:
    values = {"state": "passed", "kind": "generic", "url": "r", "organisation": registry.organisation} | values
    return RegistryTest.objects.create(registry=registry, created_at=timezone.now() - age, **values)


def left(model: Any) -> set[Any]:
    retention.prune()
    return set(model.objects.all())


def test_of_old_tests_the_last_of_a_registry_and_of_each_server_stay(registry: Registry, server: Server) -> None:
    make_registry_test(registry)
    last, there, young = (
        make_registry_test(registry),
        make_registry_test(registry),
        make_registry_test(registry, OLD / 2),
    )
    Registry.objects.update(last_test=last)
    Standing.objects.create(organisation=registry.organisation, registry=registry, server=server, last_test=there)
    assert left(RegistryTest) == {last, there, young}
    assert Standing.objects.get().last_test == there
    registry.refresh_from_db()
    assert registry.last_test == last


@pytest.mark.parametrize("state", ["queued", "running"])
def test_what_is_under_way_stays_however_old_it_is(
    state: str, registry: Registry, server: Server, application: Application
) -> None:
    test = make_registry_test(registry, state=state)
    of_server = aged(make_test(server, state, last=False), OLD)
    deployment = aged(make_deployment(application, state), LONG)
    Application.objects.update(last_deployment=None)
    assert left(RegistryTest) == {test}
    assert set(ServerTest.objects.all()) == {of_server}
    assert set(Deployment.objects.all()) == {deployment}


def test_tests_of_new_credentials_stay_while_those_wait_to_be_switched_to(registry: Registry) -> None:
    def tested_with(state: str, expires_at: dt.datetime | None = None) -> RegistryTest:
        values = {"organisation": registry.organisation, "registry": registry, "url": "r"}
        rotation = Rotation.objects.create(**values, state=state, expires_at=expires_at)
        return make_registry_test(registry, rotation=rotation)

    waiting, kept = tested_with("testing"), tested_with("kept", timezone.now())
    tested_with("kept")
    tested_with("switched")
    assert left(RegistryTest) == {waiting, kept}


def test_of_a_server_its_last_test_and_its_last_check_stay(server: Server) -> None:
    aged(make_test(server), OLD)
    last = aged(make_test(server), OLD)
    checks = [
        ConfigCheck.objects.create(
            organisation=server.organisation, server=server, state="passed", created_at=timezone.now() - OLD * number
        )
        for number in (2, 1)
    ]
    assert left(ServerTest) == {last}
    assert set(ConfigCheck.objects.all()) == {checks[1]}


def test_of_alarms_those_that_are_over_go(registry: Registry) -> None:
    def alarm(kind: str, **values: Any) -> Alarm:
        return Alarm.objects.create(organisation=registry.organisation, registry=registry, kind=kind, **values)

    standing = aged(alarm("ends_soon"), LONG)
    just_over = aged(alarm("not_working", cleared_at=timezone.now()), LONG)
    alarm("not_working", cleared_at=timezone.now() - OLD)
    assert left(Alarm) == {standing, just_over}


def test_what_can_be_rolled_back_to_stays(application: Application) -> None:
    brought = [
        aged(make_deployment(application, digest=DIGEST), LONG + dt.timedelta(days=number))
        for number in range(ROLLBACKS + 3)
    ]
    for number in range(20):  # these bring nothing, and count for nothing
        aged(make_deployment(application, "failed"), LONG + dt.timedelta(hours=number))
        aged(make_deployment(application, action="restart"), LONG + dt.timedelta(hours=number))
    serve(application, brought[-1])
    last = Application.objects.get().last_deployment
    assert left(Deployment) == {*brought[:ROLLBACKS], brought[-1], last}


def test_what_may_have_left_something_on_a_server_stays(application: Application) -> None:
    to_tidy = aged(make_deployment(application, "lost", to_tidy=True), LONG)
    make_deployment(application)
    assert to_tidy in left(Deployment)


def test_logs_go_before_their_deployments(application: Application) -> None:
    old, serving, young = (make_deployment(application, log="12:00:00 Pulled\n") for _ in range(3))
    aged(old, OLD)
    aged(serving, OLD)
    serve(application, serving)
    assert left(Deployment) == {old, serving, young}
    logs = dict(Deployment.objects.values_list("pk", "log"))
    assert [logs[row.pk] for row in (old, serving, young)] == ["", serving.log, young.log]


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["succeeded", "succeeded", "failed", "lost", "cancelled"]),
            st.booleans(),
            st.integers(0, 800),
            st.booleans(),
        ),
        max_size=30,
    ),
    serving=st.integers(0, 29),
)
def test_whatever_happened_an_application_can_go_on(
    application: Application, rows: list[tuple[str, bool, int, bool]], serving: int
) -> None:
    """What is served, shown last, to be tidied, young, or among the last images stays; everything else goes."""
    application.deployments.all().delete()
    made = [
        aged(
            make_deployment(application, state, digest=DIGEST if brings else "", to_tidy=to_tidy),
            dt.timedelta(days=days, seconds=number),
        )
        for number, (state, brings, days, to_tidy) in enumerate(rows)
    ]
    if made:
        serve(application, made[serving % len(made)])
    needed = {row.pk for row in made if row.to_tidy}
    needed |= set(
        application.deployments.filter(created_at__gt=timezone.now() - dt.timedelta(days=365)).values_list(
            "pk", flat=True
        )
    )
    images = application.deployments.filter(state="succeeded").exclude(digest="").order_by("-created_at")
    needed |= set(images.values_list("pk", flat=True)[:ROLLBACKS])
    application.refresh_from_db()
    needed |= {application.serving_id, application.last_deployment_id} - {None}
    retention.prune()
    assert set(application.deployments.values_list("pk", flat=True)) == needed


def test_audit_entries_stay_for_two_years_or_for_ever(organisation: Organisation, settings: Settings) -> None:
    AuditEntry.objects.update(timestamp=timezone.now() - dt.timedelta(days=729))
    before = AuditEntry.objects.count()
    assert before > 0
    assert len(left(AuditEntry)) == before
    AuditEntry.objects.update(timestamp=timezone.now() - dt.timedelta(days=100_000))
    settings.DOKREG_KEEP_AUDIT_DAYS = 0
    assert len(left(AuditEntry)) == before
    settings.DOKREG_KEEP_AUDIT_DAYS = 730
    assert left(AuditEntry) == set()


def test_notices_sessions_and_refused_sign_ins_go(organisation: Organisation) -> None:
    now = timezone.now()
    for days, title in ((91, "old"), (89, "young")):
        values = {"organisation": organisation, "level": "info", "path": "/"}
        Notice.objects.create(**values, title=title, created_at=now - dt.timedelta(days=days))
    Session.objects.create(session_key="old", expire_date=now - dt.timedelta(seconds=1))
    Session.objects.create(session_key="young", expire_date=now + dt.timedelta(days=1))
    values = {"ip_address": "192.0.2.1", "user_agent": "x", "path_info": "/", "failures_since_start": 1}
    for name in ("old", "young"):
        AccessAttempt.objects.create(username=name, **values)
    AccessAttempt.objects.filter(username="old").update(attempt_time=now - dt.timedelta(days=2))
    retention.prune()
    assert [row.title for row in Notice.objects.all()] == ["young"]
    assert [row.session_key for row in Session.objects.all()] == ["young"]
    assert [row.username for row in AccessAttempt.objects.all()] == ["young"]


def test_every_setting_holds_for_ever_at_zero(settings: Settings, registry: Registry) -> None:
    make_registry_test(registry)
    settings.DOKREG_KEEP_TESTS_DAYS = 0
    assert len(left(RegistryTest)) == 1
    assert {rule.name for rule in of_registries() if rule.kept is None} == {
        "registry tests", "checks of Docker configs", "cleared alarms",
    }  # fmt: skip


def test_it_goes_in_batches_and_each_is_small(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 5)
    monkeypatch.setattr(retention, "LOOKED_UP", 10)
    for _ in range(23):
        make_registry_test(registry)
    sizes: list[int] = []
    forget = retention._forget

    def noted(rule: retention.Rule, keys: list[Any]) -> int:
        sizes.append(len(keys))
        return forget(rule, keys)

    monkeypatch.setattr(retention, "_forget", noted)
    assert retention.prune()["registry tests"] == 23
    assert sizes == [5, 5, 5, 5, 3]


@pytest.mark.parametrize("number", [3, 30])
def test_a_batch_takes_as_many_queries_whatever_is_in_it(
    number: int, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = next(rule for rule in of_registries() if rule.name == "registry tests")
    keys = [make_registry_test(registry).pk for _ in range(number)]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert retention._forget(rule, keys) == number
    assert len(queries) <= 8, [query["sql"] for query in queries]


def test_when_its_time_is_over_the_rest_waits_for_the_next_time(registry: Registry) -> None:
    make_registry_test(registry)
    assert set(retention.prune(seconds=0).values()) == {0}
    assert RegistryTest.objects.count() == 1
    tasks.prune()
    assert RegistryTest.objects.count() == 0


def test_beat_asks_for_it_once_an_hour() -> None:
    entry = app.conf.beat_schedule["prune"]
    assert (entry["task"], entry["schedule"]) == (tasks.prune.name, 3600)


def test_a_row_that_is_needed_by_now_stays(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the deletion somebody has made it the last one of its registry."""
    test = make_registry_test(registry)
    rule = next(rule for rule in of_registries() if rule.name == "registry tests")
    keys = list(rule.rows.values_list("pk", flat=True))
    Registry.objects.update(last_test=test)
    assert (keys, retention._forget(rule, keys)) == ([test.pk], 0)


def test_the_command_says_how_many(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        make_registry_test(registry)
    call_command("prune", dry_run=True)
    assert capsys.readouterr().out.splitlines()[-1] == "3 rows may go."
    assert RegistryTest.objects.count() == 3
    call_command("prune")
    assert capsys.readouterr().out.splitlines() == ["registry tests: 3", "3 rows are gone."]


def test_two_at_once_forget_everything_once(tmp_path: Any) -> None:
    installation = Running(tmp_path / "data")
    installation.run_module("tests.dokreg.old_rows", {"tests": 2000, "kept": 3})
    both = [
        subprocess.Popen(
            [sys.executable, "manage.py", "prune"],
            cwd=ROOT, env=installation.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum(int(output.split()[-4]) for output, _errors in said) == 2000
    assert installation.column("SELECT COUNT(*) FROM registries_registrytest") == [3]


# What the doctor says of it


def told() -> dict[str, str]:
    return {finding.name: finding.fact for finding in pruning.look_at_it() if finding.state == WARNING}


def test_the_doctor_tells_of_what_should_be_gone_since_a_day(registry: Registry) -> None:
    kept = dt.timedelta(days=90)
    make_registry_test(registry, kept + dt.timedelta(hours=23))
    assert told() == {}
    make_registry_test(registry, kept + dt.timedelta(days=3, hours=1))
    make_registry_test(registry, kept + dt.timedelta(days=2))
    assert told() == {"Registry tests": "the oldest should have gone 3 days ago"}
    call_command("prune")
    (finding,) = pruning.look_at_it()
    assert finding.state == OK


def test_what_is_kept_for_ever_or_still_needed_is_not_late(registry: Registry, settings: Settings) -> None:
    last = make_registry_test(registry, LONG)
    Registry.objects.update(last_test=last)
    assert told() == {}
    Registry.objects.update(last_test=None)
    settings.DOKREG_KEEP_TESTS_DAYS = 0
    assert told() == {}


@pytest.mark.parametrize("rule", retention.all_rules(), ids=lambda rule: rule.name)
def test_each_rule_names_the_column_by_which_its_rows_go(rule: retention.Rule) -> None:
    assert f'"{rule.at}" < ' in str(rule.old(timezone.now()).query)
