"""Check drift: what the Docker configs of real servers hold, beside what they are to hold."""

import base64
import datetime as dt
import json
from typing import Any

import pytest
from django.utils import timezone

from organisations.models import AuditEntry, Organisation, User
from registries import config_checks, logins, saving
from registries.models import ConfigCheck, Draft, Login, Registry
from servers import runs
from servers.models import Server
from tests.lab import sshd
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, BOB, NewFolder, NewServer
from tests.lab.helper import put_helper
from tests.lab.registry import BasicRegistry, BearerRegistry
from tests.lab.sshd import DEFAULT_PATH
from tests.registries.held import (
    FOREIGN,
    away,
    colon,
    held_by,
    log_in_by_hand,
    registry_of,
    row,
    write_config,
)
from tests.registries.rows import lab_server, make_registry
from tests.registries.worker import Worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_servers")]


def check(worker: Worker, server: Server, by: User, **adopts: str) -> ConfigCheck:
    """Look into a server's config as the button does; the row when it is over."""
    asked = worker(config_checks.ask, server=server, asked_by=by, adopts=adopts or None)
    return ConfigCheck.objects.get(pk=asked.pk)


def states(found: ConfigCheck) -> dict[str, str]:
    """Host → state."""
    assert found.state == "passed", found.rungs
    return {finding["host"]: finding["state"] for finding in found.findings}


# What is found


