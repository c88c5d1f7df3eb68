"""The lab itself: each part does, for real, what the tests of dokreg rely on."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.lab import packages
from tests.lab.daemons import LabError, wait_until
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, BOB, NewFolder, NewServer
from tests.lab.impostors import (
    Behaviour,
    Dripping,
    HttpImpostor,
    LoginLimiter,
    Refusing,
    Silent,
    broken,
    denying,
    login_page,
    not_a_registry,
    overloaded,
    pull_limit,
    too_many_requests,
)
from tests.lab.ports import address_off_loopback, free_port
from tests.lab.registry import Account, BasicRegistry, BearerRegistry, Registry, TlsRegistry
from tests.lab.sshd import KeyPair, Server, path_with_docker, talkative
from tests.lab.watch import SHARED_FOLDERS, encodings, files_with, new_files, watching

MALLORY = Account("alice", "not-her-password")


class Outcome(NamedTuple):
    succeeded: bool
    words: str


def log_in(server: Server, host: str, account: Account = ALICE) -> Outcome:
    """Log in as dokreg does, password by stdin, and forget it at once."""
    login = f"docker login --username {shlex.quote(account.username)} --password-stdin {host}"
    result = server.ssh(
        f'DOCKER_CONFIG=$(mktemp -d) && export DOCKER_CONFIG; {login}; status=$?; rm -r "$DOCKER_CONFIG"; exit $status',
        stdin=account.password,
    )
    return Outcome(result.returncode == 0, result.stdout + result.stderr)


def test_free_ports_differ() -> None:
    assert len({free_port() for _ in range(50)}) == 50


# Packages


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(packages.PROGRAMS, "no-such-package", ["no-such-program"])
    monkeypatch.setattr(packages, "privilege", lambda: None)
    assert packages.main() == 1
    assert capsys.readouterr().err.split()[-1] == "no-such-package"


def test_nothing_is_installed_when_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[list[str]] = []
    monkeypatch.setattr(packages, "install", lambda missing, _: installed.append(missing))
    assert packages.main() == 0
    assert installed == []


def test_what_is_missing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packages.PROGRAMS, "new-package", ["new-program"])
    monkeypatch.setattr(packages, "privilege", list)
    monkeypatch.setattr(packages, "install", lambda missing, _: packages.PROGRAMS.pop(missing[0]))
    assert packages.main() == 0
    assert "new-package" not in packages.PROGRAMS


def test_a_busybox_that_needs_libraries_is_not_enough() -> None:
    assert packages.is_static(Path("/bin/busybox"))
    assert not packages.is_static(Path("/bin/ls"))


# Registries


@pytest.mark.parametrize("account", [ALICE, BOB])
def test_the_right_password_logs_in(server_one: Server, lab_registry: BasicRegistry, account: Account) -> None:
    assert log_in(server_one, lab_registry.host, account).succeeded


def test_a_wrong_password_does_not(server_one: Server, lab_registry: BasicRegistry) -> None:
    outcome = log_in(server_one, lab_registry.host, MALLORY)
    assert not outcome.succeeded
    assert "/v2/ failed with status: 401 Unauthorized" in outcome.words


def test_a_password_changes_while_the_registry_runs(server_one: Server, lab_registry: BasicRegistry) -> None:
    renewed = Account("bob", "a-token-minted-just-now")
    with lab_registry.password_changed(*renewed):
        assert log_in(server_one, lab_registry.host, renewed).succeeded
        assert not log_in(server_one, lab_registry.host, BOB).succeeded
    assert log_in(server_one, lab_registry.host, BOB).succeeded


def test_a_user_is_removed_while_the_registry_runs(server_one: Server, new_folder: NewFolder) -> None:
    with BasicRegistry(new_folder(), [ALICE, BOB]) as registry:
        assert log_in(server_one, registry.host, BOB).succeeded
        registry.remove_user("bob")
        assert not log_in(server_one, registry.host, BOB).succeeded


def test_a_registry_goes_down_and_comes_back(server_one: Server, lab_registry: BasicRegistry) -> None:
    with lab_registry.down():
        assert "connect: connection refused" in log_in(server_one, lab_registry.host).words
    assert log_in(server_one, lab_registry.host).succeeded


def test_the_open_registry_takes_any_password(server_one: Server, open_registry: Registry) -> None:
    assert log_in(server_one, open_registry.host, MALLORY).succeeded


def test_a_token_server_checks_the_password(server_one: Server, bearer_registry: BearerRegistry) -> None:
    issued = bearer_registry.tokens.issued
    assert log_in(server_one, bearer_registry.host).succeeded
    assert bearer_registry.tokens.issued == issued + 1
    outcome = log_in(server_one, bearer_registry.host, MALLORY)
    assert not outcome.succeeded
    assert outcome.words.rstrip().endswith('/v2/": unauthorized')


def test_a_token_server_grants_what_its_table_says(engine_one: Engine, bearer_registry: BearerRegistry) -> None:
    mine, other = (f"{bearer_registry.host}/{name}:1" for name in ("bob/mine", "acme/secret"))
    for reference in (mine, other):
        engine_one.import_image(reference)
        engine_one.push(reference, ALICE)
    denied = "denied: requested access to the resource is denied"
    with bearer_registry.tokens.limited("bob", {"bob/mine": frozenset({"pull"})}):
        engine_one.pull(mine, BOB)
        with pytest.raises(LabError, match=denied):
            engine_one.pull(other, BOB)
        with pytest.raises(LabError, match=denied):
            engine_one.push(mine, BOB)
    engine_one.pull(other, BOB)


def test_an_unknown_authority_is_refused_until_it_is_trusted(server_one: Server, tls_registry: TlsRegistry) -> None:
    assert "x509: certificate signed by unknown authority" in log_in(server_one, tls_registry.host).words
    with tls_registry.trusted_by_engines():
        assert log_in(server_one, tls_registry.host).succeeded
        assert "401 Unauthorized" in log_in(server_one, tls_registry.host, MALLORY).words


def test_an_expired_certificate_is_refused(server_one: Server, new_folder: NewFolder) -> None:
    with TlsRegistry(new_folder(), [ALICE], expired=True) as registry, registry.trusted_by_engines():
        assert "x509: certificate has expired" in log_in(server_one, registry.host).words


def test_a_certificate_for_another_name_is_refused(server_one: Server, new_folder: NewFolder) -> None:
    with TlsRegistry(new_folder(), [ALICE], "elsewhere.example") as registry, registry.trusted_by_engines():
        assert "x509: cannot validate certificate for" in log_in(server_one, registry.host).words


def test_plain_http_off_loopback_is_refused(server_one: Server, new_folder: NewFolder) -> None:
    with BasicRegistry(new_folder(), [ALICE], address=address_off_loopback()) as registry:
        outcome = log_in(server_one, registry.host)
    assert "server gave HTTP response to HTTPS client" in outcome.words


# Impostors


@pytest.mark.parametrize("behaviour", [login_page, pull_limit])
def test_some_impostors_take_any_password(server_one: Server, behaviour: Behaviour) -> None:
    with HttpImpostor(behaviour) as impostor:
        assert log_in(server_one, impostor.host, MALLORY).succeeded
        assert {(request.path, request.authorization) for request in impostor.requests} == {("/v2/", "")}


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (not_a_registry, "failed with status: 404 Not Found"),
        (broken, "failed with status: 500 Internal Server Error"),
        (overloaded, "failed with status: 503 Service Unavailable"),
        (denying, "failed with status: 403 Forbidden"),
        (too_many_requests, "failed with status: 429 Too Many Requests"),
    ],
)
def test_other_impostors_refuse_the_login(server_one: Server, behaviour: Behaviour, words: str) -> None:
    with HttpImpostor(behaviour) as impostor:
        outcome = log_in(server_one, impostor.host)
    assert not outcome.succeeded
    assert words in outcome.words


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (login_page, "error unmarshalling content"),
        (denying, "Error response from daemon: denied"),
        (pull_limit, "toomanyrequests: You have reached your pull rate limit."),
    ],
)
def test_impostors_refuse_the_pull(engine_one: Engine, behaviour: Behaviour, words: str) -> None:
    with HttpImpostor(behaviour) as impostor, pytest.raises(LabError, match=words):
        engine_one.pull(f"{impostor.host}/acme/web:1", ALICE)


def test_too_many_wrong_passwords(server_one: Server) -> None:
    with LoginLimiter() as impostor:
        assert "toomanyrequests: too many failed login attempts" in log_in(server_one, impostor.host).words


def test_a_port_that_refuses(server_one: Server) -> None:
    with Refusing() as nobody:
        assert "connect: connection refused" in log_in(server_one, nobody.host).words


def test_a_silent_server_says_nothing_until_it_is_stopped() -> None:
    with Silent() as silent, socket.create_connection((silent.address, silent.port)) as connection:
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        silent.stop()
        assert connection.recv(1) == b""


def test_a_dripping_banner_comes_a_byte_a_second() -> None:
    began = time.monotonic()
    with Dripping() as dripping, socket.create_connection((dripping.address, dripping.port)) as connection:
        connection.settimeout(10)
        assert b"".join(connection.recv(1) for _ in range(10)) == b"SSH-2.0-xx"
    assert time.monotonic() - began >= 2


# Engines


def test_a_pushed_image_is_pulled_elsewhere_and_runs(engine_two: Engine, pushed_image: str) -> None:
    with pytest.raises(LabError, match="no basic auth credentials"):
        engine_two.pull(pushed_image)
    engine_two.pull(pushed_image, BOB)
    assert engine_two.docker("run", "--rm", "--network=none", pushed_image, "echo", "up").stdout == "up\n"
    engine_two.remove_image(pushed_image)
    assert not engine_two.has_image(pushed_image)


def test_another_marker_makes_another_image(engine_one: Engine) -> None:
    def image_id(marker: str) -> str:
        engine_one.import_image("lab/marked", marker=marker)
        return engine_one.docker("image", "inspect", "--format={{.Id}}", "lab/marked").stdout

    assert image_id("first") != image_id("second")


def test_an_engine_ends_with_its_containers(new_folder: NewFolder) -> None:
    with Engine(new_folder() / "_odd-_name_") as engine:
        engine.import_image("lab/sleeper")
        engine.docker("run", "--detach", "--network=none", "lab/sleeper")
        sleeper = engine.docker("inspect", "--format={{.State.Pid}}", *containers(engine)).stdout
        assert psutil.pid_exists(int(sleeper))
    assert not psutil.pid_exists(int(sleeper))
    assert processes_of(engine.folder) == []
    assert str(engine.folder) not in Path("/proc/self/mountinfo").read_text()


def test_a_folder_too_deep_for_sockets_is_refused_at_once(new_folder: NewFolder) -> None:
    with pytest.raises(LabError, match="too long a name"):
        Engine(new_folder() / ("deep" * 20))


def containers(engine: Engine) -> list[str]:
    return engine.docker("ps", "--all", "--quiet").stdout.split()


def processes_of(folder: Path) -> list[int]:
    return [process.pid for process in psutil.process_iter() if str(folder) in " ".join(command(process))]


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


# Servers


def test_the_two_servers_have_an_engine_each(server_one: Server, server_two: Server) -> None:
    for server in (server_one, server_two):
        assert server.engine
        folder = server.ssh("docker info --format '{{.DockerRootDir}}'").stdout.strip()
        assert Path(folder).parent == server.engine.folder
    assert server_one.engine != server_two.engine


def test_a_login_that_stays_lands_in_the_servers_own_home(server_two: Server, lab_registry: BasicRegistry) -> None:
    login = f"docker login --username bob --password-stdin {lab_registry.host}"
    with new_files(server_two.home) as left:
        assert server_two.ssh(login, stdin=BOB.password).returncode == 0
    assert left == [server_two.home / ".docker", server_two.home / ".docker/config.json"]
    assert files_with(BOB.password, server_two.home) == [server_two.home / ".docker/config.json"]
    server_two.ssh("rm -r ~/.docker")
    assert list(server_two.home.iterdir()) == []


def test_a_server_without_docker(server_without_docker: Server) -> None:
    result = server_without_docker.ssh("docker version")
    assert result.returncode == 127
    assert "docker: command not found" in result.stderr
    assert server_without_docker.ssh("command -v mktemp timeout").returncode == 0


def test_an_ordinary_user_may_not_speak_to_the_engine(server_of_ordinary_user: Server) -> None:
    result = server_of_ordinary_user.ssh("docker version")
    assert result.returncode == 1
    assert "permission denied while trying to connect to the Docker daemon socket" in result.stderr


def test_docker_login_succeeds_without_the_engine(server_of_ordinary_user: Server, lab_registry: BasicRegistry) -> None:
    """The reason why dokreg asks for the engine before it trusts a login."""
    assert log_in(server_of_ordinary_user, lab_registry.host).succeeded
    assert not log_in(server_of_ordinary_user, lab_registry.host, MALLORY).succeeded


def test_the_fingerprint_is_the_one_that_openssh_shows(server_one: Server) -> None:
    port = str(server_one.port)
    scanned = subprocess.run(
        ["ssh-keyscan", "-t", "ed25519", "-p", port, server_one.host], capture_output=True, text=True
    ).stdout
    shown = subprocess.run(["ssh-keygen", "-l", "-f", "-"], input=scanned, capture_output=True, text=True)
    assert server_one.host_key in scanned
    assert shown.stdout.split()[1] == server_one.fingerprint


def test_a_replaced_host_key_is_noticed(server_one: Server) -> None:
    expected = server_one.host_keys
    with server_one.host_key_replaced():
        assert server_one.host_keys != expected
        server_one.host_keys, actual = expected, server_one.host_keys
        result = server_one.ssh("true")
        server_one.host_keys = actual
    assert result.returncode == 255
    assert "Host key verification failed" in result.stderr
    assert server_one.host_keys == expected
    assert server_one.ssh("true").returncode == 0


def test_another_key_does_not_let_in(new_server: NewServer) -> None:
    server = new_server()
    assert server.ssh("true").returncode == 0
    server.forget_client(KeyPair.generate())
    assert "Permission denied (publickey)" in server.ssh("true").stderr


def test_a_server_goes_down_and_comes_back(new_server: NewServer) -> None:
    server = new_server()
    with server.down():
        assert "Connection refused" in server.ssh("true").stderr
    assert server.ssh("true").returncode == 0


def test_a_paused_server_accepts_and_is_silent(new_server: NewServer) -> None:
    server = new_server()
    with server.paused(), socket.create_connection((server.host, server.port)) as connection:
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert server.ssh("true").returncode == 0


def test_a_server_that_is_stopped_takes_its_sessions_along(new_server: NewServer) -> None:
    server = new_server()
    arguments = ["sleep", "987654"]
    assert server.ssh(f"nohup {shlex.join(arguments)} >/dev/null 2>&1 & echo started").stdout == "started\n"
    sleepers: list[psutil.Process] = []
    end = time.monotonic() + 10
    while not sleepers:  # the shell becomes it a moment after it has said so
        assert time.monotonic() < end
        sleepers = [process for process in psutil.process_iter() if command(process) == arguments]
    server.stop()
    assert not any(process.is_running() for process in sleepers)


def test_sshd_drops_a_crowd_unless_it_is_told_otherwise(new_server: NewServer) -> None:
    assert crowd_let_in(new_server(max_startups=None), 40) < 40
    assert crowd_let_in(new_server(), 40) == 40


def crowd_let_in(server: Server, size: int) -> int:
    """How many of a crowd that says nothing get a banner."""
    crowd = [socket.create_connection((server.host, server.port)) for _ in range(size)]
    try:
        return sum(connection.recv(4) == b"SSH-" for connection in crowd)
    finally:
        for connection in crowd:
            connection.close()


def test_a_docker_that_floods_its_output_still_works(
    new_server: NewServer, new_folder: NewFolder, engine_one: Engine
) -> None:
    path = path_with_docker(new_folder() / "bin", talkative("version", megabytes=50))
    server = new_server(engine_one, environment={"PATH": path})
    printed = server.ssh("docker version --format '{{.Server.Os}}'").stdout
    assert len(printed) > 50_000_000
    assert printed.endswith("linux\n")
    assert len(server.ssh("docker ps").stdout) < 10_000


def test_a_login_does_not_die_of_a_signal_that_python_ignores(server_one: Server) -> None:
    """Programs ignore SIGPIPE when the one that started them did; on a real server they do not."""
    assert server_one.ssh("bash -c 'yes | head -1; echo ${PIPESTATUS[0]}'").stdout == f"y\n{128 + signal.SIGPIPE}\n"


# The watcher

SECRET = "s3cret-that-nobody-should-see"


def test_a_secret_on_a_command_line_is_seen() -> None:
    with watching(SECRET) as watch:
        subprocess.run(["sh", "-c", "sleep 0.5; true", SECRET])
    assert {(sighting.place, sighting.program) for sighting in watch.sightings} == {("command line", "sh")}
    assert watch.saw("sh -c sleep 0.5; true ********")


def test_a_secret_in_an_environment_is_seen() -> None:
    with watching(SECRET) as watch:
        subprocess.run(["sleep", "0.5"], env={"TOKEN": SECRET, "PATH": os.defpath})
    assert {(sighting.place, sighting.program) for sighting in watch.sightings} == {("environment", "sleep")}


def test_a_secret_on_stdin_is_not(server_one: Server, lab_registry: BasicRegistry) -> None:
    with watching(BOB.password) as watch, new_files(*SHARED_FOLDERS, server_one.home) as left:
        assert log_in(server_one, lab_registry.host, BOB).succeeded
    assert watch.sightings == set()
    assert watch.saw("docker login --username bob --password-stdin")
    assert [path for path in left if files_with(BOB.password, path)] == []


def test_what_is_left_behind_is_found(tmp_path: Path) -> None:
    (tmp_path / "there before").write_text("as it was")
    (tmp_path / "changed").write_text("before")
    with new_files(tmp_path) as left:
        (tmp_path / "changed").write_text("afterwards")
        (tmp_path / "empty folder").mkdir()
        (tmp_path / "passing").write_text("gone again")
        (tmp_path / "passing").unlink()
    assert left == [tmp_path / "changed", tmp_path / "empty folder"]


@pytest.mark.parametrize("user", ["a", "bo", "eve"])
def test_a_secret_is_found_in_base64_too(user: str) -> None:
    text = encoded(f"{user}:{SECRET}, and more")
    assert any(form in text for form in encodings(SECRET))
    assert not any(form in text for form in encodings(SECRET.swapcase()))


def encoded(text: str) -> bytes:
    return subprocess.run(["base64", "-w0"], input=text.encode(), capture_output=True).stdout


# The end

STARTS_AND_IS_KILLED = """
import os, pathlib, signal, sys
from tests.lab.engine import Engine
from tests.lab.sshd import Server
folder = pathlib.Path(sys.argv[1])
engine = Engine(folder / "engine").start()
server = Server(folder / "server", engine).start()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_outlives_a_killed_run(new_folder: NewFolder) -> None:
    folder = new_folder()
    killed = subprocess.run([sys.executable, "-c", STARTS_AND_IS_KILLED, str(folder)], cwd=Path.cwd())
    assert killed.returncode == -signal.SIGKILL
    wait_until(lambda: not processes_of(folder), "the keepers' work")
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    assert not folder.exists()


def test_a_program_that_cannot_start_says_why(new_folder: NewFolder) -> None:
    class Misconfigured(Server):
        def configuration(self) -> str:
            return super().configuration() + "NoSuchOption yes\n"

    with pytest.raises(LabError, match="Bad configuration option: NoSuchOption"):
        Misconfigured(new_folder()).start()
