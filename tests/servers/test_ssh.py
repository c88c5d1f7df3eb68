"""SSH against real servers, and against some that are not what they should be."""

import contextlib
import dataclasses
import os
import shlex
import socket
import subprocess
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paramiko
import psutil
import pytest
from pytest_django import Settings

from servers import connections, docker, keys, ssh
from servers.channels import Transport
from servers.ssh import CommandFailed, HostKeyUnconfirmed, Refused, Target, Unreachable
from tests.lab.daemons import wait_until
from tests.lab.fixtures import NewServer
from tests.lab.impostors import Dripping, Refusing, Silent, TcpImpostor
from tests.lab.sshd import Server
from tests.patience import SOON

STRANGER = keys.generate()


@pytest.fixture(autouse=True)
def _loopback(settings: Settings) -> Iterator[None]:
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield
    ssh.close_all()


def target_of(server: Server | TcpImpostor, **changes: Any) -> Target:
    if isinstance(server, Server):
        target = Target(server.host, server.port, server.user, server.private_key, server.host_key)
    else:
        target = Target(server.address, server.port, "root", STRANGER.private, STRANGER.public)
    return dataclasses.replace(target, **changes)


def say(target: Target, command: str, stdin: bytes = b"", deadline: float = 20) -> tuple[int, bytes]:
    """Exit status and output of a command."""
    output: list[bytes] = []
    status = ssh.run(target, command, stdin=stdin, deadline=deadline, on_output=output.append)
    return status, b"".join(output)


def sign_ins(server: Server) -> int:
    return server.log.read_text(errors="replace").count("Accepted publickey")


def hang_up(server: Server) -> None:
    """End the sessions that the server holds, and not the server."""
    sessions = psutil.Process(server.pid).children(recursive=True)
    for session in sessions:
        session.kill()
    psutil.wait_procs(sessions, timeout=30)


# What works


def test_a_command_answers_with_its_status_and_both_streams(server_one: Server) -> None:
    assert say(target_of(server_one), "echo out; echo err >&2; exit 3") == (3, b"out\nerr\n")


@pytest.mark.parametrize("size", [0, 2_500, 1_000_000])
def test_stdin_arrives_whole(server_one: Server, size: int) -> None:
    assert say(target_of(server_one), "wc -c", b"\xff" * size) == (0, f"{size}\n".encode())


def test_a_command_that_reads_no_stdin_still_has_a_status(server_one: Server) -> None:
    assert say(target_of(server_one), "exit 127", b"x" * 4_000_000)[0] == 127


def test_output_is_bytes_whatever_they_mean(server_one: Server) -> None:
    assert say(target_of(server_one), r"printf '\377\000\351'") == (0, b"\xff\x00\xe9")


# Host keys


def test_an_unknown_host_key_is_shown_and_nobody_signs_in(new_server: NewServer) -> None:
    server = new_server()
    with pytest.raises(HostKeyUnconfirmed) as refusal:
        say(target_of(server, host_key=""), "true")
    assert refusal.value.seen == " ".join(server.host_key.split()[:2])
    assert server.fingerprint in refusal.value.verdict.cause + refusal.value.verdict.fix
    assert sign_ins(server) == 0


def test_a_changed_host_key_is_refused_and_both_are_named(new_server: NewServer) -> None:
    server = new_server()
    target = target_of(server)
    pinned = server.fingerprint
    server.replace_host_key()
    with pytest.raises(HostKeyUnconfirmed) as refusal:
        say(target, "true")
    sentences = refusal.value.verdict.cause + refusal.value.verdict.fix
    assert pinned in sentences
    assert server.fingerprint in sentences
    assert keys.fingerprint(refusal.value.seen) == server.fingerprint
    assert sign_ins(server) == 0


def test_a_kept_connection_does_not_serve_somebody_with_another_pin(server_one: Server) -> None:
    say(target_of(server_one), "true")
    with pytest.raises(HostKeyUnconfirmed):
        say(target_of(server_one, host_key=STRANGER.public), "true")


# Who is there


