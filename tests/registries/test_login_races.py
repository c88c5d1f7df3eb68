"""What else happens while servers are logged in: on pages, in clouds, and in other workers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from organisations.models import Organisation, User
from registries import login_sync, logins, saving, tokens
from registries.credentials import DockerLogin
from registries.models import Login, Registry, TokenRefresh
from servers import docker_config, ssh, turns, verdicts
from servers.models import ConfigTurn, Server
from tests import beside, prepared
from tests.lab import sshd
from tests.lab.daemons import wait_until
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, BOB, ECR_HOST, NewServer
from tests.lab.registry import BearerRegistry, WideRegistry
from tests.registries.held import away, colon, held_by, let_it_be_due, registry_of, row, write_config
from tests.registries.rows import lab_server
from tests.registries.worker import Worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_servers")]
State = Login.State


# While a server is logged in or out


def while_it_is_done(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object], *, before: bool) -> None:
    """Something happens just before, or just after, an entry is put into a config; once."""
    real = docker_config.keep_login
    left = [happens]

    def keep(*args: Any, **kwargs: Any) -> None:
        if before and left:
            left.pop()()
        real(*args, **kwargs)
        if left:
            left.pop()()

    monkeypatch.setattr(docker_config, "keep_login", keep)


@pytest.mark.parametrize("before", [True, False])
def test_a_server_unticked_while_it_is_logged_in_holds_nothing(
    worker: Worker,
    images: Registry,
    one: Server,
    server_one: sshd.Server,
    monkeypatch: pytest.MonkeyPatch,
    before: bool,
) -> None:
    def untick() -> None:
        logins.choose(registry=images, servers=[])

    while_it_is_done(monkeypatch, untick, before=before)
    worker(logins.choose, registry=images, servers=[one])
    assert held_by(server_one) == {}
    assert not Login.objects.exists()


def test_a_registry_deleted_while_a_server_is_logged_in_leaves_nothing_there(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    while_it_is_done(monkeypatch, lambda: saving.delete_registry(registry=images), before=False)
    worker(logins.choose, registry=images, servers=[one])
    assert held_by(server_one) == {}
    assert not Login.objects.exists()


def test_a_server_that_is_deleted_while_something_is_due_leaves_nothing_to_do(
    worker: Worker, images: Registry, one: Server
) -> None:
    worker.commit(logins.choose, registry=images, servers=[one])
    one.delete()
    worker.work()
    worker()
    assert not Login.objects.exists()


def test_a_server_deleted_while_it_is_logged_in_is_no_trouble(
    worker: Worker, images: Registry, one: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    while_it_is_done(monkeypatch, Server.objects.all().delete, before=False)
    worker(logins.choose, registry=images, servers=[one])
    assert not Login.objects.exists()


def move_server(server: Server, to: Server) -> None:
    """As the form does."""
    for column in ("host", "port", "user", "host_key", "ssh_key"):
        setattr(server, column, getattr(to, column))
    server.save()
    logins.follow_moved(server)


@pytest.fixture
def half_done(worker: Worker, images: Registry, bearer_of_bob: Registry, one: Server) -> list[Registry]:
    """Two registries that are about to be kept on one server."""
    chosen = [images, bearer_of_bob]
    for registry in chosen:
        worker.commit(logins.choose, registry=registry, servers=[one])
    return chosen


@pytest.fixture
def bearer_of_bob(organisation: Organisation, alice: User, bearer_registry: BearerRegistry) -> Registry:
    return registry_of(organisation, alice, bearer_registry.host, "Bearer", BOB)


@pytest.mark.parametrize("before", [True, False])
def test_a_server_moved_while_it_is_logged_in_is_logged_in_where_it_is_now(
    worker: Worker,
    half_done: list[Registry],
    one: Server,
    two: Server,
    server_two: sshd.Server,
    monkeypatch: pytest.MonkeyPatch,
    before: bool,
) -> None:
    while_it_is_done(monkeypatch, lambda: move_server(one, two), before=before)
    worker.work()
    assert set(held_by(server_two)) == {registry.url for registry in half_done}
    assert set(Login.objects.values_list("state", "due_at")) == {(State.HELD, None)}


def test_a_login_that_is_begun_does_not_write_back_what_a_move_has_reset(images: Registry, one: Server) -> None:
    held = Login.objects.create(
        organisation=images.organisation, registry=images, server=one, url=images.url, username="alice",
        registry_name=images.name, state=State.HELD, logged_in_at=timezone.now(), mark="known",
    )  # fmt: skip
    stale = Login.objects.get(pk=held.pk)
    logins.follow_moved(one)
    login_sync._take_place(stale, DockerLogin(images.url, "alice", "secret"))
    held.refresh_from_db()
    assert (held.logged_in_at, held.mark) == (None, "")


def test_what_fails_where_a_server_was_says_nothing_of_where_it_is_now(
    worker: Worker,
    half_done: list[Registry],
    one: Server,
    two: Server,
    server_two: sshd.Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        move_server(one, two)
        raise ssh.Unreachable(verdicts.deadline_passed())

    while_it_is_done(monkeypatch, fail, before=True)
    worker.work()
    assert set(held_by(server_two)) == {registry.url for registry in half_done}
    assert set(Login.objects.values_list("state", "due_at")) == {(State.HELD, None)}


def test_a_server_ticked_again_before_it_was_logged_out_stays_logged_in(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    worker.commit(logins.choose, registry=images, servers=[])
    assert row().is_leaving
    worker(logins.choose, registry=images, servers=[one])
    assert row().state == State.HELD
    assert held_by(server_one) == {images.url: colon(ALICE)}


def test_a_server_ticked_again_while_it_is_logged_out_is_logged_in(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    real = docker_config.remove_login

    def remove(*args: Any, **kwargs: Any) -> None:
        logins.choose(registry=images, servers=[one])
        real(*args, **kwargs)

    monkeypatch.setattr(docker_config, "remove_login", remove)
    worker(logins.choose, registry=images, servers=[])
    assert (row().state, row().due_at) == (State.HELD, None)
    assert held_by(server_one) == {images.url: colon(ALICE)}


def test_ticked_again_while_logging_out_fails_it_is_tried_at_once(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    write_config(server_one, "{")

    def remove(*args: Any, **kwargs: Any) -> None:
        logins.choose(registry=images, servers=[one])
        real(*args, **kwargs)

    real = docker_config.remove_login
    monkeypatch.setattr(docker_config, "remove_login", remove)
    worker(logins.choose, registry=images, servers=[])
    assert (row().state, row().verdict, row().failures) == (State.FAILED, "config_unreadable", 1)


def test_a_token_that_comes_while_a_server_is_logged_in_is_brought_there_as_well(
    worker: Worker, ecr: Registry, one: Server, server_one: sshd.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def come() -> None:
        asked = tokens.ask(registry=Registry.objects.get(), reason=TokenRefresh.Reason.ASKED)
        tokens.run(asked.pk)

    while_it_is_done(monkeypatch, come, before=True)
    worker(logins.choose, registry=ecr, servers=[one])
    old = ecr.token
    ecr.refresh_from_db()
    assert ecr.token
    assert ecr.token != old
    assert held_by(server_one) == {ECR_HOST: f"AWS:{ecr.token.reveal()}"}
    assert (row().mark, row().due_at) == (ecr.login_mark, None)


# Many, and several workers


def test_twenty_registries_on_one_server_are_all_there(
    worker: Worker,
    organisation: Organisation,
    alice: User,
    new_server: NewServer,
    engine_one: Engine,
    wide_registry: WideRegistry,
) -> None:
    server = new_server(engine_one, max_startups=None)  # sshd's own limit
    target = lab_server(organisation, server)
    for number, host in enumerate(wide_registry.hosts(20)):
        registry = registry_of(organisation, alice, host, f"Images {number}")
        worker.commit(logins.choose, registry=registry, servers=[target])
    worker.work()
    assert held_by(server) == dict.fromkeys(wide_registry.hosts(20), colon(ALICE))
    assert set(Login.objects.values_list("state", flat=True)) == {State.HELD}


def test_of_two_workers_one_leaves_quietly(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server
) -> None:
    worker.commit(logins.choose, registry=images, servers=[one])
    turn = turns.take(one.pk)
    assert turn
    login_sync.sync(one.pk)
    assert (row().state, held_by(server_one)) == (State.WAITING, {})
    turns.give_back(one.pk, turn)
    login_sync.sync(one.pk)
    assert row().state == State.HELD


def test_no_more_servers_are_busy_at_once_than_is_set(
    worker: Worker, organisation: Organisation, images: Registry, settings: Settings, server_one: sshd.Server
) -> None:
    settings.DOKREG_LOGINS_AT_ONCE = 2
    servers = [lab_server(organisation, server_one, name=f"s{number}") for number in range(5)]
    worker.commit(logins.choose, registry=images, servers=servers)
    assert Server.objects.filter(config_turn__sent_at__isnull=False).count() == 2
    worker.work()
    assert set(Login.objects.values_list("state", flat=True)) == {State.HELD}


def test_what_the_broker_lost_is_handed_over_again(worker: Worker, images: Registry, one: Server) -> None:
    worker.commit(logins.choose, registry=images, servers=[one])
    worker.lose_all()
    worker()
    assert row().state == State.WAITING  # it may still be on its way
    ConfigTurn.objects.update(sent_at=timezone.now() - logins.RESEND_AFTER)
    worker()
    assert row().state == State.HELD


def test_an_entry_of_a_worker_that_died_is_found_again(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        while_it_is_done(patch, die, before=False)
        with pytest.raises(SystemExit):
            worker(logins.choose, registry=images, servers=[one])
    assert (row().state, row().logged_in_at) == (State.WAITING, None)
    assert held_by(server_one) == {images.url: colon(ALICE)}
    with away(server_one):
        worker(logins.choose, registry=images, servers=[])
        worker()
        assert row().is_leaving
    let_it_be_due()
    worker()
    assert held_by(server_one) == {}
    assert not Login.objects.exists()


ROOT = Path(__file__).resolve().parents[2]
DJANGO = "import json, sys, types, django; django.setup()"
CHOOSE = """
from organisations.models import Organisation
from registries import logins
from tests.people import join
from tests.registries.held import registry_of
from tests.registries.rows import lab_server
facts = json.load(sys.stdin)
organisation = Organisation.objects.create(name="Acme", slug="acme")
alice = join(organisation, "alice", "owner")
server = lab_server(organisation, types.SimpleNamespace(**facts["server"]))
for number, host in enumerate(facts["hosts"]):
    registry = registry_of(organisation, alice, host, f"Images {number}", facts["account"])
    logins.choose(registry=registry, servers=[server])
