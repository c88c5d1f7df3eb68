"""Registries of a running dokreg whose tokens a stand-in for AWS mints: made many at once, let be due, counted."""

import json
from dataclasses import dataclass
from typing import NamedTuple

from tests.lab.aws import Aws
from tests.running import Running, moment

DISPATCH = "registries.tasks.dispatch_refreshes"
SWEEP = "registries.tasks.sweep_token_refreshes"


class Count(NamedTuple):
    """What became of all that was due: `doubled` are tokens that the cloud gave without need."""

    asked: int
    done: int
    lost: int = 0
    doubled: int = 0


def key_of(name: str, number: int) -> str:
    """The access key of a registry; `name` is of capital letters, up to six."""
    return f"AKIA{name:0<6}{number:010}"


@dataclass
class Registries:
    """Some registries of one name, told apart by a number, each with a key of its own."""

    dokreg: Running
    cloud: Aws
    name: str
    ids: list[str]

    @classmethod
    def add(cls, dokreg: Running, cloud: Aws, name: str, count: int = 1, *, due_in: float = 0) -> "Registries":
        wanted = {"name": name, "count": count, "due_in": due_in}
        return cls(dokreg, cloud, name, json.loads(dokreg.run_module("tests.faults.registry_rows", wanted)))

    @property
    def keys(self) -> list[str]:
        return [key_of(self.name, number) for number in range(len(self.ids))]

    @property
    def page(self) -> str:
        """The address of the first one's page."""
        return f"/acme/settings/registries/{self.ids[0]}/"

    @property
    def mints(self) -> int:
        """How many tokens the cloud gave for their keys."""
        return sum(self.cloud.mints[key] for key in self.keys)

    def column(self, name: str) -> list[object]:
        """A column of their rows, in order."""
        return self.dokreg.column(f"SELECT {name} FROM registries_registry WHERE name LIKE ? ORDER BY name", self._like)

    def set(self, assignments: str) -> None:
        self.dokreg.change(f"UPDATE registries_registry SET {assignments} WHERE name LIKE ?", self._like)

    def let_be_due(self) -> None:
        """As if the time had come, and beat with it."""
        self.set(f"refresh_due_at = {moment()}")
        self.dokreg.send(DISPATCH)

    @property
    def states(self) -> list[str]:
        """Of every refresh that there was, the oldest first."""
        return self.dokreg.column(
            "SELECT f.state FROM registries_tokenrefresh f JOIN registries_registry r ON r.id = f.registry_id"
            " WHERE r.name LIKE ? ORDER BY f.created_at",
            self._like,
        )

    @property
    def workers(self) -> list[str]:
        """Which of them have minted for one of these."""
        return self.dokreg.column(
            "SELECT DISTINCT f.worker FROM registries_tokenrefresh f JOIN registries_registry r ON r.id = f.registry_id"
            " WHERE r.name LIKE ?",
            self._like,
        )

    @property
    def done(self) -> int:
        """How many have a token that lives, and nothing due."""
        (number,) = self.dokreg.column(
            "SELECT count(*) FROM registries_registry WHERE name LIKE ? AND refresh_failures = 0"
            f" AND token_expires_at > {moment()} AND refresh_due_at > {moment()}",
            self._like,
        )
        return int(number)

    def wait_until_done(self, seconds: float = 60) -> None:
        self.dokreg.wait_for(lambda: self.done == len(self.ids), f"{self.name} to have fresh tokens", seconds)

    def count(self, *, needed: int) -> Count:
        """`needed` is how many tokens had to be given for each of them."""
        asked = len(self.ids)
        return Count(asked, self.done, asked - self.done, self.mints - needed * asked)

    def tokens(self) -> list[str]:
        """Their tokens in clear, in order."""
        found: list[str] = json.loads(self.dokreg.run_module("tests.faults.token_rows", self.ids))
        return found

    @property
    def _like(self) -> str:
        return f"{self.name} %"
