"""Connections through a server to elsewhere, over real sshd."""

import contextlib
import dataclasses
import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import paramiko
import psutil
import pytest
from paramiko.common import cMSG_CHANNEL_EOF
from pytest_django import Settings

from servers import connections, ssh
from servers.channels import Transport
from servers.docker import OwnHost
from servers.ssh import ForwardingForbidden, Refused, Target, Unreachable
from tests.lab.daemons import wait_until
from tests.lab.fixtures import NewServer
from tests.lab.impostors import Refusing, Silent, TcpImpostor
from tests.lab.sshd import Server
from tests.patience import SOON

PLACE = "web-1"


class Echo(TcpImpostor):
    """Says everything back."""

    def talk(self, connection: socket.socket) -> None:
        while chunk := connection.recv(65536):
            connection.sendall(chunk)
        connection.shutdown(socket.SHUT_WR)


class Deaf(TcpImpostor):
    """Takes nothing of what it is sent."""

    def talk(self, connection: socket.socket) -> None:
        self._stopped.wait()


@pytest.fixture(autouse=True)
def _loopback(settings: Settings) -> Iterator[None]:
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield
    ssh.close_all()


@pytest.fixture
def target(server_one: Server) -> Target:
    return target_of(server_one)


def target_of(server: Server) -> Target:
    return Target(server.host, server.port, server.user, server.private_key, server.host_key)


def say(target: Target, peer: TcpImpostor, data: bytes) -> bytes:
    """What comes back from a peer, to its end."""
    with ssh.forward(target, peer.address, peer.port, deadline=20, place=PLACE) as sock:
        sender = threading.Thread(target=_send, args=(sock, data))
        sender.start()
        received = b"".join(iter(lambda: sock.recv(65536), b""))
        sender.join()
    return received


