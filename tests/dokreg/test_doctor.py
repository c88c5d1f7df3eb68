"""The doctor where parts of an installation are away, slow or wrong."""

import datetime as dt
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import django
import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

import dokreg
from dokreg import health, keys
from dokreg.celery import app
from dokreg.deadlines import DeadlinePassed, within
from dokreg.doctor import background, checks, database, examining, installation
from dokreg.doctor.checks import DATABASE, ERROR, OK, WARNING, Check, Finding
from dokreg.models import Heartbeat
from organisations.models import Organisation
from registries import diagnosis as of_registries
from registries.models import Login, Registry
from servers import diagnosis as of_servers
from servers.models import Run, ServerTest
from tests.lab.postgres import Postgres
from tests.lab.redis import Redis
from tests.running import ROOT
from tests.servers.rows import make_server, make_test

Report = dict[str, list[dict[str, str]]]
LONGEST_SECONDS = 30.0  # for the whole command, on a machine that is busy


# One check


def asked(look: Any, *, needs: tuple[str, ...] = (), away: tuple[str, ...] = ()) -> list[Finding]:
    check = Check("Part", look, frozenset(needs), is_thorough=False)
    return list(examining._findings(check, set(away), everything=True))


def test_a_check_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "CHECK_SECONDS", 0.2)
    (finding,) = asked(lambda: time.sleep(60))
    assert (finding.fact, finding.state) == ("No answer within 0.2 s.", ERROR)


def test_a_check_that_breaks_says_so_without_the_words_of_the_error() -> None:
    def broken() -> list[Finding]:
        raise ValueError("redis://:marked-password@host")

    (finding,) = asked(broken)
    assert (finding.fact, finding.state) == ("The look at it broke off (ValueError).", ERROR)


def test_what_needs_what_is_away_is_not_asked() -> None:
    (finding,) = asked(lambda: pytest.fail("asked"), needs=(DATABASE,), away=(DATABASE,))
    assert (finding.fact, finding.state) == ("Not known: the database does not answer.", WARNING)


def test_a_thorough_check_is_for_the_command_alone() -> None:
    check = Check("Part", lambda: [Finding("a", "b")], frozenset(), is_thorough=True)
    assert list(examining._findings(check, set(), everything=False)) == []
    assert len(list(examining._findings(check, set(), everything=True))) == 1


def test_a_deadline_is_gone_after_its_block() -> None:
    with within(0.05):
        pass
    time.sleep(0.1)
    with pytest.raises(DeadlinePassed), within(0.05):
        time.sleep(10)


def test_the_worst_finding_is_the_state_of_the_whole() -> None:
    def state(*states: str) -> str:
        return checks.Report([checks.Section("s", [Finding("a", "b", found) for found in states])]).state

    assert [state(), state(OK), state(OK, WARNING), state(ERROR, OK, WARNING)] == [OK, OK, WARNING, ERROR]


# What rows say


@pytest.fixture
def organisation(db: None) -> Organisation:
    return Organisation.objects.create(name="Acme", slug="acme")


def unwell(findings: Iterator[Finding]) -> dict[str, str]:
    return {finding.name: finding.state for finding in findings if finding.state != OK}


def test_two_beats_are_noticed(db: None) -> None:
    for name in ("beat one:1", "beat two:2"):
        Heartbeat.objects.create(name=name)
    assert unwell(background.look_at_beat()) == {"Beats": WARNING}
    Heartbeat.objects.filter(name="beat two:2").update(at=timezone.now() - health.ALIVE_WITHIN * 2)
    assert unwell(background.look_at_beat()) == {}


def test_a_run_that_nobody_has_is_noticed(organisation: Organisation) -> None:
    server = make_server(organisation)
    now = timezone.now()
    run = make_test(server, Run.State.RUNNING, lease_until=now)
    assert unwell(of_servers.look_at_runs()) == {}
    ServerTest.objects.filter(pk=run.pk).update(lease_until=now - dt.timedelta(minutes=5))
    assert unwell(of_servers.look_at_runs()) == {"Server test": WARNING}


def test_runs_are_counted_by_state_and_by_cause_in_one_look_at_each_kind(organisation: Organisation) -> None:
    server = make_server(organisation)
    ends = [("failed", "ssh_timeout"), ("failed", "ssh_timeout"), ("failed", "docker_missing"), ("lost", "worker_lost")]
    for state, verdict in [*ends, ("passed", ""), ("passed", "slow")]:
        make_test(server, state, verdict=verdict)
    with CaptureQueriesContext(connection) as asked:
        states, causes, _waits = of_servers.count_runs()
    number = {state: states.values["server_test", state] for state in ("passed", "failed", "lost")}
    assert number == {"passed": 2, "failed": 3, "lost": 1}
    assert causes.values == {
        ("server_test", "ssh_timeout"): 2,
        ("server_test", "docker_missing"): 1,
        ("server_test", "worker_lost"): 1,
    }
    assert len(asked) == 2 * len(of_servers.kinds())


