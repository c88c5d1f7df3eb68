"""The test of a server, run against real ones."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from organisations.models import AuditEntry, Organisation, User
from servers import hosts, ssh, testing
from servers import keys as ssh_keys
from servers.models import Run, Server, ServerTest, SSHKey
from servers.testing import STEPS
from tests.lab import sshd
from tests.lab.engine import Engine
from tests.lab.fixtures import NewServer
from tests.lab.impostors import Refusing
from tests.lab.sshd import path_with_docker, talkative
from tests.servers.rows import OTHER_HOST_KEY, PAIR, make_key, make_server

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def loopback(settings: Settings) -> Iterator[None]:
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield
    ssh.close_all()


def row_of(machine: sshd.Server, organisation: Organisation, *, host_key: str | None = None) -> Server:
    """The row of a machine of the lab, its host key pinned unless said otherwise."""
    pair = ssh_keys.read_private_key(machine.private_key)
    return make_server(
        organisation,
        host=machine.host,
        port=machine.port,
        user=machine.user,
        ssh_key=make_key(organisation, f"key of {machine.port}", pair),
        host_key=" ".join(machine.host_key.split()[:2]) if host_key is None else host_key,
    )


def result_of(server: Server) -> ServerTest:
    """A test of the server, asked for and run."""
    test = testing.ask(server=server, asked_by=None)
    testing.run(test.pk)
    test.refresh_from_db()
    server.refresh_from_db()
    return test


def states(test: ServerTest) -> list[str]:
    return [rung["state"] for rung in test.rungs]


def test_a_good_server_passes_every_rung(organisation: Organisation, server_one: sshd.Server) -> None:
    test = result_of(row_of(server_one, organisation))
    assert test.state == Run.State.PASSED
    assert set(states(test)) <= {"passed", "warning"}
    assert test.daemon_version[0].isdecimal()
    assert test.fact("cli")[0].isdecimal()
    assert "GiB free on /" in test.fact("disk")
    assert test.duration is not None
    assert all(rung["milliseconds"] is not None for rung in test.rungs)


def test_a_test_counts_its_news(organisation: Organisation, server_one: sshd.Server) -> None:
    assert result_of(row_of(server_one, organisation)).revision > len(STEPS)


def test_a_first_contact_keeps_the_host_key_that_was_shown(organisation: Organisation, server_one: sshd.Server) -> None:
    server = row_of(server_one, organisation, host_key="")
    test = result_of(server)
    assert (test.state, test.verdict) == (Run.State.FAILED, "host_key_unconfirmed")
    assert states(test) == ["failed", "skipped", "skipped", "skipped"]
    assert (server.host_key, server.seen_fingerprint) == ("", server_one.fingerprint)


def test_after_the_host_key_is_confirmed_the_test_passes(
    organisation: Organisation, server_one: sshd.Server, alice: User
) -> None:
    server = row_of(server_one, organisation, host_key="")
    result_of(server)
    test = hosts.trust_host_key(server=server, fingerprint=server.seen_fingerprint, by=alice)
    testing.run(test.pk)
    test.refresh_from_db()
    assert test.state == Run.State.PASSED


def test_a_changed_host_key_is_kept_beside_the_pinned_one(organisation: Organisation, server_one: sshd.Server) -> None:
    server = row_of(server_one, organisation, host_key=OTHER_HOST_KEY)
    test = result_of(server)
    assert (test.state, test.verdict) == (Run.State.FAILED, "host_key_changed")
    assert server.host_key_state == "changed"
    assert server.seen_fingerprint == server_one.fingerprint
    assert server.host_key == OTHER_HOST_KEY


def test_once_the_pinned_key_is_back_the_other_one_is_forgotten(
    organisation: Organisation, server_one: sshd.Server
) -> None:
    server = row_of(server_one, organisation)
    Server.objects.update(seen_host_key=OTHER_HOST_KEY)
    result_of(server)
    assert server.host_key_state == "confirmed"
    assert server.seen_host_key == ""


def test_a_server_without_docker_fails_at_the_command_line(
    organisation: Organisation, server_without_docker: sshd.Server
) -> None:
    test = result_of(row_of(server_without_docker, organisation))
    assert states(test) == ["passed", "failed", "skipped", "skipped"]
    assert test.verdict == "docker_not_found"


def test_a_user_outside_the_group_docker_fails_at_the_daemon(
    organisation: Organisation, server_of_ordinary_user: sshd.Server
) -> None:
    test = result_of(row_of(server_of_ordinary_user, organisation))
    assert states(test) == ["passed", "passed", "failed", "skipped"]
    assert test.verdict == "docker_socket_denied"
    assert sshd.LAB_USER in str(test.failing_rung)


def test_a_server_whose_daemon_is_down_fails_at_the_daemon(
    organisation: Organisation, new_server: NewServer, tmp_path: Path
) -> None:
    machine = new_server(environment={"DOCKER_HOST": f"unix://{tmp_path}/nothing.sock"})
    test = result_of(row_of(machine, organisation))
    assert states(test) == ["passed", "passed", "failed", "skipped"]
    assert test.verdict == "docker_daemon_down"


def test_a_closed_port_fails_at_ssh(organisation: Organisation) -> None:
    with Refusing() as machine:
        server = make_server(organisation, host=machine.address, port=machine.port, host_key=OTHER_HOST_KEY)
        test = result_of(server)
    assert (states(test)[0], test.verdict) == ("failed", "ssh_unreachable")


def test_a_wrong_key_fails_at_ssh(organisation: Organisation, server_one: sshd.Server) -> None:
    server = row_of(server_one, organisation)
    server.ssh_key = make_key(organisation, "wrong")
    server.save()
    assert result_of(server).verdict == "ssh_auth_refused"


def test_a_key_that_cannot_be_decrypted_fails_and_says_so(organisation: Organisation, server_one: sshd.Server) -> None:
    server = row_of(server_one, organisation)
    other = make_key(organisation, "other")
    SSHKey.objects.filter(pk=server.ssh_key_id).update(private_key=other.private_key)
    test = result_of(server)
    assert (test.state, test.verdict) == (Run.State.FAILED, "secret_unreadable")


def test_a_docker_that_floods_its_output_is_cut_off(
    organisation: Organisation, new_server: NewServer, engine_one: Engine, tmp_path: Path
) -> None:
    path = path_with_docker(tmp_path / "bin", talkative("version"))
    test = result_of(row_of(new_server(engine_one, environment={"PATH": path}), organisation))
    assert test.state == Run.State.FAILED
    assert len(json.dumps(test.rungs)) < 64 * 1024


def test_no_private_key_is_in_a_test(organisation: Organisation, server_one: sshd.Server) -> None:
    server = row_of(server_one, organisation)
    server.ssh_key = make_key(organisation, "wrong")
    server.save()
    assert PAIR.private.splitlines()[2] not in json.dumps(result_of(server).rungs)


def test_two_tests_share_one_connection(organisation: Organisation, new_server: NewServer, engine_one: Engine) -> None:
    machine = new_server(engine_one)
    server = row_of(machine, organisation)
    assert result_of(server).state == result_of(server).state == Run.State.PASSED
    assert machine.log.read_text(errors="replace").count("Accepted publickey") == 1


def test_a_test_is_run_once(organisation: Organisation, server_one: sshd.Server) -> None:
    test = result_of(row_of(server_one, organisation))
    testing.run(test.pk)
    again = ServerTest.objects.get(pk=test.pk)
    assert (again.revision, again.claim) == (test.revision, test.claim)


def test_a_test_whose_server_was_deleted_is_left_quietly(organisation: Organisation) -> None:
    server = make_server(organisation)
    test = testing.ask(server=server, asked_by=None)
    hosts.delete_server(server=server)
    before = AuditEntry.objects.count()
    testing.run(test.pk)
    assert not ServerTest.objects.exists()
    assert not Server.objects.exists()
    assert AuditEntry.objects.count() == before
