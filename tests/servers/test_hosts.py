"""What happens together with a change of a server."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from pytest_django import DjangoCaptureOnCommitCallbacks

from organisations.deletion import StillUsed
from organisations.models import AuditEntry, Organisation, User
from servers import hosts, testing
from servers.hosts import HostKeyMoved
from servers.models import Run, Server, ServerTest
from tests.servers.rows import HOST_KEY, OTHER_HOST_KEY, make_key, make_server, make_test

pytestmark = pytest.mark.django_db


def save(server: Server, by: User, **changes: Any) -> Server:
    for name, value in changes.items():
        setattr(server, name, value)
    hosts.save_server(server=server, by=by, connection_changed=True)
    server.refresh_from_db()
    return server


@pytest.mark.parametrize("changes", [{"host": "10.0.0.6"}, {"port": 2222}])
def test_another_place_starts_without_a_host_key(
    organisation: Organisation, alice: User, changes: dict[str, Any]
) -> None:
    server = make_server(organisation, host_key=HOST_KEY, seen_host_key=OTHER_HOST_KEY)
    save(server, alice, **changes)
    assert (server.host_key, server.seen_host_key) == ("", "")


def test_another_user_keeps_the_host_key(organisation: Organisation, alice: User) -> None:
    server = make_server(organisation, host_key=HOST_KEY)
    assert save(server, alice, user="root").host_key == HOST_KEY


def test_an_old_form_does_not_undo_a_confirmation(organisation: Organisation, alice: User) -> None:
    server = make_server(organisation, seen_host_key=HOST_KEY)
    opened_before = Server.objects.get(pk=server.pk)
    hosts.trust_host_key(server=server, fingerprint=server.seen_fingerprint, by=alice)
    assert save(opened_before, alice, name="web-2").host_key == HOST_KEY


def test_a_confirmation_is_in_the_audit_trail_once(organisation: Organisation, alice: User) -> None:
    server = make_server(organisation, seen_host_key=HOST_KEY)
    AuditEntry.objects.all().delete()
    hosts.trust_host_key(server=server, fingerprint=server.seen_fingerprint, by=alice)
    assert not AuditEntry.objects.filter(event="").exists()
    entry = AuditEntry.objects.get(event="confirmed the host key")
    assert entry.actor == alice
    assert entry.additional_data["fingerprint"] == server.seen_fingerprint


def test_nothing_is_confirmed_that_nobody_has_shown(organisation: Organisation, alice: User) -> None:
    server = make_server(organisation)
    with pytest.raises(HostKeyMoved):
        hosts.trust_host_key(server=server, fingerprint="", by=alice)


def test_a_key_cannot_go_before_its_servers(organisation: Organisation) -> None:
    server = make_server(organisation)
    with pytest.raises(StillUsed, match="server web-1"):
        hosts.delete_key(key=server.ssh_key)
    hosts.delete_server(server=server)
    hosts.delete_key(key=make_key(organisation, "other"))


def test_a_servers_tests_go_with_it(organisation: Organisation) -> None:
    server = make_server(organisation)
    make_test(server)
    hosts.delete_server(server=server)
    assert not ServerTest.objects.exists()


def test_a_test_is_sent_once_it_is_committed(
    organisation: Organisation,
    alice: User,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[str] = []
    monkeypatch.setattr("servers.tasks.run_server_test", SimpleNamespace(delay=sent.append))
    with django_capture_on_commit_callbacks(execute=True):
        test = testing.ask(server=make_server(organisation), asked_by=alice)
        assert sent == []
    assert sent == [test.pk]


@pytest.mark.parametrize("state", [Run.State.QUEUED, Run.State.RUNNING])
def test_while_a_test_is_under_way_no_other_is_started(organisation: Organisation, alice: User, state: str) -> None:
    server = make_server(organisation)
    running = make_test(server, state)
    assert testing.ask_unless_running(server=server, asked_by=alice) == running


@pytest.mark.parametrize("state", [Run.State.PASSED, Run.State.FAILED, Run.State.LOST])
def test_after_a_test_another_one_is_started(organisation: Organisation, alice: User, state: str) -> None:
    server = make_server(organisation)
    over = make_test(server, state)
    assert testing.ask_unless_running(server=server, asked_by=alice) != over


def test_a_server_that_moved_is_not_offered_the_old_places_key(organisation: Organisation) -> None:
    server = make_server(organisation)
    Server.objects.update(host="10.0.0.6")
    testing.note_host_key(server=server, seen=HOST_KEY)
    server.refresh_from_db()
    assert server.seen_host_key == ""


@pytest.mark.parametrize(
    ("pinned", "seen", "state"),
    [
        ("", "", "unconfirmed"),
        ("", HOST_KEY, "unconfirmed"),
        (HOST_KEY, "", "confirmed"),
        (HOST_KEY, OTHER_HOST_KEY, "changed"),
    ],
)
def test_a_host_key_is_in_one_of_three_states(organisation: Organisation, pinned: str, seen: str, state: str) -> None:
    assert make_server(organisation, host_key=pinned, seen_host_key=seen).host_key_state == state


@pytest.mark.parametrize("user", ["-l", "root;id", "a b", "a\n", "$(id)", "ü", "a'b", "", "x" * 65])
def test_a_user_name_with_odd_characters_is_refused(organisation: Organisation, user: str) -> None:
    server = make_server(organisation)
    server.user = user
    with pytest.raises(ValidationError):
        server.clean_fields()
