"""compose.yaml in the lab, as it stands: Docker Compose itself starts all five services, on networks of their own.

What cannot be shown here is that `inside` leads nowhere: the lab's engines leave the machine's firewall alone.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.lab.daemons import LabError, wait_until
from tests.lab.engine import Engine
from tests.lab.packages import find
from tests.lab.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose.yaml"
SECRETS = ROOT / "deploy/make-secrets"
OWN = ("web", "worker", "beat")
NEIGHBOURS = ("postgres", "redis")
EVERY = (*OWN, *NEIGHBOURS)
LONGEST_SECONDS = 180
PROJECT = "lab"


def services() -> dict[str, dict[str, Any]]:
    """The services of compose.yaml."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def make_secrets(folder: Path) -> Path:
    """The secrets as a person makes them; the folder that holds them."""
    subprocess.run(["sh", str(SECRETS)], cwd=folder, check=True)
    return folder / "secrets"


class Composed:
    """dokreg as compose.yaml starts it, in a folder of its own."""

    def __init__(self, folder: Path, engine: Engine, image: str) -> None:
        self.folder = folder
        self.engine = engine
        self._containers: dict[str, str] = {}
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.secrets = {path.name: path.read_text().strip() for path in make_secrets(folder).iterdir()}
        shutil.copy(COMPOSE, folder)
        # As a person sets it: compose.yaml hands on what stands here.
        (folder / ".env").write_text(
            f"DOKREG_IMAGE={image}\nDOKREG_URL={self.url}\nDOKREG_PUBLISH=127.0.0.1:{port}\n"
            f"COMPOSE_PROJECT_NAME={PROJECT}\n"
        )

    @property
    def machine(self) -> str:
        """The address of this machine for those in the containers."""
        gateway = "--format={{(index .IPAM.Config 0).Gateway}}"
        return self.engine.docker("network", "inspect", gateway, f"{PROJECT}_outside").stdout.strip()

    def __call__(self, *arguments: str) -> str:
        """What docker-compose answers; it has to succeed."""
        return self._run([str(find("docker-compose")), *arguments])

    def shell(self, line: str) -> str:
        """What a line says that a person types here; it has to succeed."""
        return self._run(["sh", "-c", line.replace("docker compose", str(find("docker-compose")))])

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "DOCKER_HOST": self.engine.url, "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
        )
        if done.returncode:
            raise LabError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def run(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run something in a container that runs."""
        return self.engine.docker("exec", self.container(service), *command, check=False)

    def container(self, service: str) -> str:
        """Its id, which stays while it is stopped and started again."""
        if service not in self._containers:
            self._containers[service] = self("ps", "--all", "--quiet", service).strip()
        return self._containers[service]

    def inspect(self, container: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.engine.docker("inspect", container).stdout)
        return found[0]

    def said(self, container: str) -> str:
        """The log of a container, both channels."""
        done = self.engine.docker("logs", container)
        return done.stdout + done.stderr

    def health(self, service: str) -> str:
        return str(self.inspect(self.container(service))["State"]["Health"]["Status"])

    def wait_until_alive(self) -> None:
        """Until each of them says of itself that it lives; Docker asks the same, at its leisure."""
        for service in OWN:
            wait_until(lambda: self._lives(service), f"{service} to live", seconds=LONGEST_SECONDS)  # noqa: B023

    def _lives(self, service: str) -> bool:
        state = self.inspect(self.container(service))["State"]
        if state["Status"] != "running":
            raise LabError(f"{service} {state['Status']}:\n{self('logs', service)}")
        return self.run(service, "python", "-m", "dokreg.alive", service).returncode == 0
