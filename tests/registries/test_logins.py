"""Servers that stay logged in: ticked, unticked and renewed, with real servers and registries."""

import datetime as dt
import json
from typing import Any

import pytest
from django.utils import timezone

from organisations.deletion import StillUsed
from organisations.models import AuditEntry, Organisation, User
from registries import login_sync, logins, saving, tokens
from registries.models import Login, Registry, TokenRefresh
from servers import stages, turns
from servers.models import Server
from tests.lab import sshd
from tests.lab.aws import Aws
from tests.lab.fixtures import ALICE, ECR_HOST, NewCloudRegistry
from tests.registries.held import (
    FOREIGN,
    away,
    colon,
    config_of,
    held_by,
    let_it_be_due,
    make_ecr,
    row,
    told,
    write_config,
)
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


# Names


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
