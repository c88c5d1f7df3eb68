"""The Docker config of a server of the lab: what dokreg does to it, and what stands in it."""

import base64
import json
from pathlib import Path
from typing import Any

from organisations.models import Organisation
from servers import docker
from servers.docker_config import keep_login, remove_login
from servers.stages import Stage
from tests.lab import sshd
from tests.lab.fixtures import ALICE
from tests.registries.rows import lab_server

ALL_PASSED = {"shell": 0, "cli": 0, "daemon": 0, "config": 0, "login": 0, "kept": 0}
OTHER = {"auth": base64.b64encode(b"somebody:else's").decode()}


class Place:
    """A server of the lab as dokreg sees it, and its config as somebody sees it who sits there."""

    def __init__(self, host: docker.Host, home: Path) -> None:
        self.host = host
        self.folder = home / ".docker"
        self.file = self.folder / "config.json"

    def write(self, config: str | dict[str, Any]) -> None:
        self.folder.mkdir(exist_ok=True)
        self.file.write_text(config if isinstance(config, str) else json.dumps(config))

    @property
    def config(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self.file.read_text())
        return values

    def keep(
        self, registry: str, username: str = ALICE.username, password: str = ALICE.password, folder: str = ""
    ) -> dict[str, int]:
        """Stage → status."""
        stages: list[Stage] = []
        keep_login(
            self.host, registry=registry, username=username, password=password, folder=folder, on_stage=stages.append
        )
        assert not any(stage.raw for stage in stages if stage.name in {"config", "kept"})
        return {stage.name: stage.status for stage in stages}

    def remove(self, registry: str, folder: str = "") -> list[str]:
        stages: list[Stage] = []
        remove_login(self.host, registry=registry, folder=folder, on_stage=stages.append)
        return [stage.name for stage in stages]

    def left_over(self) -> list[str]:
        """What lies in the folder beside the config and the lock."""
        return sorted({path.name for path in self.folder.iterdir()} - {"config.json", ".dokreg.lock"})


def new_place(organisation: Organisation, server: sshd.Server) -> Place:
    return Place(docker.host_of(lab_server(organisation, server)), server.home)


def entry_of(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}
