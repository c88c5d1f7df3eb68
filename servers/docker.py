"""The Docker CLI on a host: a server over SSH, or the machine that dokreg itself runs on.

What is asked of it are scripts of stages (`servers.stages`). The secret is what remains of their stdin, and only
`docker login --password-stdin` reads it.
"""

import base64
import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any, Protocol

from django.conf import settings

from dokreg.database import give_back
from servers import own_host, ssh, verdicts
from servers.models import Server
from servers.stages import PROLOGUE, TEST_DEADLINE, OnStage, one_line, run_stages

OWN_HOST = "dokreg's own host"


PROBE = r"""
    say shell 0;
    if command -v docker >/dev/null 2>&1; then :; else echo "docker: command not found"; say cli 127; exit 0; fi;
    say cli 0; V=$(t 15 docker version --format "context={{.Client.Context}} {{json .}}" </dev/null 2>&1); S=$?;
    printf "%s\n" "$V"; say daemon $S;
    if [ $S -ne 0 ]; then exit 0; fi;
"""
_DISK = r"""
    R=$(t 15 docker info --format "{{.DockerRootDir}}" </dev/null 2>/dev/null);
    df -Pk "${R:-/}" 2>&1 || df -Pk / 2>&1; say disk $?;
"""
# The folder goes last, when the trial beside has ended too: it would otherwise be written into while it is removed.
# So nothing may interrupt that `wait`, and a reader that is gone (SIGPIPE) is no reason to stop early.
# The user's own config is not read, so the Docker context in force must be carried over by hand.
# A config that holds nothing makes the CLI look for a credential store of the machine and keep the login there; one
# that names a store for a host that cannot exist keeps it in the folder.
LOGIN = r"""
    IFS= read -r RUN || exit 96; IFS= read -r HOST || exit 96;
    IFS= read -r NAME || exit 96; IFS= read -r TRIAL || exit 96;
    D=$(mktemp -d "/dev/shm/dokreg.$RUN.XXXXXXXX" 2>/dev/null)
        || D=$(mktemp -d "${TMPDIR:-/tmp}/dokreg.$RUN.XXXXXXXX" 2>&1) || { echo "$D"; say login 97; exit 0; };
    trap "trap \"\" HUP INT TERM; wait; rm -rf \"$D\"" EXIT; trap "exit 130" HUP INT TERM; trap "" PIPE;
    C=${V##*context=}; C=${C%% *};
    case "$C" in default) ;; *)
        ln -s "${DOCKER_CONFIG:-$HOME/.docker}/contexts" "$D/contexts"; DOCKER_CONTEXT=$C; export DOCKER_CONTEXT;;
    esac;
    DOCKER_CONFIG=$D; export DOCKER_CONFIG; H="\"credHelpers\":{\"dokreg.invalid\":\"none\"}";
    echo "{$H}" >"$D/config.json";
    if [ -n "$TRIAL" ]; then
        ( mkdir "$D/trial"; if [ -e "$D/contexts" ]; then ln -s ../contexts "$D/trial/contexts"; fi;
        echo "{$H}" >"$D/trial/config.json"; DOCKER_CONFIG=$D/trial;
        printf %s "$TRIAL" | t 40 docker login "--username=$TRIAL" --password-stdin -- "$HOST" >/dev/null 2>&1;
        echo $? >"$D/trial/status" ) </dev/null &
    fi;
    if [ -n "$NAME" ]; then t 40 docker login "--username=$NAME" --password-stdin -- "$HOST" 2>&1; S=$?;
    else
        { printf "{%s,\"auths\":{\"%s\":{\"auth\":\"" "$H" "$HOST"; cat; printf "\"}}}"; } >"$D/config.json";
        t 40 docker login -- "$HOST" </dev/null 2>&1; S=$?;
    fi;
    say login $S;
    wait; if [ -n "$TRIAL" ]; then say trial "$(cat "$D/trial/status" 2>/dev/null || echo 1)"; fi;
"""
_TIDY = r"""
    IFS= read -r RUN || exit 96; rm -rf "/dev/shm/dokreg.$RUN."???????? "${TMPDIR:-/tmp}/dokreg.$RUN."????????;
"""
PROBE_SCRIPT = one_line(PROLOGUE + PROBE + _DISK)
REACH_SCRIPT = one_line(PROLOGUE + PROBE)
LOGIN_SCRIPT = one_line(PROLOGUE + PROBE + LOGIN)
TIDY_SCRIPT = one_line(_TIDY)
TIDY_DEADLINE = 5.0
DIAL_COMMAND = "docker system dial-stdio"
DIAL_MARK = "dokreg-dials-now"
GREETING_LIMIT = 64 * 1024
GREETING_SECONDS = 30.0  # a login shell may do this and that first


