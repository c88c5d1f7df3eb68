"""compose.yaml in the lab: the services with the very flags that it has, on an engine without a bridge.

What the lab has not is put in its place: PostgreSQL and Redis run beside the containers, and all share the network of
the machine. The rest stays as compose.yaml says, and Docker Compose itself starts it.
"""

import json
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
LONGEST_SECONDS = 180


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

    def __init__(self, folder: Path, engine: Engine, image: str, *, database_url: str, redis_url: str) -> None:
        self.folder = folder
        self.engine = engine
        self.image = image
        self._containers: dict[str, str] = {}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        secrets = make_secrets(folder)
        for name, text in (("database_url", database_url), ("redis_url", redis_url)):
            (secrets / name).chmod(0o644)
            (secrets / name).write_text(text)
        self.secrets = {path.name: path.read_text().strip() for path in secrets.iterdir()}
        (folder / "compose.yaml").write_text(yaml.safe_dump(self._fitted(database_url)))
        # As a person sets it: compose.yaml hands on what stands here.
        (folder / ".env").write_text(
            f"DOKREG_IMAGE={image}\nDOKREG_URL={self.url}\nDOKREG_ALLOW_LOOPBACK=true\nCOMPOSE_PROJECT_NAME=lab\n"
        )

    def _fitted(self, database_url: str) -> dict[str, Any]:
        project: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
        sockets = database_url.partition("?host=")[2]
        Path(sockets).chmod(0o755)  # the user in the containers is nobody that this machine knows
        for name in NEIGHBOURS:
            del project["services"][name]
        for service in project["services"].values():
            for word in ("build", "networks", "ports", "depends_on"):
                service.pop(word, None)
            service["network_mode"] = "host"
            service["volumes"] = [*service["volumes"], f"{sockets}:{sockets}"]
            service["environment"]["DOKREG_BIND"] = f"127.0.0.1:{self.port}"
        volumes = {name: None for name in project["volumes"] if name not in NEIGHBOURS}
        return {"services": project["services"], "secrets": project["secrets"], "volumes": volumes}

    def __call__(self, *arguments: str) -> str:
        """What docker-compose answers; it has to succeed."""
        done = subprocess.run(
            [str(find("docker-compose")), *arguments],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "DOCKER_HOST": self.engine.url, "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
        )
        if done.returncode:
            raise LabError(f"docker-compose {' '.join(arguments)}: {done.stdout}{done.stderr}")
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