def test_servers_that_were_not_reached_are_named(organisation: Organisation) -> None:
    server = make_server(organisation)
    make_test(server, Run.State.FAILED, last=False, verdict="ssh_timeout")
    assert unwell(of_servers.look_at_servers()) == {}
    make_test(server, Run.State.FAILED, verdict="ssh_timeout")
    (finding,) = of_servers.look_at_servers()
    assert (finding.state, finding.fact) == (WARNING, "1 of 1 not reached")
    assert server.name in finding.why


def test_tokens_are_told_by_their_state(organisation: Organisation) -> None:
    now = timezone.now()
    rows: dict[str, dict[str, Any]] = {
        "ended": {"token_issued_at": now, "token_expires_at": now - dt.timedelta(hours=1)},
        "ending": {"token": "t", "token_issued_at": now, "token_expires_at": now + dt.timedelta(minutes=5)},
        "overdue": {"refresh_due_at": now - dt.timedelta(minutes=9)},
        "stopped": {"refresh_failures": 3},
        "none": {"method": ""},
    }
    for name, columns in rows.items():
        row: dict[str, Any] = {
            "method": "access_key",
            "kind": "ecr",
            "url": "r",
            "username": "u",
            "password": "p",
        } | columns
        Registry.objects.create(organisation=organisation, name=name, **row)
    named = {finding.name: finding.why for finding in of_registries.look_at_tokens()}
    assert named["Ended"].startswith("ended (Acme). ")
    assert unwell(of_registries.look_at_tokens()) == {
        "Ended": ERROR,
        "Ending within 15 min": WARNING,
        "Overdue by 5 min": ERROR,
        "Not refreshed any more": WARNING,
    }
    (tokens, registries) = of_registries.count_tokens()
    states = [registry.token_state for registry in Registry.objects.exclude(method="")]
    assert tokens.values == {(state,): states.count(state) for state in ("fresh", "failing", "expired", "waiting")}
    assert registries.values == {(): 5}


def test_of_many_tokens_the_first_are_named(organisation: Organisation) -> None:
    ends_at = timezone.now() - dt.timedelta(hours=1)
    for number in range(7):
        Registry.objects.create(
            organisation=organisation, name=f"r{number}", method="access_key", kind="ecr", url=f"r{number}",
            username="u", password="p", token_expires_at=ends_at,
        )  # fmt: skip
    ended = next(finding for finding in of_registries.look_at_tokens() if finding.name == "Ended")
    assert ended.fact == "7"
    assert "r4 (Acme) and others. What is pulled" in ended.why


def test_secrets_that_end_and_logins_that_fail_are_named(organisation: Organisation) -> None:
    row: dict[str, Any] = {"organisation": organisation, "kind": "generic", "username": "u", "password": "p"}
    today = timezone.now().date()
    ending = Registry.objects.create(name="ends", url="a", secret_ends_on=today + dt.timedelta(days=13), **row)
    Registry.objects.create(name="lasts", url="b", secret_ends_on=today + dt.timedelta(days=30), **row)
    assert [finding.why.partition(".")[0] for finding in of_registries.look_at_secrets()] == ["ends (Acme)"]
    login = Login.objects.create(
        organisation=organisation, server=make_server(organisation), registry=ending, registry_name=ending.name,
        url=ending.url, username="u",
    )  # fmt: skip
    assert unwell(of_registries.look_at_logins()) == {}
    Login.objects.filter(pk=login.pk).update(failures=2)
    (_all, failing) = of_registries.look_at_logins()
    assert failing.why.startswith("ends on web-1. ")


def test_migrations_that_are_not_applied_are_named(db: None) -> None:
    assert unwell(database.look_at_migrations()) == {}
    MigrationRecorder.Migration.objects.filter(app="dokreg").order_by("-id")[0].delete()
    (finding,) = database.look_at_migrations()
    assert (finding.fact, finding.state) == ("1 not applied", ERROR)
    assert "dokreg." in finding.why


@pytest.mark.parametrize(("free", "state"), [(50_000_000, ERROR), (500_000_000, WARNING), (5_000_000_000, OK)])
def test_little_room_and_an_open_folder_of_keys_are_noticed(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    settings.DOKREG_DATA = tmp_path
    (tmp_path / "keys").mkdir(mode=0o700)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10**10, used=10**10 - free, free=free))
    assert [finding.state for finding in installation.look_at_data_folder()] == [state]
    (tmp_path / "keys").chmod(0o750)
    assert [finding.state for finding in installation.look_at_data_folder()] == [state, ERROR]


