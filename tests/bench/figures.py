"""Measured things, and how they are compared."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from tests.running import Running

REST_SECONDS = 10.0
SMALL_RATIO = 0.1
MEGABYTE = 2**20
THE_SAME = "the same"


@dataclass(frozen=True)
class Figure:
    """One measured thing, against another where there is one; in milliseconds unless `unit` says otherwise.

    `value` is the median of `n` runs, `low` and `high` are their quartiles; `spread` says what else there is to say.
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
    low, middle, high = statistics.quantiles(mine, n=4)
    base = statistics.median(other)
    ratio = middle / base
    rounded = round(ratio, 2 if ratio > SMALL_RATIO else 4)
    return Figure(
        work, round(middle, 1), f"{low:.0f}–{high:.0f}", against, round(base, 1), rounded, bar,
        low=round(low, 1), high=round(high, 1), n=len(mine),
    )  # fmt: skip


def alone(work: str, times: list[float], bar: str = "", unit: str = "ms") -> Figure:
    """The median of something that is compared with nothing but its bar."""
    low, middle, high = statistics.quantiles(times, n=4)
    spread = f"{low:.0f}–{high:.0f}"
    figure = Figure(work, round(middle, 1), spread, bar=bar, unit=unit)
    return Figure(**asdict(figure) | {"low": round(low, 1), "high": round(high, 1), "n": len(times)})


def once(work: str, value: float, unit: str, *, bar: str = "", note: str = "") -> Figure:
    """Something that was counted or measured once."""
    return Figure(work, round(value, 1) if value % 1 else int(value), note, bar=bar, unit=unit)


def memory(dokreg: Running, after: str, bar: str = "≤ 250") -> Figure:
    """What all its processes hold when nothing is to do."""
    return rest_of(dokreg.processes, f"memory of all processes at rest after {after}", bar)


def rest_of(processes: Callable[[], Sequence[psutil.Process]], work: str, bar: str = "") -> Figure:
    """The resident memory of some processes, when they have rested; every process counted with all it shares."""
    time.sleep(REST_SECONDS)
    found = processes()
    own = sum(process.memory_full_info().pss for process in found) / MEGABYTE
    note = f"{own:.0f} with shared pages counted once"
    return once(work, round(resident(found)), "MB", bar=bar, note=note)


def resident(processes: Iterable[psutil.Process]) -> float:
    """Their resident sets together, in MB."""
    return sum(process.memory_info().rss for process in processes) / MEGABYTE