def _send(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def left_open() -> tuple[int, int]:
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def wait_until_closed(before: tuple[int, int]) -> None:
    end = time.monotonic() + 30
    while any(now > then for now, then in zip(left_open(), before, strict=True)):
        assert time.monotonic() < end, (left_open(), before, [thread.name for thread in threading.enumerate()])
        time.sleep(0.02)


@pytest.mark.parametrize("size", [1, 3_000_000])
def test_what_is_said_arrives_whole_and_comes_back(target: Target, size: int) -> None:
    data = os.urandom(size)
    with Echo() as peer:
        assert say(target, peer, data) == data


def test_many_at_once_share_one_connection_and_one_does_not_hear_another(new_server: NewServer) -> None:
    server = new_server()
    with Echo() as peer, ThreadPoolExecutor(20) as pool:
        sent = [os.urandom(50_000) for _ in range(20)]
        assert list(pool.map(lambda data: say(target_of(server), peer, data), sent)) == sent
    assert server.log.read_text(errors="replace").count("Accepted publickey") == 1


def test_the_server_resolves_the_name(target: Target) -> None:
    with Echo() as peer, ssh.forward(target, "localhost", peer.port, deadline=20) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"


def test_a_name_that_the_server_does_not_find(target: Target) -> None:
    with pytest.raises(Unreachable) as problem, ssh.forward(target, "nowhere.invalid", 443, deadline=20, place=PLACE):
        pass
    assert problem.value.verdict.code == "host_not_found"
    assert "nowhere.invalid" in problem.value.verdict.cause
    assert PLACE in problem.value.verdict.cause


def test_a_port_on_which_nothing_listens(target: Target) -> None:
    with Refusing() as peer, pytest.raises(Unreachable) as problem:
        say(target, peer, b"")
    assert problem.value.verdict.code == "connection_refused"
    assert peer.host in problem.value.verdict.cause


@pytest.mark.parametrize(
    "how", ["AllowTcpForwarding no", "AllowTcpForwarding remote", "DisableForwarding yes", "PermitOpen none"]
)
def test_a_server_that_forbids_forwarding(new_server: NewServer, how: str) -> None:
    target = target_of(new_server(options=[how]))
    with Echo() as peer, pytest.raises(ForwardingForbidden) as refusal:
        say(target, peer, b"x")
    assert refusal.value.verdict.code == "forwarding_forbidden"
    assert refusal.value.verdict.permanent


def test_refusals_at_once_reach_whoever_they_are_for(target: Target) -> None:
    """paramiko keeps one refusal for all threads; each must get its own, and the connection must live."""
    codes = {"localhost": "connection_refused", "nowhere.invalid": "host_not_found"}

    def ask(host: str) -> str:
        with pytest.raises(Unreachable) as problem, ssh.forward(target, host, closed.port, deadline=20):
            pass
        return problem.value.verdict.code

    with Refusing() as closed, ThreadPoolExecutor(8) as pool:
        hosts = list(codes) * 10
        assert list(pool.map(ask, hosts)) == [codes[host] for host in hosts]
        assert ssh.run(target, "true", stdin=b"", deadline=20, on_output=lambda _chunk: None) == 0


class Full(Refusing):
    """Lets nobody more in: what asks to be connected gets no answer at all."""

    def start(self) -> "Full":
        super().start()
        assert self._listener is not None
        self._listener.listen(0)
        self._waiting = [socket.socket() for _ in range(4)]
        for one in self._waiting:
            one.setblocking(False)
            one.connect_ex((self.address, self.port))
        return self

    def stop(self) -> None:
        for one in self._waiting:
            one.close()
        super().stop()


def test_an_address_that_does_not_answer(target: Target) -> None:
    began = time.monotonic()
    with Full() as peer, pytest.raises(Unreachable) as problem:
        ssh.forward(target, peer.address, peer.port, deadline=1, place=PLACE).__enter__()
    assert problem.value.verdict.code == "registry_timeout"
    assert time.monotonic() - began < SOON
    assert ssh.run(target, "true", stdin=b"", deadline=20, on_output=lambda _chunk: None) == 0


def test_what_is_connected_too_late_is_closed(target: Target) -> None:
    """The system goes on trying after nobody waits any more."""
    with Full() as peer:
        with pytest.raises(Unreachable):
            ssh.forward(target, peer.address, peer.port, deadline=1, place=PLACE).__enter__()
        ours = {one.getsockname() for one in peer._waiting}
        assert peer._listener is not None
        peer._listener.settimeout(30)
        while True:
            late, address = peer._listener.accept()
            with late:
                if address in ours:
                    continue
                late.settimeout(30)
                assert late.recv(1) == b""
                break
    assert ssh.run(target, "true", stdin=b"", deadline=20, on_output=lambda _chunk: None) == 0


def test_a_peer_that_says_nothing_is_left_at_the_deadline(target: Target) -> None:
    began = time.monotonic()
    with Silent() as peer, ssh.forward(target, peer.address, peer.port, deadline=1) as sock:
        sock.settimeout(None)
        assert sock.recv(1) == b""
    assert time.monotonic() - began < SOON


def test_a_peer_that_takes_nothing_is_left_at_the_deadline(target: Target) -> None:
    began = time.monotonic()
    with Deaf() as peer, ssh.forward(target, peer.address, peer.port, deadline=1) as sock:
        sock.settimeout(None)
        with pytest.raises(OSError, match=r"pipe|reset"):
            sock.sendall(b"x" * 50_000_000)
    assert time.monotonic() - began < SOON


def test_a_connection_that_is_cut_ends_the_socket(new_server: NewServer) -> None:
    server = new_server()
    with Silent() as peer, ssh.forward(target_of(server), peer.address, peer.port, deadline=20) as sock:
        for session in psutil.Process(server.pid).children(recursive=True):
            session.kill()
        assert sock.recv(1) == b""


def test_nothing_is_left_open_however_it_ends(target: Target) -> None:
    class Broken(Exception):
        pass

    def end_well(peer: TcpImpostor) -> None:
        say(target, peer, b"x")

    def break_off(peer: TcpImpostor) -> None:
        with pytest.raises(Broken), ssh.forward(target, peer.address, peer.port, deadline=20):
            raise Broken

    def wrap(peer: TcpImpostor) -> None:
        context = ssl.create_default_context()
        with ssh.forward(target, peer.address, peer.port, deadline=20) as sock, pytest.raises(ssl.SSLError):
            context.wrap_socket(sock, server_hostname="localhost")

    def find_nobody(_peer: TcpImpostor) -> None:
        with Refusing() as closed, pytest.raises(Unreachable):
            say(target, closed, b"")

    with Echo() as peer:
        say(target, peer, b"x")
        before = left_open()
        for _ in range(5):
            for end in (end_well, break_off, wrap, find_nobody):
                end(peer)
        wait_until_closed(before)


def test_what_is_said_too_late_on_a_channel_does_not_end_the_others(server_one: Server) -> None:
    """As a thread does that was about to end its input when the command ended."""
    with contextlib.closing(Transport((server_one.host, server_one.port))) as transport:
        key = paramiko.Ed25519Key.from_private_key(io.StringIO(server_one.private_key))
        transport.connect(username=server_one.user, pkey=key)
        other = transport.open_session()
        other.exec_command("cat")
        ended = transport.open_session()
        ended.exec_command("true")
        assert ended.recv_exit_status() == 0
        wait_until(lambda: ended.closed, "both to have closed it")
        time.sleep(0.2)  # until the server has forgotten it
        transport._send_user_message(end_of_input(ended.remote_chanid))
        other.sendall(b"still here")
        assert other.recv(100) == b"still here"
        again = transport.open_session()  # the server gives its number out again
        assert again.remote_chanid == ended.remote_chanid
        again.exec_command("cat")
        again.shutdown_write()
        assert again.recv_exit_status() == 0


def end_of_input(number: int) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_EOF)
    message.add_int(number)
    return message