class Channel(Protocol):
    """What the Engine API is spoken over."""

    def sendall(self, data: bytes, /) -> None: ...

    def recv(self, size: int, /) -> bytes: ...

    def settimeout(self, timeout: float | None, /) -> None: ...


class Host(Protocol):
    """A place with a Docker CLI."""

    label: str
    user: str
    is_killed_when_broken_off: bool  # else the script goes on to its end there, and cleans up by itself

    def run(self, script: str, *, stdin: bytes, deadline: float, on_output: ssh.OnOutput) -> int:
        """Run a constant script; raises ssh.SSHProblem."""

    def dial(self, *, deadline: float) -> contextlib.AbstractContextManager[Channel]:
        """A channel to the Docker daemon's API, as the CLI would find it; raises ssh.SSHProblem."""

    def connect(self, host: str, port: int, *, deadline: float) -> contextlib.AbstractContextManager[socket.socket]:
        """A connected socket to host and port as they are reached from here; raises ssh.SSHProblem.

        After `deadline` seconds the socket is at its end.
        """


class RemoteHost:
    """A server over SSH."""

    is_killed_when_broken_off = False

    def __init__(self, server: Server) -> None:
        self.label = server.name
        self.user = server.user
        self.target = target_of(server)

    def run(self, script: str, *, stdin: bytes, deadline: float, on_output: ssh.OnOutput) -> int:
        return ssh.run(self.target, f"exec sh -c '{script}'", stdin=stdin, deadline=deadline, on_output=on_output)

    @contextlib.contextmanager
    def dial(self, *, deadline: float) -> Iterator[Channel]:
        # A login shell may greet; what it says ends at the mark.
        command = f"exec sh -c 'echo; echo {DIAL_MARK}; exec {DIAL_COMMAND} 2>/dev/null'"
        with ssh.dial(self.target, command, deadline=deadline) as channel:
            _skip_greeting(channel)
            yield channel

    def connect(self, host: str, port: int, *, deadline: float) -> contextlib.AbstractContextManager[socket.socket]:
        return ssh.forward(self.target, host, port, deadline=deadline, place=self.label)


class OwnHost:
    """The machine that the worker runs on. Its environment holds dokreg's keys, so the CLI gets a fresh one."""

    label = OWN_HOST
    is_killed_when_broken_off = True

    def __init__(self) -> None:
        self.user = pwd.getpwuid(os.getuid()).pw_name

    def run(self, script: str, *, stdin: bytes, deadline: float, on_output: ssh.OnOutput) -> int:
        with _process(["/bin/sh", "-c", script], deadline=deadline) as process:
            writer = threading.Thread(target=_write_all, args=(process, stdin), daemon=True)
            writer.start()
            received = 0
            while chunk := process.stdout.read1(32 * 1024):  # type: ignore[union-attr]
                received += len(chunk)
                if received > ssh.OUTPUT_LIMIT:
                    raise ssh.CommandFailed(verdicts.too_much_output(limit=ssh.OUTPUT_LIMIT))
                on_output(chunk)
            status = process.wait()
        if status < 0:
            raise ssh.CommandFailed(verdicts.deadline_passed())
        return status

    @contextlib.contextmanager
    def dial(self, *, deadline: float) -> Iterator[Channel]:
        ours, theirs = socket.socketpair()
        with ours, _process(DIAL_COMMAND.split(), deadline=deadline, channel=theirs):
            theirs.close()
            ours.settimeout(deadline)
            yield ours

    def connect(self, host: str, port: int, *, deadline: float) -> contextlib.AbstractContextManager[socket.socket]:
        return own_host.connect(host, port, deadline=deadline, place=self.label)