print(server.pk)
"""


class Elsewhere:
    """A dokreg with data of its own, whose workers are processes: ten registries are to be kept on one server."""

    def __init__(self, data: Path, server: sshd.Server, hosts: list[str]) -> None:
        mine = {"DOKREG_DATA": str(data), "DOKREG_ALLOW_LOOPBACK": "true"}
        if beside.is_there():
            mine |= beside.variables(beside.new_database(), beside.new_broker())
        else:
            prepared.copy_to(data)
        self._environment = os.environ | mine | {"DJANGO_SETTINGS_MODULE": "dokreg.settings"}
        names = ("host", "port", "user", "host_key", "private_key", "public_key")
        facts = {name: getattr(server, name) for name in names}
        self.server_id = self._answer(CHOOSE, json.dumps({"server": facts, "hosts": hosts, "account": ALICE}))

    def start(self) -> "subprocess.Popen[bytes]":
        """A worker that brings the server up to date."""
        code = f"{DJANGO}; from registries import login_sync; login_sync.sync(sys.argv[1])"
        return subprocess.Popen([sys.executable, "-c", code, self.server_id], cwd=ROOT, env=self._environment)

    def states(self) -> list[str]:
        answer = self._answer("from registries.models import Login; print(*Login.objects.values_list('state', flat=1))")
        return answer.split()

    def _answer(self, code: str, stdin: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-c", f"{DJANGO}\n{code}"],
            cwd=ROOT,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def elsewhere(tmp_path: Path, server_one: sshd.Server, wide_registry: WideRegistry) -> Elsewhere:
    return Elsewhere(tmp_path, server_one, wide_registry.hosts(10))


def test_of_two_processes_at_once_one_does_it_and_nothing_is_lost(
    elsewhere: Elsewhere, server_one: sshd.Server, wide_registry: WideRegistry
) -> None:
    issued = wide_registry.tokens.issued
    workers = [elsewhere.start(), elsewhere.start()]
    assert [process.wait(60) for process in workers] == [0, 0]
    assert held_by(server_one) == dict.fromkeys(wide_registry.hosts(10), colon(ALICE))
    assert elsewhere.states() == [State.HELD] * 10
    assert wide_registry.tokens.issued - issued == 10


def test_what_a_killed_worker_had_begun_is_taken_over_and_ends_right(
    elsewhere: Elsewhere, server_one: sshd.Server, wide_registry: WideRegistry
) -> None:
    first = elsewhere.start()
    wait_until(lambda: len(held_by(server_one)) >= 3, "the first logins")
    first.kill()
    first.wait()
    assert len(held_by(server_one)) < 10
    assert elsewhere.start().wait(60) == 0
    assert held_by(server_one) == dict.fromkeys(wide_registry.hosts(10), colon(ALICE))
    assert elsewhere.states() == [State.HELD] * 10
