"""Target servers: real sshd on loopback addresses, each with its own keys, home and Docker engine."""

import base64
import contextlib
import hashlib
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.lab.daemons import Daemon
from tests.lab.engine import Engine
from tests.lab.packages import find
from tests.lab.ports import free_port

LAB_USER = "dokreg-lab"
MANY = "200:30:400"  # sshd's own default lets no more than ten people wait to be let in, and drops the rest
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class KeyPair:
    private: str
    public: str

    @classmethod
    def generate(cls) -> "KeyPair":
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return cls(private.decode(), public.decode())

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(base64.b64decode(self.public.split()[1])).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class Server(Daemon):
    """A machine to log in to, as far as anyone who comes through SSH can tell."""

    def __init__(
        self,
        folder: Path,
        engine: Engine | None = None,
        *,
        address: str = "127.0.0.1",
        user: str = "root",
        max_startups: str | None = MANY,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        super().__init__("sshd", folder)
        self.engine = engine
        self.address = address
        self.port = free_port(address)
        self.user = user
        self.max_startups = max_startups
        self.options = options  # more lines of sshd_config
        self.extra_environment = dict(environment or {})
        self.client_keys = KeyPair.generate()
        self.host_keys = KeyPair.generate()
        self.home = self._make_home()
        write_secretly(self._client_key_file, self.client_keys.private)
        self._authorized_keys_file.write_text(self.client_keys.public + "\n")
        self._authorized_keys_file.chmod(0o644)  # sshd reads it as the user who logs in

    def _make_home(self) -> Path:
        home = self.folder / "home"
        home.mkdir(mode=0o700)
        shutil.chown(home, self.user)
        return home

    @property
    def host(self) -> str:
        return self.address

    @property
    def private_key(self) -> str:
        return self.client_keys.private

    @property
    def public_key(self) -> str:
        return self.client_keys.public

    @property
    def host_key(self) -> str:
        return self.host_keys.public

    @property
    def fingerprint(self) -> str:
        return self.host_keys.fingerprint

    @property
    def _client_key_file(self) -> Path:
        return self.folder / "client_key"

    @property
    def _host_key_file(self) -> Path:
        return self.folder / "host_key"

    @property
    def _authorized_keys_file(self) -> Path:
        return self.folder / "authorized_keys"

    @property
    def session_environment(self) -> dict[str, str]:
        """What people find once inside. The home keeps the real one of the machine out of the tests."""
        engine = {"DOCKER_HOST": self.engine.url} if self.engine else {}
        return {"HOME": str(self.home), **engine, **self.extra_environment}

    def configuration(self) -> str:
        environment = " ".join(f'"{name}={value}"' for name, value in self.session_environment.items())
        lines = [
            f"ListenAddress {self.address}",
            f"Port {self.port}",
            f"HostKey {self._host_key_file}",
            f"AuthorizedKeysFile {self._authorized_keys_file}",
            f"PidFile {self.folder / 'pid'}",
            f"SetEnv {environment}",
            f"AllowUsers {self.user}",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "StrictModes no",
            "UsePAM no",
            "UseDNS no",
            "PrintMotd no",
            "Subsystem sftp internal-sftp",
            *self.options,
        ]
        if self.max_startups:
            lines.append(f"MaxStartups {self.max_startups}")
        return "\n".join(lines) + "\n"

    def command(self) -> Sequence[str]:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd locks its unprivileged half up
        write_secretly(self._host_key_file, self.host_keys.private)
        (self.folder / "sshd_config").write_text(self.configuration())
        return [str(find("sshd")), "-D", "-e", "-f", str(self.folder / "sshd_config")]

    def is_ready(self) -> bool:
        try:
            with socket.create_connection((self.address, self.port), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def cut_connections(self) -> None:
        """Drop everybody who is inside, as a network that fails does; what they started lives on or not."""
        listener = psutil.Process(self.pid)
        for child in listener.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it left by itself
                if child.name() == "sshd":
                    child.kill()

    @contextlib.contextmanager
    def letting_in(self, public_line: str) -> Iterator[None]:
        """Let one more key in, as somebody does who appends its line to authorized_keys."""
        before = self._authorized_keys_file.read_text()
        self._authorized_keys_file.write_text(f"{before}{public_line}\n")
        try:
            yield
        finally:
            self._authorized_keys_file.write_text(before)

    def let_in(self, public_lines: Iterable[str]) -> None:
        """Let more keys in from now on."""
        with self._authorized_keys_file.open("a") as file:
            file.writelines(f"{line}\n" for line in public_lines)

    def forget_client(self, successor: KeyPair) -> None:
        """Let somebody else in from now on, and no longer the one who holds `private_key`."""
        self._authorized_keys_file.write_text(successor.public + "\n")

    def replace_host_key(self, keys: KeyPair | None = None) -> None:
        """Come back with another identity, as a reinstalled machine does, or an attacker's."""
        self.stop()
        self.host_keys = keys or KeyPair.generate()
        self.start()

    @contextlib.contextmanager
    def host_key_replaced(self) -> Iterator[None]:
        before = self.host_keys
        self.replace_host_key()
        try:
            yield
        finally:
            self.replace_host_key(before)

    def ssh(self, command: str, *, stdin: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command with the system's own client, which knows nothing but this server's keys."""
        return subprocess.run(self.ssh_words(command), input=stdin, capture_output=True, text=True, timeout=timeout)

    def ssh_words(self, command: str) -> list[str]:
        """The command line for that."""
        known_hosts = self.folder / "known_hosts"
        known_hosts.write_text(f"[{self.address}]:{self.port} {self.host_key}\n")
        options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={known_hosts}"]
        return [
            *("ssh", "-F", "none", "-i", str(self._client_key_file), "-p", str(self.port)),
            *("-o", "IdentitiesOnly=yes", "-o", "GlobalKnownHostsFile=none", "-o", "LogLevel=ERROR"),
            *(part for option in options for part in ("-o", option)),
            f"{self.user}@{self.address}",
            command,
        ]


def write_secretly(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def lab_user() -> str:
    """An ordinary person on this machine: no password, no groups, no right to any engine's socket."""
    try:
        pwd.getpwnam(LAB_USER)
    except KeyError:
        account = ["--no-create-home", "--home-dir", "/", "--shell", "/bin/sh", "--password", "*", LAB_USER]
        # Another run may have been a moment faster: what counts is that the account is there.
        subprocess.run([str(find("useradd")), *account], capture_output=True)
    pwd.getpwnam(LAB_USER)
    subprocess.run([str(find("usermod")), "--password", "*", LAB_USER], check=True)  # sshd refuses a locked one
    return LAB_USER


def path_without_docker(folder: Path) -> str:
    """A PATH with everything this machine has except Docker's own client."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    for directory in DEFAULT_PATH.split(":"):
        for program in Path(directory).iterdir() if Path(directory).is_dir() else []:
            if program.name != "docker" and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    return str(folder)


def path_with_docker(folder: Path, script: str) -> str:
    """A PATH whose `docker` is a shell script; in it, "$docker" is the real one."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    wrapper = folder / "docker"
    wrapper.write_text(f"#!/bin/sh\ndocker={shutil.which('docker')}\n{script}\n")
    wrapper.chmod(0o755)
    return f"{folder}{os.pathsep}{DEFAULT_PATH}"


def talkative(subcommand: str, *, megabytes: int = 50) -> str:
    """A script for `path_with_docker`: floods the output of one subcommand before it does its work."""
    line = "a line that nobody asked for"
    return f'if [ "$1" = {subcommand} ]; then yes "{line}" | head -c {megabytes}000000; fi\nexec "$docker" "$@"'
