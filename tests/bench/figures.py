"""Measured things, and how they are compared."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.running import Running

REST_SECONDS = 5.0
SMALL_RATIO = 0.1


@dataclass(frozen=True)
class Figure:
    """One measured thing, against another where there is one; times in milliseconds."""

    work: str
    value: float
    spread: str = ""
    against: str = ""
    other: float | None = None
    ratio: float | None = None
    bar: str = ""


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def compared(work: str, mine: list[float], against: str, other: list[float], bar: str) -> Figure:
    low, middle, high = statistics.quantiles(mine, n=4)
    base = statistics.median(other)
    ratio = middle / base
    rounded = round(ratio, 2 if ratio > SMALL_RATIO else 4)
    return Figure(work, round(middle, 1), f"{low:.0f}–{high:.0f}", against, round(base, 1), rounded, bar)


def memory(dokreg: Running, after: str, bar: str = "≤ 250") -> Figure:
    """What all its processes hold when nothing is to do."""
    time.sleep(REST_SECONDS)
    processes = dokreg.processes()
    resident = sum(process.memory_info().rss for process in processes) / 2**20
    own = sum(process.memory_full_info().pss for process in processes) / 2**20
    return Figure(
        f"memory of all processes at rest after {after}, MB",
        round(resident),
        f"{own:.0f} with shared pages counted once",
        bar=bar,
    )
