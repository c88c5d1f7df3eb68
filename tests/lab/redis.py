"""Redis, as an installation with several workers has it: on a port of the loopback interface."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.lab.daemons import Daemon
from tests.lab.packages import find
from tests.lab.ports import free_port


class Redis(Daemon):
    """`keeps` is whether it writes what it has to its folder, and so still has it after a restart."""

    def __init__(self, folder: Path, *, keeps: bool = True, databases: int = 16) -> None:
        super().__init__("redis", folder)
        self.port = free_port()
        self.keeps = keeps
        self.databases = databases

    @property
    def server_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return self.database(0)

    def database(self, number: int) -> str:
        """The address of one of its databases."""
        return f"{self.server_url}/{number}"

    def command(self) -> Sequence[str]:
        settings = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "databases": self.databases,
            "save": "",
            "appendonly": "yes" if self.keeps else "no",
            "appendfsync": "everysec",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        return [str(find("redis-server")), *options]

    @contextmanager
    def full(self) -> Iterator[None]:
        """Refuses whatever would need memory, as one does that was given less than it holds."""
        with self.client() as client:
            client.config_set("maxmemory", 1)
            try:
                yield
            finally:
                client.config_set("maxmemory", 0)

    def is_ready(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self, number: int = 0) -> redis.Redis:
        return redis.Redis(port=self.port, db=number, socket_timeout=30)