@pytest.mark.parametrize("impostor", [Silent, Dripping])
@pytest.mark.parametrize("pinned", [STRANGER.public, ""], ids=["pinned", "first contact"])
def test_a_server_that_says_nothing_useful_is_left_in_time(
    impostor: type[TcpImpostor], pinned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 2)
    began = time.monotonic()
    with impostor() as server, pytest.raises(Unreachable) as problem:
        say(target_of(server, host_key=pinned), "true")
    assert problem.value.verdict.code == "ssh_silent"
    assert time.monotonic() - began < SOON


def test_a_closed_port_is_unreachable() -> None:
    with Refusing() as server, pytest.raises(Unreachable, match="refused"):
        say(target_of(server), "true")


def test_a_name_that_does_not_exist_is_unreachable() -> None:
    target = Target("nowhere.invalid", 22, "root", STRANGER.private, STRANGER.public)
    with pytest.raises(Unreachable, match=r"nowhere\.invalid"):
        say(target, "true")


@pytest.mark.parametrize("host", ["169.254.169.254", "100.100.100.200", "0.0.0.0"])
def test_forbidden_addresses_are_never_connected_to(host: str) -> None:
    with pytest.raises(Refused, match=host):
        say(Target(host, 22, "root", STRANGER.private, STRANGER.public), "true")


def test_loopback_needs_the_setting(server_one: Server, settings: Settings) -> None:
    settings.DOKREG_ALLOW_LOOPBACK = False
    with pytest.raises(Refused):
        say(target_of(server_one), "true")


# Keys


def test_a_wrong_key_is_refused_for_good(server_one: Server) -> None:
    with pytest.raises(Refused, match="root") as refusal:
        say(target_of(server_one, private_key=STRANGER.private), "true")
    assert refusal.value.verdict.permanent


def test_a_server_that_does_not_decide_has_refused_nobody(new_server: NewServer) -> None:
    """It may ask a directory that does not answer; the key may be right."""
    server = new_server(options=["AuthorizedKeysCommand /bin/sleep 30", "AuthorizedKeysCommandUser root"])
    with pytest.raises(Unreachable) as problem:
        say(target_of(server, private_key=STRANGER.private), "true")
    assert problem.value.verdict.code == "ssh_undecided"


