"""Measured things, and how they are compared."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import psutil

REST_SECONDS = 10.0
SMALL_RATIO = 0.1
SMALL_NUMBER = 10  # below it a spread without decimals says little
FEW_RUNS = 8  # of fewer than these the middle half says little
MEGABYTE = 2**20
THE_SAME = "the same"


@dataclass(frozen=True)
class Figure:
    """One measured thing, against another where there is one; in milliseconds unless `unit` says otherwise.

    `value` is the median of `n` runs, `low` and `high` are their quartiles, or of few runs the least and the most;
    `spread` says so, and what else there is to say.
    `bar` is what was promised: of the ratio where there is one, else of the value; "the same" as the other; or nothing.
    """

    work: str
    value: float
    spread: str = ""
    against: str = ""
    other: float | None = None
    ratio: float | None = None
    bar: str = ""
    unit: str = "ms"
    low: float | None = None
    high: float | None = None
    n: int = 1

    @property
    def use(self) -> float | None:
        """How much of what the bar allows is used: 1 is all of it; None without a bar."""
        if not self.bar:
            return None
        measured = self.value if self.ratio is None else self.ratio
        if self.bar == THE_SAME:
            return measured / self.other if self.other else None
        number = float(self.bar.lstrip("≤≥= ").replace(",", ""))
        if not number:  # none is allowed
            return 2.0 if measured else 0.0
        return number / measured if self.bar.startswith("≥") else measured / number

    @property
    def is_met(self) -> bool | None:
        """Whether the bar is met; None without one."""
        return None if self.use is None else self.use <= 1

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in {None, ""}} | (
            {} if self.is_met is None else {"met": self.is_met}
        )


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def side_by_side(rounds: int, *works: Callable[[], object]) -> list[list[float]]:
    """The times of several works, taken in turn so that whatever else happens on the machine meets all of them."""
    for work in works:
        work()
    times = [[timed(work) for work in works] for _ in range(rounds)]
    return [list(column) for column in zip(*times, strict=True)]


def compared(work: str, mine: list[float], against: str, other: list[float], bar: str) -> Figure:
    """The median of times against the median of others."""
    base = statistics.median(other)
    ratio = statistics.median(mine) / base
    rounded = round(ratio, 2 if ratio > SMALL_RATIO else 4)
    return replace(alone(work, mine, bar), against=against, other=round(base, 1), ratio=rounded)


def alone(work: str, times: list[float], bar: str = "", unit: str = "ms", *, note: str = "") -> Figure:
    """The median of something that is compared with nothing but its bar."""
    low, high = _ends(times)
    spread = "; ".join(words for words in (_spread(times), note) if words)
    return Figure(
        work, round(statistics.median(times), 1), spread, bar=bar, unit=unit,
        low=round(low, 1), high=round(high, 1), n=len(times),
    )  # fmt: skip


def _ends(times: list[float]) -> tuple[float, float]:
    """Between what the middle half of the runs lies; all of them where they are few."""
    if len(times) < FEW_RUNS:
        return min(times), max(times)
    low, _middle, high = statistics.quantiles(times, n=4)
    return low, high


def _spread(times: list[float]) -> str:
    if len(times) == 1:
        return ""
    low, high = _ends(times)
    decimals = 1 if high < SMALL_NUMBER else 0
    return f"{low:.{decimals}f}–{high:.{decimals}f}{' (all)' if len(times) < FEW_RUNS else ''}"


def once(work: str, value: float, unit: str, *, bar: str = "", note: str = "") -> Figure:
    """Something that was counted or measured once."""
    return Figure(work, round(value, 1) if value % 1 else int(value), note, bar=bar, unit=unit)


class Held(NamedTuple):
    """The memory of some processes in MB: every one with all it shares, and with shared pages counted once."""

    resident: float
    own: float


def at_rest(processes: Callable[[], Sequence[psutil.Process]]) -> Held:
    """What they hold when they have had nothing to do for a while."""
    time.sleep(REST_SECONDS)
    return held_by(processes())


def held_by(found: Sequence[psutil.Process]) -> Held:
    return Held(resident(found), sum(process.memory_full_info().pss for process in found) / MEGABYTE)


def memory(work: str, held: Sequence[Held], bar: str = "") -> Figure:
    """The median of several starts."""
    own = statistics.median(one.own for one in held)
    note = f"{own:.0f} with shared pages counted once"
    return alone(work, [round(one.resident) for one in held], bar, "MB", note=note)


def resident(processes: Iterable[psutil.Process]) -> float:
    """Their resident sets together, in MB."""
    return sum(process.memory_info().rss for process in processes) / MEGABYTE
