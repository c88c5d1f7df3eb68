"""Restoring where dokreg runs, in the middle of which something is killed, and what must not come back to life."""

import contextlib
import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from applications.models import Deployment
from dokreg.backup import endings
from dokreg.models import Heartbeat
from organisations import notifying
from organisations.models import Invitation, Organisation, SetupLink, User
from organisations.notification_models import Delivery, NotificationChannel
from registries import batches
from registries.models import Draft, Registry, RegistryTest, Rotation, TokenRefresh
from registries.models import TestBatch as Batch
from servers.models import ConfigTurn, Server, ServerTest
from tests.applications.page_rows import make_deployment
from tests.applications.rows import make_application
from tests.dokreg.installations import fill, on_postgres, on_sqlite, refusal
from tests.lab import sshd
from tests.lab.fixtures import ALICE
from tests.lab.postgres import Postgres
from tests.lab.registry import BasicRegistry
from tests.owner import PASSWORD, Owner
from tests.registries.rows import make_registry
from tests.running import ROOT, Running, running
from tests.servers.rows import make_server, make_test
from tests.visitor import Visitor

TAKEN = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
# Enough for a middle: some 35 MB, in rows that PostgreSQL does not compress yet.
MANY, LENGTH = 20_000, 1_800
MUCH = """
INSERT INTO organisations_notice (id, organisation_id, created_at, level, title, text, path, is_test)
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {many})
SELECT 'notice' || n, (SELECT id FROM organisations_organisation), '2026-01-01', 'info', 'It is', ?, '/', {false}
FROM numbers
"""


@pytest.fixture
def server(organisation: Organisation) -> Server:
    return make_server(organisation)


@pytest.fixture
def registry(organisation: Organisation, alice: User) -> Registry:
    return make_registry(organisation, alice)


# What must not come back to life


@pytest.mark.django_db
def test_sessions_one_time_links_and_heartbeats_are_gone(organisation: Organisation) -> None:
    Session.objects.create(session_key="s", expire_date=timezone.now() + dt.timedelta(days=1))
    SetupLink.objects.create(token_hash="1" * 64)
    Heartbeat.objects.create(name="beat")
    invitation = Invitation.objects.create(organisation=organisation, token_hash="2" * 64)
    endings.end_all(TAKEN)
    assert [model.objects.count() for model in (Session, SetupLink, Heartbeat)] == [0, 0, 0]
    invitation.refresh_from_db()
    assert not invitation.is_open


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["queued", "sending"])
def test_messages_that_may_have_been_sent_are_not_sent_again(state: str, organisation: Organisation) -> None:
    channel = NotificationChannel(organisation=organisation, name="Chat", shown_as="x")
    channel.address = "json://127.0.0.1:9"
    channel.save()
    notifying.notify(organisation=organisation, level="info", title="x", text="", path="/")
    Delivery.objects.update(state=state, lease_until=timezone.now())
    endings.end_all(TAKEN)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.lease_until) == ("failed", None)
    assert "A backup was restored" in delivery.error


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["queued", "running"])
def test_runs_are_lost_and_their_drafts_are_wiped(
    state: str, organisation: Organisation, server: Server, alice: User
) -> None:
    make_test(server, state)
    test = RegistryTest(organisation=organisation, kind="generic", url="r", state=state, sent_at=None)
    test.draft_password = "s3cret"
    test.save()
    application = make_application(organisation, server=server, registry=None, image="nginx")
    make_deployment(application, state)
    Draft.objects.create(organisation=organisation, created_by=alice, expires_at=timezone.now() + dt.timedelta(hours=1))
    ConfigTurn.objects.create(server=server, claim="x", worker="w:1", lease_until=timezone.now())
    endings.end_all(TAKEN)
    rows = [model.objects.get() for model in (ServerTest, RegistryTest, Deployment)]
    assert [(row.state, row.verdict) for row in rows] == [("lost", "restored")] * 3
    assert all("A backup was restored" in row.explanation for row in rows)
    assert RegistryTest.objects.get().draft_password is None
    assert [model.objects.get().to_tidy for model in (RegistryTest, Deployment)] == [state == "running"] * 2
    assert not Draft.objects.exists()
    assert ConfigTurn.objects.get().claim == ""