def test_what_is_no_key_is_refused(server_one: Server) -> None:
    with pytest.raises(Refused):
        say(target_of(server_one, private_key="hunter2"), "true")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the worker with an SSH set-up of its own."""
    (tmp_path / ".ssh").mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_workers_own_keys_are_not_tried(server_one: Server, home: Path) -> None:
    file = home / ".ssh" / "id_ed25519"
    file.write_text(server_one.private_key)
    file.chmod(0o600)
    with pytest.raises(Refused):
        say(target_of(server_one, private_key=STRANGER.private), "true")


def test_the_workers_agent_is_not_asked(server_one: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent:
        while not socket.exists():
            time.sleep(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", "-"], input=server_one.private_key, text=True, check=True)
        with pytest.raises(Refused):
            say(target_of(server_one, private_key=STRANGER.private), "true")
        agent.terminate()


def test_the_workers_configuration_is_not_read(server_one: Server, home: Path) -> None:
    ran = home / "ran"
    (home / ".ssh" / "config").write_text(f"Host *\n  ProxyCommand touch {shlex.quote(str(ran))}\n")
    (home / ".fabric.py").write_text(f"open({str(ran)!r}, 'w')\n")
    assert say(target_of(server_one), "true")[0] == 0
    assert not ran.exists()


def test_no_exception_holds_the_private_key(server_one: Server) -> None:
    body = STRANGER.private.splitlines()[2]
    targets = [
        target_of(server_one, private_key=STRANGER.private),
        target_of(server_one, private_key=STRANGER.private, host_key=STRANGER.public),
        target_of(server_one, private_key=STRANGER.private.replace("OPENSSH", "ODD")),
        target_of(server_one, private_key=STRANGER.private, port=1),
    ]
    for target in targets:
        with pytest.raises(ssh.SSHProblem) as problem:
            say(target, "true")
        assert body not in "".join(traceback.format_exception(problem.value))
        assert body not in repr(target)


# Connections


def test_a_connection_is_used_again(new_server: NewServer) -> None:
    server = new_server()
    for _ in range(3):
        assert say(target_of(server), "true")[0] == 0
    assert sign_ins(server) == 1


def test_what_runs_at_the_same_time_shares_a_connection(new_server: NewServer) -> None:
    server = new_server()
    target = target_of(server)
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: say(target, "sleep 0.1")[0], range(20)))
    assert statuses == [0] * 20
    assert sign_ins(server) == 1


def test_another_key_gets_a_connection_of_its_own(new_server: NewServer) -> None:
    server = new_server()
    say(target_of(server), "true")
    with pytest.raises(Refused):
        say(target_of(server, private_key=STRANGER.private), "true")


def test_a_connection_that_died_is_opened_again(new_server: NewServer) -> None:
    server = new_server()
    say(target_of(server), "true")
    hang_up(server)
    assert say(target_of(server), "echo back") == (0, b"back\n")
    assert sign_ins(server) == 2


def test_a_server_that_was_restarted_is_reached_again(new_server: NewServer) -> None:
    server = new_server()
    say(target_of(server), "true")
    hang_up(server)
    server.stop()
    server.start()
    assert say(target_of(server), "echo back") == (0, b"back\n")


def test_a_connection_that_is_cut_under_a_command_is_a_lost_connection(new_server: NewServer) -> None:
    server = new_server()
    say(target_of(server), "true")
    threading.Timer(0.5, hang_up, args=(server,)).start()
    with pytest.raises(Unreachable) as problem:
        say(target_of(server), "sleep 20")
    assert problem.value.verdict.code == "connection_lost"


def test_idle_connections_are_closed(new_server: NewServer) -> None:
    server = new_server()
    say(target_of(server), "true")
    ssh.close_all()
    say(target_of(server), "true")
    assert sign_ins(server) == 2


def test_of_too_many_connections_the_longest_idle_is_closed(
    new_server: NewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_KEPT", 1)
    first, second = new_server(), new_server()
    for server in (first, second, second, first):
        say(target_of(server), "true")
    assert (sign_ins(first), sign_ins(second)) == (2, 1)


def test_an_idle_connection_sleeps_until_it_is_closed(server_one: Server) -> None:
    assert say(target_of(server_one), "true") == (0, b"")
    (listening,) = [thread for thread in threading.enumerate() if isinstance(thread, Transport)]
    before = sleeps(listening)
    time.sleep(1.5)
    assert sleeps(listening) - before < 5
    ssh.close_all()
    listening.join(SOON)
    assert not listening.is_alive()


def sleeps(thread: threading.Thread) -> int:
    """How often a thread of this process has gone to sleep by itself."""
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def test_a_server_that_takes_fewer_sessions_says_so_once_the_time_is_up(new_server: NewServer) -> None:
    target = target_of(new_server(options=["MaxSessions 1"]))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(say, target, "echo began; sleep 3")
        wait_until(lambda: bool(connections._pool._kept), "the first to begin")
        time.sleep(0.5)
        with pytest.raises(Unreachable) as problem:
            say(target, "true", deadline=1)
        assert problem.value.verdict.code == "no_session"
        assert say(target, "true") == (0, b"")  # with more time it waits for the first to end
        assert first.result() == (0, b"began\n")


def test_a_channel_that_does_not_open_in_time_ends_nothing_else(new_server: NewServer) -> None:
    server = new_server()
    target = target_of(server)
    say(target, "true")
    slow: list[paramiko.Transport] = []

    def too_slow_once(transport: paramiko.Transport, end: float) -> paramiko.Channel:
        if not slow:
            slow.append(transport)
            raise paramiko.SSHException("Timeout opening channel.")
        return connections._open_session(transport, end)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(say, target, "sleep 1; echo whole")
        wait_until(lambda: any(kept.users for kept in connections._pool._kept.values()), "the other to begin")
        with connections._pool.channel(target, end=time.monotonic() + 20, open_one=too_slow_once) as channel:
            assert channel.get_transport() is not slow[0]
        assert other.result() == (0, b"whole\n")
    assert sign_ins(server) == 2
    wait_until(lambda: not slow[0].is_alive(), "the slow one to be closed")


def test_nothing_is_noted_of_channels_that_are_over_and_late_words_for_them_end_nothing(server_one: Server) -> None:
    for _ in range(12):
        assert say(target_of(server_one), "true") == (0, b"")
    (transport,) = [thread for thread in threading.enumerate() if isinstance(thread, Transport)]
    assert len(transport.channels_seen) == 0
    with connections._pool.channel(target_of(server_one), end=time.monotonic() + 20) as channel:
        channel.exec_command("sleep 0.3; echo late")
        transport._channels.delete(channel.get_id())  # as if it were over, and its object gone
        time.sleep(0.8)
    assert say(target_of(server_one), "echo whole") == (0, b"whole\n")
    assert transport.is_alive()


def test_who_asks_for_something_on_a_channel_as_it_closes_is_woken(server_one: Server) -> None:
    with connections._pool.channel(target_of(server_one), end=time.monotonic() + 20) as channel:
        connections._close_channel(channel)
        channel._event_pending()  # as a request does that has just found it open
        connections._close_channel(channel)
        with pytest.raises(paramiko.SSHException):
            channel._wait_for_event()


def test_a_connection_that_the_server_has_ended_already_rests(server_one: Server) -> None:
    sock = socket.create_connection((server_one.host, server_one.port))
    with contextlib.closing(Transport(sock)) as transport:
        sock.close()
        transport.rest()


def test_failures_leave_no_thread_and_no_socket_behind(server_one: Server) -> None:
    def fail() -> None:
        with pytest.raises(Refused):
            say(target_of(server_one, private_key=STRANGER.private), "true")

    fail()
    ssh.close_all()
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        fail()
    wait_until(
        lambda: threading.active_count() <= threads and len(os.listdir("/proc/self/fd")) <= files, "all to be closed"
    )


# Limits


def test_a_flood_is_cut_off(server_one: Server) -> None:
    received: list[int] = []
    with pytest.raises(CommandFailed):
        ssh.run(
            target_of(server_one),
            "head -c 50000000 /dev/zero",
            stdin=b"",
            deadline=20,
            on_output=lambda chunk: received.append(len(chunk)),
        )
    assert sum(received) <= ssh.OUTPUT_LIMIT
    assert say(target_of(server_one), "echo still there") == (0, b"still there\n")


def test_a_command_ends_at_its_deadline(server_one: Server) -> None:
    began = time.monotonic()
    with pytest.raises(CommandFailed) as problem:
        say(target_of(server_one), "sleep 30", deadline=1)
    assert problem.value.verdict.code == "deadline_passed"
    assert time.monotonic() - began < SOON
    assert say(target_of(server_one), "echo still there") == (0, b"still there\n")


def test_a_frozen_server_does_not_hold_anybody_up(new_server: NewServer) -> None:
    server = new_server()
    say(target_of(server), "true")
    sessions = psutil.Process(server.pid).children(recursive=True)
    for session in sessions:
        session.suspend()
    began = time.monotonic()
    try:
        with pytest.raises(ssh.SSHProblem):
            say(target_of(server), "true", deadline=2)
        assert time.monotonic() - began < SOON
    finally:
        for session in sessions:
            session.resume()


def test_a_login_shell_that_never_comes_to_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "GREETING_SECONDS", 0.2)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"Welcome!\n")
        with pytest.raises(CommandFailed) as problem:
            docker._skip_greeting(ours)
        theirs.sendall(f"{docker.DIAL_MARK}\nthe rest".encode())
        docker._skip_greeting(ours)
        assert (ours.recv(20), ours.gettimeout()) == (b"the rest", None)
    assert problem.value.verdict.code == "deadline_passed"
