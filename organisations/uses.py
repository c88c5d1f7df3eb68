"""What uses a row, for its page: told by apps that the row's own app does not know.

Deletion does not ask here, but the relations themselves: see organisations.deletion.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Model


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that uses the row; `permission` is what its own page asks for. `state` is empty before the first."""

    name: str
    url: str
    permission: str
    state: str = ""
    at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Uses:
    """The first few, and how many there are in all."""

    shown: list[Use]
    total: int

    @property
    def unshown(self) -> int:
        return self.total - len(self.shown)


Provider = Callable[[Any], Uses]
_providers: dict[type[Model], Provider] = {}


def register(model: type[Model], provider: Provider) -> None:
    """Let `provider` say what uses a row of the model."""
    _providers[model] = provider


def uses_of(row: Model) -> Uses:
    """What uses the row."""
    provider = _providers.get(type(row))
    return provider(row) if provider else Uses([], 0)
