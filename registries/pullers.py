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
LetGo = Callable[[Registry], None]
_providers: list[Provider] = []
_letting_go: list[LetGo] = []


def register(provider: Provider, *, let_go: LetGo) -> None:
    """Let `provider` say what pulls with a registry; `let_go` lets it all pull the same images without one."""
    _providers.append(provider)
    _letting_go.append(let_go)


def let_go(registry: Registry) -> None:
    """Let nothing pull with the registry any more: what did names the same images, and pulls them as by anybody."""
    for let_go_of in _letting_go:
        let_go_of(registry)


def of(registry: Registry) -> list[Pullers]:
    """What pulls with the registry, by kind; kinds of which there is none are left out."""
    return [found for provider in _providers if (found := provider(registry)).number]


def servers_of(registry: Registry) -> frozenset[str]:
    """The ids of the servers on which something pulls with it."""
    return frozenset().union(*(found.servers for found in of(registry)))
