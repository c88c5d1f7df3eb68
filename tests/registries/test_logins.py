"""Servers that stay logged in: real servers, real registries, and a worker that does what is due."""

import base64
import datetime as dt
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

from organisations.deletion import StillUsed
from organisations.models import AuditEntry, Organisation, User
from registries import credentials, login_sync, logins, saving, tokens
from registries.models import Alarm, Login, Registry, TokenRefresh
from servers import docker_config, ssh, stages, turns, verdicts
from servers.models import ConfigTurn, Server
from tests import beside, prepared
from tests.lab import sshd
from tests.lab.aws import Aws
from tests.lab.daemons import wait_until
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, BOB, ECR_HOST, NewCloudRegistry, NewServer
from tests.lab.impostors import LoginLimiter
from tests.lab.registry import BasicRegistry, BearerRegistry, WideRegistry
from tests.registries.held import (
    FOREIGN,
    away,
    colon,
    config_of,
    held_by,
    let_it_be_due,
    make_ecr,
    registry_of,
    row,
    told,
    write_config,
)
from tests.registries.rows import lab_server
from tests.registries.worker import Worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_servers")]
State = Login.State


# Ticking and unticking


def test_ticked_servers_hold_the_login_and_pull_with_it(
    worker: Worker,
    images: Registry,
    one: Server,
    two: Server,
    server_one: sshd.Server,
    server_two: sshd.Server,
    pushed_image: str,
) -> None:
    write_config(server_one, json.dumps({"auths": FOREIGN}))
    worker(logins.choose, registry=images, servers=[one, two])
    for login in Login.objects.all():
        assert (login.state, login.due_at, login.verdict, login.failures) == (State.HELD, None, "", 0)
        assert (login.url, login.username, login.mark) == (images.url, "alice", images.login_mark)
        assert login.logged_in_at
    assert held_by(server_one) == {"ghcr.io": "somebody:else's", images.url: colon(ALICE)}
    assert held_by(server_two) == {images.url: colon(ALICE)}
    for server in (server_one, server_two):
        assert server.ssh(f"docker pull {pushed_image} && docker rmi {pushed_image}").returncode == 0


def test_an_unticked_server_is_logged_out_and_its_row_goes(
    worker: Worker, images: Registry, one: Server, two: Server, server_one: sshd.Server, server_two: sshd.Server
) -> None:
    write_config(server_one, json.dumps({"auths": FOREIGN, "HttpHeaders": {"X": "y"}}))
    worker(logins.choose, registry=images, servers=[one, two])
    worker(logins.choose, registry=images, servers=[two])
    assert config_of(server_one) == {"auths": FOREIGN, "HttpHeaders": {"X": "y"}}
    assert held_by(server_two) == {images.url: colon(ALICE)}
    assert row().server == two


def test_what_a_task_has_no_time_left_for_is_tried_again(
    worker: Worker, images: Registry, one: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_sync, "TASK_SECONDS", 0.0)
    worker(logins.choose, registry=images, servers=[one])
    assert (row().state, row().verdict) == (State.FAILED, "deadline_passed")
    assert row().due_at


def test_a_task_ends_before_the_workers_end_it(settings: Any) -> None:
    assert login_sync.LONGEST_SECONDS < stages.TASK_SECONDS < settings.CELERY_TASK_SOFT_TIME_LIMIT
    assert turns.LEASE.total_seconds() > settings.CELERY_TASK_TIME_LIMIT


def test_the_trail_says_who_chose_and_which(worker: Worker, images: Registry, one: Server, two: Server) -> None:
    worker(logins.choose, registry=images, servers=[one])
    worker(logins.choose, registry=images, servers=[two])
    worker(logins.choose, registry=images, servers=[two])
    entries = AuditEntry.objects.filter(event="chose the servers to log in").order_by("timestamp", "pk")
    said = [entry.additional_data for entry in entries]
    assert [(data.get("added", ""), data.get("removed", "")) for data in said] == [
        ("one", ""),
        ("two", "one"),
    ]