@pytest.mark.django_db
def test_what_is_over_stays_as_it_is(organisation: Organisation, server: Server) -> None:
    before = [make_test(server, state) for state in ("passed", "failed", "lost")]
    endings.end_all(TAKEN)
    assert [ServerTest.objects.get(pk=row.pk).verdict for row in before] == ["", "", ""]


@pytest.mark.django_db
def test_tests_that_wait_for_their_turn_are_lost_and_their_batch_is_closed(
    organisation: Organisation, registry: Registry, server: Server, alice: User
) -> None:
    batches.ask(organisation=organisation, registry=registry, server=server, asked_by=alice)
    endings.end_all(TAKEN)
    batches.pump()
    assert RegistryTest.objects.get().state == "lost"
    assert Batch.objects.get().finished_at is not None


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["staged", "testing", "kept"])
def test_new_credentials_are_not_switched_to(state: str, organisation: Organisation, registry: Registry) -> None:
    rotation = Rotation(organisation=organisation, registry=registry, state=state, url="r", expires_at=timezone.now())
    rotation.password = "new"
    rotation.save()
    endings.end_all(TAKEN)
    rotation.refresh_from_db()
    assert (rotation.state, rotation.password, rotation.can_be_switched) == ("kept", None, False)


@pytest.mark.django_db
def test_a_token_that_was_being_minted_is_due(organisation: Organisation, alice: User) -> None:
    account = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "role_arn": "", "external_id": ""}
    host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    minting = make_registry(
        organisation, alice, kind="ecr", url=host, username="AWS", method="access_key", account=account
    )
    assert minting.refreshes.get().state == "queued"
    endings.end_all(TAKEN)
    minting.refresh_from_db()
    assert TokenRefresh.objects.get().state == "lost"
    assert minting.refresh_due_at is not None
    assert minting.refresh_due_at <= timezone.now()


# A whole one


@pytest.mark.once
def test_a_restored_registry_passes_its_test_and_nobody_is_signed_in(
    tmp_path: Path, server_one: sshd.Server, lab_registry: BasicRegistry
) -> None:
    file = str(tmp_path / "dokreg.tar.gz")
    with running(tmp_path / "first", is_embedded=True) as dokreg:
        owner = Owner(dokreg)
        server_id = owner.add_server("web-1", server_one)
        registry_id = owner.add_registry(lab_registry.host, ALICE)
        dokreg.manage("backup", file)
        assert "already runs" in refusal(dokreg, "restore", "--replace", file)
        cookies = owner.cookies
    second = Running(tmp_path / "second", is_embedded=True, DOKREG_ALLOW_LOOPBACK="true")
    second.manage("restore", file)
    with _started(second):
        stale = Visitor(second.url)
        stale.cookies = cookies
        assert "/sign-in/" in stale.get("/acme/settings/registries/").address
        visitor = Visitor(second.url)
        visitor.sign_in("alice", PASSWORD)
        page = f"/acme/settings/registries/{registry_id}/"
        visitor.get(page)
        answer = visitor.htmx_post(f"{page}test/", server=server_id)
        assert 'data-state="passed"' in visitor.ladder(answer.match(r'hx-get="([^"]+)"'))


@contextlib.contextmanager
def _started(dokreg: Running) -> Iterator[None]:
    dokreg.start()
    try:
        yield
    finally:
        dokreg.stop()
        dokreg.process.kill()


@pytest.mark.once
def test_workers_elsewhere_are_noticed_by_their_heartbeats(tmp_path: Path) -> None:
    installation = on_sqlite(tmp_path / "data")
    installation.manage("backup", str(tmp_path / "b.tar.gz"))
    installation.change("INSERT INTO dokreg_heartbeat (name, at) VALUES ('worker far', ?)", _now())
    restoring = _restore(installation, tmp_path / "b.tar.gz")
    while restoring.poll() is None:  # a worker that still lives
        installation.change("UPDATE dokreg_heartbeat SET at = ?", _now())
        time.sleep(0.2)
    assert "dokreg runs (worker far). Stop web, workers and beat first." in restoring.communicate()[1]
    assert restoring.returncode == 1
    assert "are restored" in installation.manage("restore", str(tmp_path / "b.tar.gz"))  # it has ended by now