def test_a_queue_that_nobody_fetches_from_is_named(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Inspected:
        def __init__(self, **_: object) -> None: ...

        def active_queues(self) -> dict[str, list[dict[str, str]]]:
            return {"worker@one": [{"name": "default"}]}

        def stats(self) -> dict[str, Any]:
            return {"worker@one": {"pool": {"max-concurrency": 28}}}

    monkeypatch.setattr(app.control, "inspect", Inspected)
    found = {finding.name: finding.fact for finding in background.look_at_the_workers()}
    assert found == {"worker@one": "28 threads, queues default", "Queue ssh": "nobody fetches from it"}


def test_the_versions_are_told() -> None:
    told = {finding.name: finding.fact for finding in installation.look_at_versions()}
    assert (told["dokreg"], told["Django"]) == (dokreg.__version__, django.__version__)


# The command, with a PostgreSQL and a Redis that come and go


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Postgres, Redis]]:
    folder = tmp_path_factory.mktemp("doctor")
    folder.chmod(0o711)
    for parent in folder.parents[:2]:
        parent.chmod(0o711)
    with Postgres(folder / "postgres") as postgres, Redis(folder / "redis") as redis, postgres.database("doc") as name:
        environment = {
            "PATH": os.environ["PATH"],
            "DOKREG_DATA": str(folder / "data"),
            "DATABASE_URL": postgres.url(name, password="marked-password"),
            "REDIS_URL": redis.url,
            "DOKREG_SECRET_KEY": keys.new_key(),
            "DOKREG_FERNET_KEYS": keys.new_key(),
        }
        subprocess.run([sys.executable, "manage.py", "prepare"], cwd=ROOT, env=environment, check=True)
        yield environment, postgres, redis


def report_of(environment: dict[str, str]) -> tuple[int, Report]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert time.monotonic() - began < LONGEST_SECONDS
    assert "marked-password" not in done.stdout + done.stderr
    assert environment["DOKREG_SECRET_KEY"] not in done.stdout
    assert environment["DOKREG_FERNET_KEYS"] not in done.stdout
    return done.returncode, {s["name"]: s["findings"] for s in json.loads(done.stdout)["sections"]}


@pytest.mark.parametrize(("answers", "state"), [((0.0,), OK), ((0.05, 0.0), OK), ((0.03,), WARNING)])
def test_a_busy_moment_is_not_a_long_way(answers: tuple[float, ...], state: str) -> None:
    waits = itertools.cycle(answers)
    found = checks.round_trip(lambda: time.sleep(next(waits)), why="It is far.", fix="Move it.")
    assert (found.state, found.why) == (state, "It is far." if state == WARNING else "")


def test_postgresql_and_redis_are_told_of(variables: tuple[dict[str, str], Postgres, Redis]) -> None:
    status, found = report_of(variables[0])
    named = {finding["name"]: finding for section in ("Database", "Broker") for finding in found[section]}
    assert [name for name, finding in named.items() if finding["state"] != OK] == []
    assert named["Connections"]["fact"].endswith(" of 300")
    assert named["Clock"]["fact"].endswith("s from the database's")
    assert named["Queue ssh"]["fact"] == "0 tasks waiting"
    assert found["Workers"][0]["state"] == ERROR
    assert status == 1


def test_with_other_keys_it_says_so(variables: tuple[dict[str, str], Postgres, Redis]) -> None:
    status, found = report_of(variables[0] | {"DOKREG_FERNET_KEYS": keys.new_key()})
    assert found["Keys"][0]["fact"] == "None of them opens this database."
    assert status == 1


@pytest.mark.parametrize("away", ["Database", "Broker"])
def test_without_one_part_the_rest_still_answers(variables: tuple[dict[str, str], Postgres, Redis], away: str) -> None:
    environment, postgres, redis = variables
    daemon = postgres if away == "Database" else redis
    daemon.stop()
    try:
        status, found = report_of(environment)
    finally:
        daemon.start()
    there = "Broker" if away == "Database" else "Database"
    assert [(finding["fact"], finding["state"]) for finding in found[away]] == [("It does not answer.", ERROR)]
    assert found[there][0]["state"] == OK
    assert found["Data folder"][0]["state"] == OK
    assert found["Workers"][0]["fact"] == f"Not known: the {away.lower()} does not answer."
    assert status == 1


def test_a_database_that_hangs_holds_nobody_up(variables: tuple[dict[str, str], Postgres, Redis]) -> None:
    environment, postgres, _redis = variables
    with postgres.connected("doc") as held:
        held.execute("BEGIN")
        held.execute("LOCK TABLE registries_registry, dokreg_keycanary IN ACCESS EXCLUSIVE MODE")
        status, found = report_of(environment)
    assert status == 1
    assert found["Keys"][0]["fact"].startswith("The database did not answer this")
    assert found["Registries"][0]["fact"].startswith("The database did not answer this")
    assert found["Database"][0]["state"] == OK
