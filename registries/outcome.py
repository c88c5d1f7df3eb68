"""What has become of a batch: how far it is, and everything that failed, by its cause."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet
from django.utils.functional import cached_property

from registries.models import RegistryTest, TestBatch
from servers.ladder import Rung
from servers.models import Run

MOST_LINKS = 200
IS_UNSENT = ExpressionWrapper(Q(sent_at=None), output_field=BooleanField())
FAILED = (Run.State.FAILED, Run.State.LOST)


@dataclass(frozen=True, slots=True)
class Failed:
    """A test that did not pass."""

    test_id: str
    registry: str
    server: str


@dataclass(frozen=True, slots=True)
class Line:
    """The failures of one registry (or server) with the same cause; `links` are (test id, the server or registry)."""

    name: str
    links: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Cause:
    """One sentence, and the tests that ended with it; of very many only the first are linked."""

    words: str
    fix: str
    tests: list[Failed]

    @property
    def lines(self) -> list[Line]:
        """By registry or by server, whichever are fewer."""
        shown = self.tests[:MOST_LINKS]
        by_registry = len({test.registry for test in shown}) <= len({test.server for test in shown})
        lines: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for test in shown:
            name, other = (test.registry, test.server) if by_registry else (test.server, test.registry)
            lines[name].append((test.test_id, other))
        return [Line(name, links) for name, links in lines.items()]

    @property
    def more(self) -> int:
        return max(0, len(self.tests) - MOST_LINKS)


@dataclass(frozen=True, slots=True)
class Group:
    """What failed with the same verdict."""

    verdict: str
    causes: list[Cause]

    @property
    def number(self) -> int:
        return sum(len(cause.tests) for cause in self.causes)

    @property
    def extent(self) -> str:
        """Such as "3 servers, 1 registry"."""
        tests = [test for cause in self.causes for test in cause.tests]
        servers, registries = {test.server for test in tests}, {test.registry for test in tests}
        return f"{_counted(len(servers), 'server', 'servers')}, {_counted(len(registries), 'registry', 'registries')}"


class Outcome:
    """Of one batch, read when it is asked for."""

    def __init__(self, batch: TestBatch) -> None:
        self.batch = batch

    @cached_property
    def counts(self) -> Counter[str]:
        """State → tests; `warning` are those that passed with a reservation, `waiting` those not sent yet."""
        rows = self.batch.tests.order_by().values_list("state", "verdict", IS_UNSENT)
        counts: Counter[str] = Counter()
        for state, verdict, is_unsent, number in rows.annotate(number=Count("pk")):
            if state == Run.State.PASSED and verdict:
                counts["warning"] += number
            elif state == Run.State.QUEUED and is_unsent:
                counts["waiting"] += number
            elif state in {Run.State.QUEUED, Run.State.RUNNING}:
                counts["running"] += number
            else:
                counts[state] += number
        return counts

    @property
    def done(self) -> int:
        return sum(self.counts[name] for name in ("passed", "warning", "failed", "lost"))

    @property
    def under_way(self) -> int:
        return self.counts["running"]

    @property
    def not_run(self) -> int:
        """Cancelled, or gone with their registry."""
        return max(0, self.batch.total - sum(self.counts.values()))

    @property
    def expected(self) -> int:
        return self.batch.total - self.not_run

    @property
    def percent(self) -> int:
        return 100 * self.done // self.expected if self.expected else 100

    @property
    def parts(self) -> list[tuple[str, int, str]]:
        """(state, number, word) of the line below the bar; what is nought is left out, passes excepted."""
        words = {
            "passed": "passed",
            "warning": "with a warning",
            "failed": "failed",
            "lost": "lost",
            "running": "under way",
            "waiting": "waiting",
        }
        return [
            (name, self.counts[name], word) for name, word in words.items() if self.counts[name] or name == "passed"
        ]

    @cached_property
    def groups(self) -> list[Group]:
        """Everything that failed, the widest cause first."""
        found: dict[str, dict[tuple[str, str], list[Failed]]] = defaultdict(lambda: defaultdict(list))
        rows = self.failures.order_by("registry__name", "server_name", "pk")
        for pk, verdict, rungs, registry, url, server in rows.values_list(
            "pk", "verdict", "rungs", "registry__name", "url", "server_name"
        ):
            found[verdict][_why(rungs)].append(Failed(pk, registry or url, server))
        groups = [
            Group(verdict, [Cause(words, fix, tests) for (words, fix), tests in causes.items()])
            for verdict, causes in found.items()
        ]
        return sorted(groups, key=lambda group: (-group.number, group.verdict))

    @property
    def failures(self) -> "QuerySet[RegistryTest, Any]":
        return self.batch.tests.filter(state__in=FAILED)


def _why(rungs: list[Rung]) -> tuple[str, str]:
    """Cause and fix."""
    rung = next((rung for rung in rungs if rung["state"] == "failed"), None)
    return (str(rung["cause"]), str(rung["fix"])) if rung else ("", "")


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