def _now() -> str:
    return timezone.now().strftime("%Y-%m-%d %H:%M:%S.%f")


def _restore(installation: Running, file: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "manage.py", "restore", "--replace", str(file)],
        cwd=ROOT, env=installation.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


# Killed in the middle


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of an installation with a row of everything; to be copied."""
    data = tmp_path_factory.mktemp("filled") / "data"
    fill(on_sqlite(data))
    return data


@pytest.fixture(scope="module")
def filled_database(filled: Path, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database in PostgreSQL with a row of everything; to be copied. The keys are those of `filled`."""
    with postgres.database("filled") as name:
        installation = on_postgres(tmp_path_factory.mktemp("data"), postgres, name, keys_of=on_sqlite(filled))
        installation.manage("prepare")
        fill(installation)
        yield name


def copy_of(filled: Path, data: Path) -> Running:
    shutil.copytree(filled, data)
    return on_sqlite(data)


@pytest.fixture(scope="module")
def large(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup that takes a while to be restored."""
    folder = tmp_path_factory.mktemp("large")
    installation = copy_of(filled, folder / "data")
    assert installation.change(MUCH.format(many=MANY, false="0"), "x" * LENGTH) == MANY
    installation.manage("backup", str(folder / "b.tar.gz"))
    return folder / "b.tar.gz"


@pytest.mark.once
def test_killed_in_the_middle_sqlite_is_as_it_was(filled: Path, large: Path, tmp_path: Path) -> None:
    installation = copy_of(filled, tmp_path / "data")
    before = _everything(installation)
    wal = installation.data / "dokreg.sqlite3-wal"
    _kill_while(_restore(installation, large), lambda: wal.exists() and wal.stat().st_size > 5_000_000)
    assert installation.column("PRAGMA integrity_check") == ["ok"]
    assert _everything(installation) == before
    installation.manage("restore", "--replace", str(large))
    assert installation.column("SELECT COUNT(*) FROM organisations_notice") == [MANY + 1]
    assert not list(installation.data.glob(".staging-*"))


@pytest.mark.once
def test_killed_in_the_middle_postgresql_is_as_it_was(
    filled: Path, filled_database: str, large: Path, postgres: Postgres, tmp_path: Path
) -> None:
    with postgres.database("killed", template=filled_database) as name, postgres.connected(name) as beside:
        installation = on_postgres(tmp_path / "data", postgres, name, keys_of=on_sqlite(filled))
        before = _everything(installation)
        inserting = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND query LIKE 'INSERT INTO \"organisations_notice%%'"
        )
        _kill_while(_restore(installation, large), lambda: beside.execute(inserting, [name]).fetchone() is not None)
        assert _everything(installation) == before
        installation.manage("restore", "--replace", str(large))
        assert installation.column("SELECT COUNT(*) FROM organisations_notice") == [MANY + 1]


def _everything(installation: Running) -> list[object]:
    return [
        installation.rows("SELECT id, username FROM organisations_user ORDER BY id"),
        installation.rows("SELECT id, name FROM registries_registry ORDER BY id"),
        installation.rows("SELECT id, title FROM organisations_notice ORDER BY id"),
        installation.rows("SELECT app, name FROM django_migrations ORDER BY app, name"),
    ]


def _kill_while(process: "subprocess.Popen[str]", is_in_the_middle: Callable[[], bool]) -> None:
    """Stop the process where the condition holds, make sure that it has not ended, and kill it there."""
    while not is_in_the_middle():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(signal.SIGSTOP)
    seen = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert seen is not None
    assert seen.si_code == os.CLD_STOPPED
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.once
def test_a_database_that_somebody_holds_is_left_as_it_is(
    filled: Path, filled_database: str, tmp_path: Path, postgres: Postgres
) -> None:
    """On PostgreSQL; a transaction that reads is enough."""
    with postgres.database("held", template=filled_database) as name, postgres.connected(name) as beside:
        installation = on_postgres(tmp_path / "data", postgres, name, keys_of=on_sqlite(filled))
        installation.manage("backup", str(tmp_path / "b.tar.gz"))
        with beside.transaction():
            beside.execute("SELECT * FROM organisations_user")
            said = refusal(installation, "restore", "--replace", str(tmp_path / "b.tar.gz"))
        assert "Another process holds the database. It is as it was." in said
