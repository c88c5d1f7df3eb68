"""What pulls with a registry by itself, told by apps that this one does not know."""

from collections.abc import Callable
from dataclasses import dataclass

from registries.models import Registry


@dataclass(frozen=True, slots=True)
class Pullers:
    """How many things pull with a registry, what they are called together, and on which servers (ids) they do."""

    number: int
    servers: frozenset[str]
    noun: str = "application"

    @property
    def sentence(self) -> str:
        """For people; "" if nothing does."""
        if not self.number:
            return ""
        return f"{self.number} {self.noun}{'s pull' if self.number > 1 else ' pulls'} with it."


Provider = Callable[[Registry], Pullers]
_providers: list[Provider] = []


def register(provider: Provider) -> None:
    """Let `provider` say what pulls with a registry."""
    _providers.append(provider)


def of(registry: Registry) -> list[Pullers]:
    """What pulls with the registry, by kind; kinds of which there is none are left out."""
    return [found for provider in _providers if (found := provider(registry)).number]


def servers_of(registry: Registry) -> frozenset[str]:
    """The ids of the servers on which something pulls with it."""
    return frozenset().union(*(found.servers for found in of(registry)))
