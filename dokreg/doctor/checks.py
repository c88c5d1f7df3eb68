"""The checks there are, in the order in which their apps are ready, and what they answer."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from itertools import islice

OK, WARNING, ERROR = "ok", "warning", "error"
SEVERITY = (OK, WARNING, ERROR)
DATABASE, BROKER = "database", "broker"
SLOW_MS = 20  # to somebody who is asked a dozen times for a page
LOOKS = 5
NAMED = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at (`name`), how it is (`fact`), and unless it is well: why that matters, and what to do."""

    name: str
    fact: str
    state: str = OK
    why: str = ""
    fix: str = ""

    @property
    def chip(self) -> str:
        """The state as pages show it."""
        return {OK: "passed", WARNING: "warning", ERROR: "failed"}[self.state]

    @property
    def word(self) -> str:
        return self.state.capitalize() if self.state != OK else "OK"


def round_trip(ask: Callable[[], object], *, why: str, fix: str) -> Finding:
    """How far away somebody is who answers at once: the quickest of a few answers, for a moment may be a busy one."""
    times = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        ask()
        times.append((time.perf_counter() - began) * 1000)
    is_far = min(times) > SLOW_MS
    return Finding("Round trip", f"{min(times):.1f} ms", *((WARNING, why, fix) if is_far else ()))


def first_of(names: Iterable[str], number: int) -> str:
    """The first few of so many, in a sentence."""
    return f"{', '.join(islice(names, NAMED))}{' and others' if number > NAMED else ''}"


@dataclass(frozen=True, slots=True)
class Check:
    """A function and what it needs; a thorough one takes longer than a page may."""

    section: str
    look: Callable[[], Iterable[Finding]]
    needs: frozenset[str]
    is_thorough: bool


@dataclass(slots=True)
class Section:
    """Findings under a heading."""

    name: str
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found."""

    sections: list[Section]

    @property
    def state(self) -> str:
        """The worst there is: `ok`, `warning` or `error`."""
        states = [finding.state for section in self.sections for finding in section.findings]
        return max(states, key=SEVERITY.index, default=OK)

    def count(self, state: str) -> int:
        return sum(finding.state == state for section in self.sections for finding in section.findings)

    @property
    def errors(self) -> int:
        return self.count(ERROR)

    @property
    def warnings(self) -> int:
        return self.count(WARNING)

    @property
    def unwell(self) -> list[str]:
        """The names of the sections in which not all is well."""
        return [section.name for section in self.sections if any(found.state != OK for found in section.findings)]

    def as_json(self) -> dict[str, object]:
        """For programs: `state` and `sections`, each with `name` and `findings`."""
        return {"state": self.state, "sections": [asdict(section) for section in self.sections]}


_checks: list[Check] = []


def register(
    section: str, look: Callable[[], Iterable[Finding]], *, needs: Iterable[str] = (), is_thorough: bool = False
) -> None:
    """Let `look` be asked for its findings whenever the installation is examined."""
    _checks.append(Check(section, look, frozenset(needs), is_thorough))


def all_checks() -> tuple[Check, ...]:
    return tuple(_checks)


def plural(number: int, one: str, many: str = "") -> str:
    """`1 server`, `2 servers`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def size(count: float) -> str:
    """Bytes for people: `41 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def age(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h`, `5 days`."""
    for limit, unit, length in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds // 86400)} days"