class TimedHost:
    """A host where everything has to end at one moment, of `time.monotonic`, however many scripts that takes."""

    def __init__(self, host: Host, *, end: float) -> None:
        self.label, self.user = host.label, host.user
        self.is_killed_when_broken_off = host.is_killed_when_broken_off
        self.host, self.end = host, end

    def run(self, script: str, *, stdin: bytes, deadline: float, on_output: ssh.OnOutput) -> int:
        return self.host.run(script, stdin=stdin, deadline=min(deadline, self._left()), on_output=on_output)

    def dial(self, *, deadline: float) -> contextlib.AbstractContextManager[Channel]:
        return self.host.dial(deadline=min(deadline, self._left()))

    def connect(self, host: str, port: int, *, deadline: float) -> contextlib.AbstractContextManager[socket.socket]:
        return self.host.connect(host, port, deadline=min(deadline, self._left()))

    def _left(self) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            raise ssh.CommandFailed(verdicts.deadline_passed())
        return left


def host_of(server: Server | None, *, end: float | None = None) -> Host:
    """The server, or dokreg's own host for None; where everything has to end at this moment, if one is given."""
    host: Host = OwnHost() if server is None else RemoteHost(server)
    return host if end is None else TimedHost(host, end=end)


def own_host_has_docker() -> bool:
    """Whether registries can be tested without a server."""
    return settings.DOKREG_LOCAL_DOCKER and shutil.which("docker") is not None


def target_of(server: Server) -> ssh.Target:
    """Whom to reach, with the server's key opened; raises SecretUnreadable."""
    return ssh.Target(
        host=server.host,
        port=server.port,
        user=server.user,
        private_key=server.ssh_key.private_key.reveal(),
        host_key=server.host_key,
    )


def probe(host: Host, *, on_stage: OnStage) -> None:
    """Stages `shell`, `cli`, `daemon` (with the answer of `docker version`) and `disk`; raises ssh.SSHProblem."""
    run_stages(host, PROBE_SCRIPT, lines=[], on_stage=on_stage)


def reach(host: Host, *, on_stage: OnStage) -> None:
    """Stages `shell`, `cli` and `daemon`; raises ssh.SSHProblem."""
    run_stages(host, REACH_SCRIPT, lines=[], on_stage=on_stage)


def login(
    host: Host,
    *,
    run_id: str,
    registry: str,
    username: str,
    password: str,
    with_trial: bool,
    on_stage: OnStage,
) -> None:
    """Stages `shell`, `cli`, `daemon`, `login`, and `trial` if asked for; raises ssh.SSHProblem.

    The login happens in a folder of its own, which carries the run's id in its name and is removed on every way
    out. The trial is a login with a name and password that nobody has: if it succeeds as well (status 0), the
    login proves nothing. Without a username the secret stands for it as well: then it may not be an argument, and
    Docker finds both in the folder instead.
    """
    trial = f"dokreg-trial-{secrets.token_hex(8)}" if with_trial else ""
    lines = [run_id, registry, username, trial]
    with tidied_when_broken_off(host, run_id=run_id):
        run_stages(host, LOGIN_SCRIPT, lines=lines, rest=login_secret(username, password), on_stage=on_stage)


def login_secret(username: str, password: str) -> bytes:
    """What the part LOGIN of a script reads from the rest of its stdin."""
    return (password if username else base64.b64encode(f"{password}:{password}".encode()).decode()).encode()


