"""Docker engines: real daemons side by side, each with folders and a socket of its own."""

import base64
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.daemons import Daemon, LabError
from tests.lab.packages import SEARCH_PATH, find
from tests.lab.registry import Account

CONTAINERD_SOCKET = "exec/containerd/containerd-debug.sock"
BUILD_SECONDS = 600
LONGEST_SOCKET_PATH = 104  # containerd's limit, a little below the kernel's
SLEEP_FOR_AN_HOUR = '["/bin/busybox", "sleep", "3600"]'


class Engine(Daemon):
    def __init__(self, folder: Path, *, storage: str = "vfs") -> None:
        super().__init__("dockerd", folder)
        self.storage = storage  # vfs works everywhere, and copies everything for each layer
        self.socket = folder / "docker.sock"
        if len(str(folder / CONTAINERD_SOCKET)) > LONGEST_SOCKET_PATH:
            raise LabError(f"{folder} is too long a name: the sockets inside could not be made.")

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def command(self) -> Sequence[str]:
        configuration = self.folder / "daemon.json"
        configuration.write_text("{}")  # the machine's own /etc/docker/daemon.json is not the lab's
        return [
            str(find("dockerd")),
            f"--config-file={configuration}",
            "--iptables=false",
            "--ip6tables=false",
            "--bridge=none",
            f"--storage-driver={self.storage}",
            "--group=root",
            f"--data-root={self.folder / 'data'}",
            f"--exec-root={self.folder / 'exec'}",
            f"--pidfile={self.folder / 'pid'}",
            f"--host={self.url}",
            # A containerd that the machine runs for itself is shared, so names in it must not collide.
            f"--containerd-namespace={self._namespace}",
            f"--containerd-plugins-namespace={self._namespace}-plugins",
        ]

    def environment(self) -> Mapping[str, str]:
        return os.environ | {"PATH": SEARCH_PATH}  # it looks there for iptables and for its proxy of ports

    @property
    def _namespace(self) -> str:
        # The folder's name may hold characters, or an order of them, that containerd does not take.
        return "lab-" + hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]

    def is_ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(self.socket))
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return connection.recv(64).startswith(b"HTTP/1.0 200")
            except OSError:
                return False

    def before_stop(self) -> None:
        if self.is_ready():
            self.remove_containers()  # the engine would wait ten seconds for each that ignores SIGTERM

    def remove_containers(self) -> None:
        if containers := self.docker("ps", "--all", "--quiet").stdout.split():
            self.docker("rm", "--force", *containers)

    def remove_networks(self) -> None:
        """Those that nobody uses; their bridges would outlive the engine."""
        self.docker("network", "prune", "--force")

    def docker(
        self, *arguments: str, config: Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the Docker CLI against this engine, with no login but those in `config`."""
        result = subprocess.run(
            ["docker", *arguments],
            env=self._environment(config or self.folder / "no-logins"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
        )
        if check and result.returncode:
            raise LabError(f"docker {' '.join(arguments)}: {result.stderr.strip()}")
        return result

    def _environment(self, config: Path) -> dict[str, str]:
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": path, "DOCKER_HOST": self.url, "DOCKER_CONFIG": str(config), "HOME": str(self.folder)}

    def import_image(self, name: str, *, command: str = SLEEP_FOR_AN_HOUR, marker: str = "", padding: int = 0) -> None:
        """Make an image of nothing but busybox; another `marker` gives another image, `padding` bytes a larger one."""
        with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
            archive.write(root_filesystem(marker, padding))
            archive.flush()
            self.docker("import", "--change", f"CMD {command}", archive.name, name)

    def build(self, name: str, folder: Path, *arguments: str) -> None:
        """Build the image that the Dockerfile of a folder tells of, on no network."""
        done = subprocess.run(
            ["docker", "build", "--network=none", f"--tag={name}", *arguments, str(folder)],
            # The builder that every engine has: no plugin of the command line is needed.
            env=self._environment(self.folder / "no-logins") | {"DOCKER_BUILDKIT": "0"},
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )
        if done.returncode:
            raise LabError(f"{name} could not be built:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    def push(self, name: str, account: Account | None = None) -> None:
        self._with_login("push", name, account)

    def pull(self, name: str, account: Account | None = None) -> None:
        self._with_login("pull", name, account)

    def _with_login(self, verb: str, name: str, account: Account | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            if account:
                write_login(Path(folder), name.partition("/")[0], account)
            self.docker(verb, name, config=Path(folder))

    def has_image(self, name: str) -> bool:
        return self.docker("image", "inspect", name, check=False).returncode == 0

    def remove_image(self, name: str) -> None:
        self.docker("image", "rm", "--force", name)


def write_login(folder: Path, host: str, account: Account) -> None:
    encoded = base64.b64encode(f"{account.username}:{account.password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": encoded}}}))


def root_filesystem(marker: str, padding: int = 0) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(str(shutil.which("busybox")), "bin/busybox")
        add_text(archive, "etc/marker", marker)
        if padding:
            entry = tarfile.TarInfo("padding")
            entry.size = padding
            archive.addfile(entry, io.BytesIO(os.urandom(padding)))
        for name in ("sh", "sleep", "echo", "cat"):
            add_link(archive, f"bin/{name}", "busybox")
    return buffer.getvalue()


def add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text.encode())
    archive.addfile(entry, io.BytesIO(text.encode()))


def add_link(archive: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    archive.addfile(entry)
