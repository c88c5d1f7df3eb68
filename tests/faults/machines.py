"""Servers of the lab that count the logins there, and can be slow at them."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

from tests.lab.engine import Engine
from tests.lab.fixtures import NewServer
from tests.lab.sshd import Server, path_with_docker

SLOW_SECONDS = 6
# Writes down where each login is proved, and is slow while there is a file that says so.
DOCKER = """
case " $* " in *" login "*) echo "$DOCKER_CONFIG" >> {book}; [ -e {slow} ] && sleep {seconds};; esac
exec "$docker" "$@"
"""


class Machine:
    """A server of the lab that counts the logins there, and can be slow at them."""

    def __init__(self, folder: Path, new_server: NewServer, engine: Engine) -> None:
        self.book, self.slow = folder / "logins", folder / "slow"
        script = DOCKER.format(book=shlex.quote(str(self.book)), slow=shlex.quote(str(self.slow)), seconds=SLOW_SECONDS)
        self.server: Server = new_server(engine, environment={"PATH": path_with_docker(folder / "tools", script)})

    @property
    def logins(self) -> int:
        """How often `docker login` was run there."""
        return len(self.folders)

    @property
    def folders(self) -> list[Path]:
        """Where each login was proved."""
        return [Path(line) for line in self.book.read_text().splitlines()] if self.book.exists() else []

    @property
    def is_tidy(self) -> bool:
        """Whether nothing of the logins is left, except what they were for."""
        kept = [path.name for path in self.docker.iterdir() if not path.name.startswith(".")]
        return kept == ["config.json"] and not any(folder.exists() for folder in self.folders)

    @property
    def docker(self) -> Path:
        return self.server.home / ".docker"

    @property
    def hosts(self) -> set[str]:
        """The registries that the user is logged in to; fails if the config does not parse."""
        return set(json.loads((self.docker / "config.json").read_text())["auths"])


NewMachine = Callable[[], Machine]