def test_a_lost_connection_is_opened_again(new_server: NewServer) -> None:
    server = new_server()
    with Echo() as peer:
        assert say(target_of(server), peer, b"one") == b"one"
        for session in psutil.Process(server.pid).children(recursive=True):
            session.kill()
        assert say(target_of(server), peer, b"two") == b"two"


def test_a_wrong_key_is_refused_as_for_a_command(target: Target) -> None:
    with Echo() as peer, pytest.raises(Refused) as refusal:
        say(dataclasses.replace(target, host_key=""), peer, b"")
    assert refusal.value.verdict.code == "host_key_unconfirmed"


# dokreg's own host


def test_the_own_host_connects_to_what_may_be_reached() -> None:
    with Echo() as peer, OwnHost().connect(peer.address, peer.port, deadline=20) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"


def test_the_own_host_leaves_a_silent_peer_at_the_deadline() -> None:
    began = time.monotonic()
    with Silent() as peer, OwnHost().connect(peer.address, peer.port, deadline=1) as sock:
        sock.settimeout(None)
        assert sock.recv(1) == b""
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize(
    ("host", "changed", "code"),
    [
        ("169.254.169.254", {}, "address_forbidden"),
        ("127.0.0.1", {"DOKREG_ALLOW_LOOPBACK": False}, "address_forbidden"),
        ("127.0.0.1", {"DOKREG_LOCAL_DOCKER": False}, "own_host_not_used"),
    ],
)
def test_the_own_host_refuses_what_the_settings_forbid(
    settings: Settings, host: str, changed: dict[str, bool], code: str
) -> None:
    for name, value in changed.items():
        setattr(settings, name, value)
    with pytest.raises(Refused) as refusal, OwnHost().connect(host, 443, deadline=20):
        pass
    assert refusal.value.verdict.code == code


@pytest.mark.parametrize(("host", "code"), [("nowhere.invalid", "host_not_found"), ("127.0.0.1", "connection_refused")])
def test_the_own_host_says_why_it_cannot_connect(host: str, code: str) -> None:
    with Refusing() as closed, pytest.raises(Unreachable) as problem, OwnHost().connect(host, closed.port, deadline=20):
        pass
    assert problem.value.verdict.code == code


def test_ways_to_elsewhere_take_no_session_s_place(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """sshd counts sessions alone, and whoever lists tags holds many ways open."""
    monkeypatch.setattr(connections, "CHANNELS_PER_CONNECTION", 1)
    with Echo() as echo, contextlib.ExitStack() as ways:
        for _ in range(3):
            ways.enter_context(ssh.forward(target, echo.address, echo.port, deadline=20))
        assert ssh.run(target, "true", stdin=b"", deadline=20, on_output=lambda _: None) == 0