def test_a_server_with_what_it_is_to_hold(
    worker: Worker, images: Registry, one: Server, alice: User, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    found = check(worker, one, alice)
    assert found.findings == [
        {
            "host": images.url,
            "username": "alice",
            "folder": "",
            "state": "held",
            "registry": images.pk,
            "registry_name": "Images",
        }
    ]
    assert found.rungs[-1]["fact"] == "1 login"
    assert (found.asked_by, found.draft) == (alice, None)


def test_a_server_without_a_config_holds_nothing(worker: Worker, one: Server, alice: User) -> None:
    assert check(worker, one, alice).findings == []


def test_somebody_has_logged_out(
    worker: Worker, images: Registry, one: Server, alice: User, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    server_one.ssh(f"docker logout {images.url}")
    assert states(check(worker, one, alice)) == {images.url: "missing"}
    worker(logins.renew_all, one)
    assert held_by(server_one) == {images.url: colon(ALICE)}
    assert states(check(worker, one, alice)) == {images.url: "held"}


def test_somebody_has_logged_in_with_something_else(
    worker: Worker, images: Registry, one: Server, alice: User, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    log_in_by_hand(server_one, images.url, BOB)
    found = check(worker, one, alice)
    assert states(found) == {images.url: "outdated"}
    assert (found.findings[0]["username"], found.findings[0]["registry_name"]) == ("bob", "Images")
    worker(logins.renew_all, one)
    assert held_by(server_one) == {images.url: colon(ALICE)}
    assert states(check(worker, one, alice)) == {images.url: "held"}


@pytest.mark.parametrize("encoded", ["YWxpY2U6YW5vdGhlcg==", "cannot be decoded"])
def test_another_password_of_the_same_account_is_outdated(
    worker: Worker, images: Registry, one: Server, alice: User, server_one: sshd.Server, encoded: str
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    write_config(server_one, json.dumps({"auths": {images.url: {"auth": encoded}}}))
    assert states(check(worker, one, alice)) == {images.url: "outdated"}


def test_what_somebody_else_put_there_is_foreign_unless_it_is_a_saved_registrys(
    worker: Worker,
    organisation: Organisation,
    images: Registry,
    bearer_registry: BearerRegistry,
    one: Server,
    alice: User,
    server_one: sshd.Server,
) -> None:
    known = registry_of(organisation, alice, bearer_registry.host, "Known", BOB)
    write_config(server_one, json.dumps({"auths": FOREIGN}))
    worker(logins.choose, registry=images, servers=[one])
    log_in_by_hand(server_one, bearer_registry.host, BOB)
    found = check(worker, one, alice)
    assert [finding["state"] for finding in found.findings] == ["foreign", "known", "held"]
    assert [finding["registry"] for finding in found.findings] == ["", known.pk, images.pk]
    assert [finding["username"] for finding in found.findings] == ["somebody", "bob", "alice"]


def test_a_registry_of_another_organisation_is_not_known_here(
    worker: Worker, bearer_registry: BearerRegistry, one: Server, alice: User, charlie: User, server_one: sshd.Server
) -> None:
    registry_of(charlie.organisations.get(), charlie, bearer_registry.host, "Theirs", BOB)
    log_in_by_hand(server_one, bearer_registry.host, BOB)
    assert states(check(worker, one, alice)) == {bearer_registry.host: "foreign"}


def test_folders_of_their_own_are_looked_into(
    worker: Worker,
    organisation: Organisation,
    images: Registry,
    one: Server,
    alice: User,
    server_one: sshd.Server,
) -> None:
    of_bob = registry_of(organisation, alice, images.url, "Of Bob", BOB)
    for registry in (images, of_bob):
        worker(logins.choose, registry=registry, servers=[one])
    folder = row(of_bob).folder
    found = check(worker, one, alice)
    assert [(f["folder"], f["username"], f["state"]) for f in found.findings] == [
        ("", "alice", "held"),
        (folder, "bob", "held"),
    ]
    server_one.ssh(f"rm -r $HOME/.docker/dokreg/{folder}")
    found = check(worker, one, alice)
    assert [(f["folder"], f["state"]) for f in found.findings] == [(folder, "missing"), ("", "held")]


def test_logins_in_a_credential_helper_are_found(
    worker: Worker,
    organisation: Organisation,
    alice: User,
    new_server: NewServer,
    new_folder: NewFolder,
    engine_one: Engine,
    bearer_registry: BearerRegistry,
    lab_registry: BasicRegistry,
) -> None:
    program, _store = put_helper(new_folder())
    server = new_server(engine_one, environment={"PATH": f"{program.parent}:{DEFAULT_PATH}"})
    target = lab_server(organisation, server)
    write_config(server, '{"credsStore": "lab"}')
    registry = registry_of(organisation, alice, bearer_registry.host)
    worker(logins.choose, registry=registry, servers=[target])
    log_in_by_hand(server, lab_registry.host, BOB)
    assert states(check(worker, target, alice)) == {bearer_registry.host: "held", lab_registry.host: "foreign"}
    log_in_by_hand(server, bearer_registry.host, BOB)
    assert states(check(worker, target, alice))[bearer_registry.host] == "outdated"


# How much at once, and for how long


def test_an_impatient_click_gets_the_check_that_is_under_way(
    worker: Worker, one: Server, two: Server, alice: User, bob: User
) -> None:
    first = worker.commit(config_checks.ask, server=one, asked_by=alice)
    assert worker.commit(config_checks.ask, server=one, asked_by=alice) == first
    assert worker.commit(config_checks.ask, server=one, asked_by=bob, adopts={"host": "ghcr.io", "folder": ""}) == first
    assert worker.commit(config_checks.ask, server=two, asked_by=alice) != first
    worker.work()
    assert worker.commit(config_checks.ask, server=one, asked_by=alice) != first
    assert ConfigCheck.objects.count() == 3


def test_of_very_many_logins_the_first_are_kept_and_the_rest_is_counted(
    worker: Worker, images: Registry, one: Server, alice: User, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    write_config(server_one, json.dumps({"auths": {f"{n:03}.example": FOREIGN["ghcr.io"] for n in range(250)}}))
    found = check(worker, one, alice)
    assert found.rungs[-1]["fact"] == "250 logins; 51 are not shown"
    assert len(found.findings) == 200
    assert (found.findings[0]["host"], found.findings[0]["state"]) == (images.url, "missing")


def test_of_a_server_the_last_ten_checks_are_kept(
    worker: Worker, organisation: Organisation, one: Server, two: Server, alice: User
) -> None:
    other = ConfigCheck.objects.create(organisation=organisation, server=two, state="passed")
    checks = [check(worker, one, alice) for _ in range(12)]
    assert list(one.config_checks.all()) == checks[:1:-1]
    assert list(two.config_checks.all()) == [other]


def test_all_folders_together_have_one_deadline(
    worker: Worker, one: Server, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_checks, "LONGEST_SECONDS", 0.0)
    found = check(worker, one, alice)
    assert (found.state, found.verdict) == ("failed", "deadline_passed")


def test_no_check_lasts_longer_than_its_lease() -> None:
    assert dt.timedelta(seconds=config_checks.LONGEST_SECONDS) < runs.LEASE


# What cannot be read


def test_a_config_that_does_not_parse_is_said_at_its_own_rung(
    worker: Worker, one: Server, alice: User, server_one: sshd.Server
) -> None:
    write_config(server_one, "{")
    found = check(worker, one, alice)
    assert (found.state, found.verdict, found.findings) == ("failed", "config_unreadable", [])
    assert {rung["name"]: rung["state"] for rung in found.rungs} == {"ssh": "passed", "config": "failed"}


def test_a_server_that_is_away(worker: Worker, one: Server, alice: User, server_one: sshd.Server) -> None:
    with away(server_one):
        found = check(worker, one, alice)
    assert (found.state, found.verdict) == ("failed", "ssh_unreachable")
    assert {rung["name"]: rung["state"] for rung in found.rungs} == {"ssh": "failed", "config": "skipped"}


def test_a_server_deleted_meanwhile_is_no_trouble(worker: Worker, one: Server, alice: User) -> None:
    worker.commit(config_checks.ask, server=one, asked_by=alice)
    one.delete()
    worker.work()
    assert not ConfigCheck.objects.exists()


def test_a_check_whose_worker_died_is_lost(worker: Worker, one: Server, alice: User) -> None:
    asked = worker.commit(config_checks.ask, server=one, asked_by=alice)
    worker.lose_all()
    long_ago = timezone.now() - dt.timedelta(hours=1)
    ConfigCheck.objects.update(state="running", worker="another-boot:1", lease_until=long_ago)
    worker()
    asked.refresh_from_db()
    assert (asked.state, asked.verdict) == ("lost", "worker_lost")


ODD_LOGINS = {
    "a.example": {"username": "a\ud800", "password": "p"},
    "b.example": {"username": "b", "password": "p\ud800"},
    "c.example": {"username": "c\0", "password": "p"},
    "d.example": {"username": "d", "password": "p\0p"},
    "e.example": {"username": "e", "password": "p" * 70_000},
    "f.example": {"username": "f" * 300, "password": "p"},
    "g.example\0": {"username": "g", "password": "p"},
    "h.example\ud800": {"username": "h", "password": "p"},
    f"{'i' * 300}.example": {"username": "i", "password": "p"},
    "https://": {"username": "j", "password": "p"},
}


@pytest.mark.parametrize("host", [key for key in ODD_LOGINS if key.endswith(".example")][:6])
def test_what_no_login_can_be_made_of_is_found_all_the_same(
    worker: Worker, images: Registry, one: Server, alice: User, server_one: sshd.Server, host: str
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    write_config(server_one, json.dumps({"auths": ODD_LOGINS | {images.url: {"username": "x\ud800"}}}))
    found = check(worker, one, alice, host=host, folder="")
    assert states(found) == dict.fromkeys([f"{letter}.example" for letter in "abcdef"], "foreign") | {
        images.url: "outdated"
    }
    assert {finding["username"] for finding in found.findings} == {""}
    assert found.draft is not None
    assert (found.draft.values["url"], found.draft.values["username"]) == (host, "")
    assert found.draft.password is None


def test_keys_that_no_helper_can_be_asked_for_are_left_out(
    worker: Worker,
    organisation: Organisation,
    alice: User,
    new_server: NewServer,
    new_folder: NewFolder,
    engine_one: Engine,
) -> None:
    program, store = put_helper(new_folder())
    store.write_text(json.dumps({"a.example": ["a\ud800", "p\0"], "b.example\ud800": ["b", "p"]}))
    server = new_server(engine_one, environment={"PATH": f"{program.parent}:{DEFAULT_PATH}"})
    write_config(server, '{"credsStore": "lab"}')
    found = check(worker, lab_server(organisation, server), alice)
    assert [(f["host"], f["username"]) for f in found.findings] == [("a.example", "")]


def test_a_check_that_breaks_ends_as_one_that_failed(
    worker: Worker, one: Server, alice: User, server_one: sshd.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(server_one, json.dumps({"auths": FOREIGN}))
    monkeypatch.setattr(config_checks, "credentials_mark", "this cannot be called")
    found = check(worker, one, alice)
    assert (found.state, found.verdict, found.findings) == ("failed", "internal_error", [])


# Adopting and removing


def test_adopting_makes_a_draft_for_this_person_alone(
    worker: Worker,
    organisation: Organisation,
    bearer_registry: BearerRegistry,
    one: Server,
    alice: User,
    bob: User,
    server_one: sshd.Server,
) -> None:
    log_in_by_hand(server_one, bearer_registry.host, BOB)
    found = check(worker, one, alice, host=bearer_registry.host, folder="")
    assert found.draft is not None
    mine = saving.draft_of(organisation=organisation, by=alice, draft_id=found.draft.pk)
    assert mine is not None
    assert mine.password is not None
    assert mine.password.reveal() == BOB.password
    shown = {name: mine.values[name] for name in ("url", "username", "kind")}
    assert shown == {"url": bearer_registry.host, "username": "bob", "kind": "generic"}
    assert "one" in mine.values["note"]
    entry = AuditEntry.objects.get(event="adopted a login")
    assert (entry.actor, entry.additional_data["registry"]) == (alice, bearer_registry.host)
    assert saving.draft_of(organisation=organisation, by=bob, draft_id=found.draft.pk) is None


def test_a_token_in_the_place_of_the_username_is_kept_nowhere(
    worker: Worker, one: Server, alice: User, server_one: sshd.Server
) -> None:
    token = "7c0ffee17c0ffee17c0ffee17c0ffee17c0ffee1"
    entry = {"auth": base64.b64encode(f"{token}:x-oauth-basic".encode()).decode()}
    write_config(server_one, json.dumps({"auths": {"ghcr.io": entry}}))
    found = check(worker, one, alice, host="ghcr.io", folder="")
    assert states(found) == {"ghcr.io": "foreign"}
    assert found.draft is not None
    assert (found.draft.values["username"], found.draft.password) == ("", None)
    assert token not in str([found.findings, found.rungs, found.draft.values])


def test_what_was_adopted_and_saved_is_kept_from_then_on(
    worker: Worker,
    organisation: Organisation,
    bearer_registry: BearerRegistry,
    one: Server,
    alice: User,
    server_one: sshd.Server,
) -> None:
    log_in_by_hand(server_one, bearer_registry.host, BOB)
    draft = check(worker, one, alice, host=bearer_registry.host, folder="").draft
    assert draft is not None
    assert draft.password is not None
    registry = make_registry(
        organisation, alice, url=draft.values["url"], username="bob", password=draft.password.reveal()
    )
    assert states(check(worker, one, alice)) == {bearer_registry.host: "known"}
    worker(logins.choose, registry=registry, servers=[one])
    assert states(check(worker, one, alice)) == {bearer_registry.host: "held"}


def test_what_is_not_there_any_more_cannot_be_adopted(worker: Worker, one: Server, alice: User) -> None:
    found = check(worker, one, alice, host="ghcr.io", folder="")
    assert (found.state, found.draft) == ("passed", None)
    assert not Draft.objects.exists()
    assert not AuditEntry.objects.filter(event="adopted a login").exists()


def test_removing_logs_out_for_real(
    worker: Worker, bearer_registry: BearerRegistry, one: Server, alice: User, server_one: sshd.Server
) -> None:
    write_config(server_one, json.dumps({"auths": FOREIGN}))
    log_in_by_hand(server_one, bearer_registry.host, BOB)
    worker(logins.remove_found, server=one, host=bearer_registry.host, folder="")
    assert held_by(server_one) == {"ghcr.io": "somebody:else's"}
    assert not Login.objects.exists()


def test_removing_waits_for_a_server_that_is_away(
    worker: Worker, one: Server, alice: User, server_one: sshd.Server
) -> None:
    write_config(server_one, json.dumps({"auths": FOREIGN}))
    with away(server_one):
        worker(logins.remove_found, server=one, host="ghcr.io", folder="")
    assert (row().state, row().registry_name, row().registry) == (Login.State.LEAVING, "ghcr.io", None)
    Login.objects.update(due_at=timezone.now())
    worker()
    assert held_by(server_one) == {}


def test_removing_never_takes_away_what_is_kept(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    worker(logins.remove_found, server=one, host=images.url, folder="")
    assert held_by(server_one) == {images.url: colon(ALICE)}
    assert row().registry == images


def test_no_secret_is_in_what_is_stored(
    worker: Worker, bearer_registry: BearerRegistry, one: Server, alice: User, server_one: sshd.Server
) -> None:
    log_in_by_hand(server_one, bearer_registry.host, BOB)
    check(worker, one, alice)
    check(worker, one, alice, host=bearer_registry.host, folder="")
    stored: list[Any] = [
        *ConfigCheck.objects.values("findings", "rungs", "adopts", "verdict"),
        *Draft.objects.values("values"),
        *AuditEntry.objects.values("changes", "additional_data"),
    ]
    assert bearer_registry.host in str(stored)
    assert BOB.password not in str(stored)
    assert set(
        AuditEntry.objects.filter(event__contains="Docker config").values_list("actor__username", flat=True)
    ) == {"alice"}