@contextlib.contextmanager
def tidied_when_broken_off(host: Host, *, run_id: str) -> Iterator[None]:
    """Remove what a script with the part LOGIN leaves if it was killed before it could."""
    try:
        yield
    except ssh.SSHProblem:
        if host.is_killed_when_broken_off:
            # Also where the time is up for everything else.
            untimed = host.host if isinstance(host, TimedHost) else host
            with contextlib.suppress(ssh.SSHProblem):
                tidy(untimed, run_id=run_id, deadline=TIDY_DEADLINE)
        raise


def tidy(host: Host, *, run_id: str, deadline: float = TEST_DEADLINE) -> None:
    """Remove what a run that was cut off may have left on the host; raises ssh.SSHProblem."""
    if not run_id.isalnum():
        raise ValueError("A run's id has letters and digits alone.")
    host.run(TIDY_SCRIPT, stdin=f"{run_id}\n".encode(), deadline=deadline, on_output=lambda _chunk: None)


def _skip_greeting(channel: Channel) -> None:
    """Read up to the mark, byte by byte, so that nothing behind it is taken. Raises ssh.CommandFailed if none comes."""
    with _heard_within(channel, GREETING_SECONDS):
        _read_greeting(channel)


@contextlib.contextmanager
def _heard_within(channel: Channel, seconds: float) -> Iterator[None]:
    channel.settimeout(seconds)
    try:
        yield
    except TimeoutError as error:
        raise ssh.CommandFailed(verdicts.deadline_passed()) from error
    channel.settimeout(None)


def _read_greeting(channel: Channel) -> None:
    line = b""
    for _ in range(GREETING_LIMIT):
        byte = channel.recv(1)
        if byte == b"\n" and line == DIAL_MARK.encode():
            return
        line = b"" if byte == b"\n" else line + byte
        if not byte:
            return


def versions(output: str) -> tuple[str, str]:
    """(CLI, daemon) of the answer to `docker version`; an empty text where it names none."""
    for line in output.splitlines():
        _context, _space, text = line.partition(" ")
        with contextlib.suppress(ValueError, AttributeError):  # not Docker's answer
            answer: dict[str, Any] = json.loads(text)
            client, server = answer.get("Client") or {}, answer.get("Server") or {}
            return str(client.get("Version", "")), str(server.get("Version", ""))
    return "", ""


def context_of(output: str) -> str:
    """The Docker context in force, of the answer to `docker version`; an empty text where it names none."""
    answers = [line for line in output.splitlines() if line.startswith("context=")]
    return answers[-1].partition(" ")[0].removeprefix("context=") if answers else ""


def without_answer(output: str) -> str:
    """What `docker version` said beside its answer in JSON: Docker's own words about a daemon that is away."""
    return "\n".join(line for line in output.splitlines() if not line.startswith("context="))


@contextlib.contextmanager
def _process(
    arguments: list[str], *, deadline: float, channel: socket.socket | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A local process in a group of its own, which is gone when the block or the deadline ends."""
    give_back()
    names = (
        "PATH",
        "HOME",
        "LANG",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "DOCKER_HOST",
        "DOCKER_CONTEXT",
        "DOCKER_CONFIG",
    )
    process = subprocess.Popen(
        arguments,
        stdin=channel.fileno() if channel else subprocess.PIPE,
        stdout=channel.fileno() if channel else subprocess.PIPE,
        stderr=subprocess.STDOUT if channel is None else subprocess.DEVNULL,
        env={name: os.environ[name] for name in names if name in os.environ},
        start_new_session=True,
    )
    watchdog = threading.Timer(deadline, _end_group, args=(process,))
    watchdog.daemon = True
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        _end_group(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
            return


def _write_all(process: "subprocess.Popen[bytes]", data: bytes) -> None:
    with contextlib.suppress(OSError), process.stdin as stdin:  # type: ignore[union-attr]
        stdin.write(data)