def test_a_server_ticked_again_before_it_was_logged_out_stays_logged_in(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    worker.commit(logins.choose, registry=images, servers=[])
    assert row().is_leaving
    worker(logins.choose, registry=images, servers=[one])
    assert row().state == State.HELD
    assert held_by(server_one) == {images.url: colon(ALICE)}


def test_deleting_the_registry_logs_out_everywhere(
    worker: Worker, images: Registry, one: Server, two: Server, server_one: sshd.Server, server_two: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one, two])
    worker(saving.delete_registry, registry=images)
    assert held_by(server_one) == held_by(server_two) == {}
    assert not Login.objects.exists()


def test_a_server_that_is_away_is_logged_out_when_it_is_back(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    with away(server_one):
        worker(saving.delete_registry, registry=images)
        left = row()
        assert (left.registry, left.registry_name, left.state) == (None, "Images", State.LEAVING)
        assert (left.verdict, left.failures) == ("ssh_unreachable", 1)
        assert left.due_at
        assert left.due_at > timezone.now()
    worker()
    assert held_by(server_one) == {images.url: colon(ALICE)}
    let_it_be_due()
    worker()
    assert held_by(server_one) == {}
    assert not Login.objects.exists()


def test_a_server_that_was_never_reached_is_not_waited_for_when_it_is_unticked(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server
) -> None:
    with away(server_one):
        worker(logins.choose, registry=images, servers=[one])
        assert row().verdict == "ssh_unreachable"
        worker(logins.choose, registry=images, servers=[])
    assert not Login.objects.exists()


def test_a_server_that_stays_away_is_given_up_after_a_month(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    with away(server_one):
        worker(logins.choose, registry=images, servers=[])
        assert row().is_leaving
        Login.objects.update(due_at=timezone.now(), left_at=timezone.now() - dt.timedelta(days=31))
        worker()
    assert not Login.objects.exists()


def test_a_registry_that_is_still_used_keeps_its_logins(
    worker: Worker,
    images: Registry,
    one: Server,
    server_one: sshd.Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker(logins.choose, registry=images, servers=[one])

    def refuse(thing: Registry) -> None:
        raise StillUsed(thing, ["application web"])

    monkeypatch.setattr(saving, "delete_unless_used", refuse)
    with pytest.raises(StillUsed):
        worker(saving.delete_registry, registry=images)
    worker()
    assert (row().state, row().registry) == (State.HELD, images)
    assert held_by(server_one) == {images.url: colon(ALICE)}


def test_a_server_that_is_deleted_while_something_is_due_leaves_nothing_to_do(
    worker: Worker, images: Registry, one: Server
) -> None:
    worker.commit(logins.choose, registry=images, servers=[one])
    one.delete()
    worker.work()
    worker()
    assert not Login.objects.exists()


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


# Renewing


def test_a_new_password_of_a_registry_that_nobody_uses_is_saved_at_once(
    worker: Worker, images: Registry, alice: User
) -> None:
    assert worker(saving.save_registry, registry=images, password="another", by=alice) is None
    images.refresh_from_db()
    assert images.open_password() == "another"


def test_nothing_is_renewed_where_nothing_has_changed(
    worker: Worker, images: Registry, one: Server, alice: User
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    before = row().logged_in_at
    worker.done.clear()
    images.name = "Other images"
    worker(saving.save_registry, registry=images, password=ALICE.password, by=alice)
    worker(logins.renew, images)
    assert (worker.done, row().logged_in_at) == ([], before)


def refresh(worker: Worker, registry: Registry) -> None:
    worker(tokens.ask, registry=registry, reason=TokenRefresh.Reason.ASKED)
    registry.refresh_from_db()


def test_a_fresh_token_is_brought_to_the_servers(
    worker: Worker, ecr: Registry, one: Server, aws: Aws, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=ecr, servers=[one])
    assert ecr.token
    assert held_by(server_one) == {ECR_HOST: f"AWS:{ecr.token.reveal()}"}
    first = ecr.token.reveal()
    refresh(worker, ecr)
    assert ecr.token.reveal() != first
    assert held_by(server_one) == {ECR_HOST: f"AWS:{ecr.token.reveal()}"}
    assert (row().state, row().mark, row().due_at) == (State.HELD, ecr.login_mark, None)
    assert aws.mints.total() == 2


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


def test_without_a_token_the_row_says_why_and_follows_when_it_comes(
    worker: Worker,
    organisation: Organisation,
    alice: User,
    aws: Aws,
    new_cloud_registry: NewCloudRegistry,
    one: Server,
    server_one: sshd.Server,
) -> None:
    new_cloud_registry(ECR_HOST, aws)
    with aws.having(answers_500=True):
        registry = worker(make_ecr, organisation, alice)
        worker(logins.choose, registry=registry, servers=[one])
        for _ in range(3):
            let_it_be_due()
            worker()
    login = row()
    assert (login.state, login.verdict, login.is_trying) == (State.FAILED, "mint_cloud_failed", True)
    assert login.cause
    assert held_by(server_one) == {}
    assert aws.requests < 5  # the logins do not ask the cloud beside the refreshes
    assert told() == []
    refresh(worker, registry)
    assert row().state == State.HELD
    assert list(held_by(server_one)) == [ECR_HOST]


# Servers that are away, and other troubles


def test_a_server_that_is_away_is_tried_ever_more_rarely_and_done_once_it_is_back(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server
) -> None:
    pauses = []
    with away(server_one):
        worker(logins.choose, registry=images, servers=[one])
        for failures in range(1, 5):
            login = row()
            assert (login.state, login.verdict, login.failures) == (State.FAILED, "ssh_unreachable", failures)
            assert login.due_at
            pauses.append((login.due_at - timezone.now()).total_seconds())
            let_it_be_due()
            worker()
        Login.objects.update(failures=30, due_at=timezone.now())
        worker()
        due_at = row().due_at
        assert due_at
        assert due_at - timezone.now() < dt.timedelta(hours=1.3)
    for pause, usual in zip(pauses, (30, 60, 120, 240), strict=True):
        assert 0.75 * usual < pause <= 1.25 * usual
    let_it_be_due()
    worker()
    assert (row().state, row().failures, row().cause) == (State.HELD, 0, "")
    assert held_by(server_one) == {images.url: colon(ALICE)}
    assert told() == []


def test_one_knock_tells_for_everything_that_is_due_on_a_server(
    worker: Worker, organisation: Organisation, alice: User, one: Server, server_one: sshd.Server
) -> None:
    with away(server_one):
        for number in range(5):
            registry = registry_of(organisation, alice, f"r{number}.example.com", f"Images {number}")
            worker.commit(logins.choose, registry=registry, servers=[one])
        worker.work()
    rows = list(Login.objects.all())
    assert {(login.verdict, login.failures) for login in rows} == {("ssh_unreachable", 1)}
    assert len({login.due_at for login in rows}) == 1


def test_a_wrong_password_is_tried_once_and_no_more(
    worker: Worker, organisation: Organisation, alice: User, lab_registry: BasicRegistry, one: Server
) -> None:
    registry = registry_of(organisation, alice, lab_registry.host, account=("alice", "wrong"))
    worker(logins.choose, registry=registry, servers=[one])
    login = row()
    assert (login.state, login.verdict, login.due_at) == (State.FAILED, "unauthorized", None)
    assert "wrong" not in login.words
    worker.done.clear()
    worker()
    assert worker.done == []
    worker(logins.retry, registry)
    assert row().failures == 1
    assert told() == []  # it has never worked: whoever ticked it sees it on the page


def test_a_locked_account_is_left_alone(worker: Worker, organisation: Organisation, alice: User, one: Server) -> None:
    with LoginLimiter() as limiter:
        registry = registry_of(organisation, alice, limiter.host)
        worker(logins.choose, registry=registry, servers=[one])
    assert (row().verdict, row().due_at) == ("locked_out", None)


def test_people_are_told_once_that_a_login_is_refused_and_once_that_it_works_again(
    worker: Worker, bearer: Registry, bearer_registry: BearerRegistry, one: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(logins.choose, registry=bearer, servers=[one])
    with monkeypatch.context() as patch:
        patch.setitem(bearer_registry.tokens.passwords, "alice", "changed by somebody")
        for _ in range(3):
            worker(logins.renew_all, one)
    assert told() == ["Images stopped working on one"]
    assert row().logged_in_at
    assert Alarm.objects.get(cleared_at=None).place == "one"
    worker(logins.renew_all, one)
    assert told()[1:] == ["Images works again."]


def test_a_config_that_does_not_parse_is_reported_and_never_touched(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server
) -> None:
    broken = '{"auths": {"ghcr.io": {"auth": "c29tZWJvZHk6ZWxzZQ=="}},\n'
    write_config(server_one, broken)
    worker(logins.choose, registry=images, servers=[one])
    login = row()
    assert (login.state, login.verdict, login.is_trying) == (State.FAILED, "config_unreadable", True)
    assert "config.json" in login.cause
    assert server_one.ssh("cat $HOME/.docker/config.json").stdout == broken
    worker(logins.choose, registry=images, servers=[])
    assert not Login.objects.exists()  # nothing of ours was ever in it
    worker(logins.choose, registry=images, servers=[one])
    assert server_one.ssh("cat $HOME/.docker/config.json").stdout == broken
    write_config(server_one, json.dumps({"auths": FOREIGN}))
    let_it_be_due()
    worker()
    assert (row().state, row().verdict) == (State.HELD, "")
    assert held_by(server_one) == {"ghcr.io": "somebody:else's", images.url: colon(ALICE)}


def test_logging_out_of_a_config_that_does_not_parse_waits_until_it_is_mended(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    whole = server_one.ssh("cat $HOME/.docker/config.json").stdout
    write_config(server_one, whole + "}")
    worker(logins.choose, registry=images, servers=[])
    assert (row().state, row().verdict) == (State.LEAVING, "config_unreadable")
    assert server_one.ssh("cat $HOME/.docker/config.json").stdout == whole + "}"
    write_config(server_one, whole)
    let_it_be_due()
    worker()
    assert held_by(server_one) == {}
    assert not Login.objects.exists()


def test_a_server_without_docker_says_so_and_is_tried_again(
    worker: Worker, organisation: Organisation, images: Registry, server_without_docker: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[lab_server(organisation, server_without_docker)])
    assert (row().state, row().verdict, row().is_trying) == (State.FAILED, "docker_not_found", True)


def test_a_user_without_the_right_to_the_daemon_is_told_so(
    worker: Worker, organisation: Organisation, images: Registry, server_of_ordinary_user: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[lab_server(organisation, server_of_ordinary_user)])
    assert (row().verdict, row().is_trying) == ("docker_socket_denied", True)
    assert server_of_ordinary_user.ssh("ls -A $HOME").stdout == ""


def test_a_daemon_that_does_not_run_is_waited_for(
    worker: Worker, organisation: Organisation, images: Registry, new_server: NewServer
) -> None:
    server = new_server(environment={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    worker(logins.choose, registry=images, servers=[lab_server(organisation, server)])
    assert (row().verdict, row().is_trying) == ("docker_daemon_down", True)


def test_a_host_key_that_has_changed_lets_nothing_through(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server
) -> None:
    with server_one.host_key_replaced():
        worker(logins.choose, registry=images, servers=[one])
        assert (row().verdict, row().is_trying) == ("host_key_changed", True)
    let_it_be_due()
    worker()
    assert row().state == State.HELD


def test_a_key_of_the_server_that_cannot_be_opened_is_said_and_does_not_run_in_circles(
    worker: Worker, images: Registry, one: Server
) -> None:
    key = one.ssh_key
    type(key).objects.filter(pk=key.pk).update(private_key=images.password)  # a value of another row and column
    worker(logins.choose, registry=images, servers=[one])
    assert (row().verdict, row().is_trying) == ("secret_unreadable", True)
    assert worker.done == ["sync_logins"]


def test_the_password_entered_again_tries_again(
    worker: Worker, bearer: Registry, bearer_registry: BearerRegistry, one: Server, alice: User, monkeypatch: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(bearer_registry.tokens.passwords, "alice", "not this one yet")
        worker(logins.choose, registry=bearer, servers=[one])
        assert (row().verdict, row().due_at) == ("unauthorized", None)
    worker(saving.save_registry, registry=bearer, password=ALICE.password, by=alice)
    assert row().state == State.HELD


def test_a_trouble_of_the_server_is_no_alarm_about_the_registry(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    write_config(server_one, "{")
    worker(logins.renew_all, one)
    assert row().verdict == "config_unreadable"
    with away(server_one):
        worker(logins.renew_all, one)
        assert row().verdict == "ssh_unreachable"
    assert told() == []


def test_what_is_tried_again_at_once_is_busy(images: Registry, one: Server) -> None:
    logins.choose(registry=images, servers=[one])
    Login.objects.update(state=State.FAILED, failures=3, due_at=None, verdict="credentials_refused")
    logins.retry(images)
    assert row().is_busy


def test_the_name_of_a_host_may_be_longer_than_that_of_a_registry(one: Server) -> None:
    host = f"{'registry.' * 20}example.com"
    logins.remove_found(server=one, host=host, folder="")
    row().full_clean()
    assert row().url == host


def test_a_row_follows_the_name_of_its_registry(
    worker: Worker, images: Registry, one: Server, alice: User, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    images.name = "Renamed"
    worker(saving.save_registry, registry=images, password=None, by=alice)
    with away(server_one):
        worker(saving.delete_registry, registry=images)
        assert str(row()) == "Renamed on one"


# Two accounts of one host


@pytest.fixture
def of_bob(organisation: Organisation, alice: User, lab_registry: BasicRegistry) -> Registry:
    return registry_of(organisation, alice, lab_registry.host, "Images_of Bob", BOB)


def used_in(server: sshd.Server, login: Login) -> str:
    """`username:password` for whoever runs the line that is shown."""
    line = docker_config.export_line(login.folder)
    text = server.ssh(f"{line}; cat $DOCKER_CONFIG/config.json").stdout
    auths = json.loads(text)["auths"]
    return base64.b64decode(auths[login.url]["auth"]).decode()


def test_the_second_account_of_a_host_lives_in_a_folder_of_its_own(
    worker: Worker,
    images: Registry,
    of_bob: Registry,
    one: Server,
    server_one: sshd.Server,
    pushed_image: str,
) -> None:
    for registry in (images, of_bob):
        worker(logins.choose, registry=registry, servers=[one])
    login = row(of_bob)
    assert (row(images).folder, login.folder) == ("", f"images-of-bob-{of_bob.pk[:6].lower()}")
    assert held_by(server_one) == {images.url: colon(ALICE)}
    assert used_in(server_one, login) == colon(BOB)
    pull = f"{docker_config.export_line(login.folder)}; docker pull {pushed_image} && docker rmi {pushed_image}"
    assert server_one.ssh(pull).returncode == 0


def test_unticking_the_first_leaves_the_second(
    worker: Worker, images: Registry, of_bob: Registry, one: Server, server_one: sshd.Server
) -> None:
    for registry in (images, of_bob):
        worker(logins.choose, registry=registry, servers=[one])
    worker(logins.choose, registry=images, servers=[])
    assert held_by(server_one) == {}
    assert used_in(server_one, row(of_bob)) == colon(BOB)
    worker(logins.choose, registry=images, servers=[one])
    assert held_by(server_one) == {images.url: colon(ALICE)}


def test_unticking_the_second_leaves_the_first_and_no_folder(
    worker: Worker, images: Registry, of_bob: Registry, one: Server, server_one: sshd.Server
) -> None:
    for registry in (images, of_bob):
        worker(logins.choose, registry=registry, servers=[one])
    worker(logins.choose, registry=of_bob, servers=[])
    assert held_by(server_one) == {images.url: colon(ALICE)}
    assert server_one.ssh("ls $HOME/.docker/dokreg").returncode != 0
    assert row() == row(images)


def test_two_ticked_before_any_worker_came_do_not_share_a_place(
    worker: Worker, images: Registry, of_bob: Registry, one: Server, server_one: sshd.Server
) -> None:
    for registry in (images, of_bob):
        worker.commit(logins.choose, registry=registry, servers=[one])
    worker.work()
    assert held_by(server_one) == {images.url: colon(ALICE)}
    assert used_in(server_one, row(of_bob)) == colon(BOB)


def test_one_that_comes_while_the_other_still_waits_to_leave_takes_its_place(
    worker: Worker, images: Registry, of_bob: Registry, one: Server, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    with away(server_one):
        worker(logins.choose, registry=images, servers=[])
        worker(logins.choose, registry=of_bob, servers=[one])
    let_it_be_due()
    worker()
    assert row().registry == of_bob
    assert held_by(server_one) == {images.url: colon(BOB)}


def test_what_leaves_does_leave_although_its_successor_cannot_log_in(
    worker: Worker,
    organisation: Organisation,
    alice: User,
    images: Registry,
    one: Server,
    server_one: sshd.Server,
) -> None:
    wrong = registry_of(organisation, alice, images.url, "Wrong", ("bob", "wrong"))
    worker(logins.choose, registry=images, servers=[one])
    worker.commit(logins.choose, registry=images, servers=[])
    worker(logins.choose, registry=wrong, servers=[one])
    assert held_by(server_one) == {}
    assert row().verdict == "unauthorized"


def move(registry: Registry, host: str) -> None:
    """As a rotation does it when it switches."""
    registry.url = host
    credentials.take(registry, secret_is_new=False)
    registry.save()
    logins.renew(registry)


def test_a_registry_that_moves_to_another_host_takes_its_logins_along(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server, bearer_registry: BearerRegistry
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    worker(move, images, bearer_registry.host)
    assert held_by(server_one) == {bearer_registry.host: colon(ALICE)}
    assert (row().url, row().folder, row().state) == (bearer_registry.host, "", State.HELD)


def test_a_registry_that_moves_to_a_host_that_is_taken_goes_into_a_folder_of_its_own(
    worker: Worker,
    organisation: Organisation,
    alice: User,
    images: Registry,
    one: Server,
    server_one: sshd.Server,
    bearer_registry: BearerRegistry,
) -> None:
    there = registry_of(organisation, alice, bearer_registry.host, "There", BOB)
    for registry in (images, there):
        worker(logins.choose, registry=registry, servers=[one])
    worker(move, images, bearer_registry.host)
    assert held_by(server_one) == {bearer_registry.host: colon(BOB)}
    assert used_in(server_one, row(images)) == colon(ALICE)
    assert row(images).folder.startswith("images-")


def test_a_server_that_is_away_while_the_registry_moves_loses_the_old_entry_as_well(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server, bearer_registry: BearerRegistry
) -> None:
    old = images.url
    worker(logins.choose, registry=images, servers=[one])
    with away(server_one):
        worker(move, images, bearer_registry.host)
        worker(logins.choose, registry=images, servers=[])
        assert Login.objects.filter(state=State.LEAVING, url=old).exists()
    let_it_be_due()
    worker()
    assert held_by(server_one) == {}
    assert not Login.objects.exists()


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
