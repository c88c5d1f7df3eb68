"""What apps tell of their rows, in words of their own: the library for Prometheus is loaded only where it is used."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

Values = dict[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Family:
    """A gauge: its name, its text, the names of its labels, and a figure for each combination of their values.

    Labels are states and kinds from the code: never names, addresses, or anything else that people write.
    """

    name: str
    text: str
    labels: tuple[str, ...]
    values: Values


Counting = Callable[[], Iterable[Family]]
_registered: dict[str, Counting] = {}


def register(name: str, count: Counting) -> None:
    """Let `count` be asked for families at a scrape; `name` says in the metrics whether it answered."""
    _registered[name] = count


def registered() -> dict[str, Counting]:
    return dict(_registered)
