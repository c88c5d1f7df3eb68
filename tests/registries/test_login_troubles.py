"""Servers that are to stay logged in and cannot: what is tried again, what is not, and what people are told."""

import datetime as dt
import json
from typing import Any

import pytest
from django.utils import timezone

from organisations.models import Organisation, User
from registries import logins, saving
from registries.models import Alarm, Login, Registry
from servers.models import Server
from tests.lab import sshd
from tests.lab.fixtures import ALICE, NewServer
from tests.lab.impostors import LoginLimiter
from tests.lab.registry import BasicRegistry, BearerRegistry
from tests.registries.held import FOREIGN, away, colon, held_by, let_it_be_due, registry_of, row, told, write_config
from tests.registries.rows import lab_server
from tests.registries.worker import Worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_servers")]
State = Login.State


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
