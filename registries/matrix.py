"""The fleet: registries × servers, how each pair stands. Read in as many queries for ten thousand pairs as for four."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Case, CharField, Count, F, Q, QuerySet, Value, When
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from dokreg.templatetags.ui import DAY, HOUR, MINUTE, icon, state_icon, state_word
from organisations.models import Organisation
from registries.models import Login, Registry, RegistryTest, Standing
from servers.models import Run, Server

SERVERS_PER_PAGE = 50
REGISTRIES_PER_PAGE = 25
# What somebody has to look at; a reservation is none, as it may hold for a registry everywhere and for ever.
PROBLEMS = ("failed", "unconfirmed", "lost")
UNDER_WAY = ("running", "queued")
OF_REGISTRY = ("registry", "registry__name", "registry__credentials_mark")
# A run's state as the pages show it, `Run.chip` in SQL.
CHIP = Case(
    When(last_test=None, then=Value("never")),
    When(last_test__verdict="host_key_unconfirmed", then=Value("unconfirmed")),
    When(~Q(last_test__verdict=""), last_test__state=Run.State.PASSED, then=Value("warning")),
    default=F("last_test__state"),
    output_field=CharField(),
)
# All but those that passed without a reservation, whose number is that of the rest: few, in a database of any size.
NOT_PLAIN = ~Q(state=Run.State.PASSED, verdict="")
IS_PROBLEM = Q(last_test__state__in=[Run.State.FAILED, Run.State.LOST])
LOGIN_WORDS: dict[str, tuple[str, str]] = {
    Login.State.HELD: ("lock", "stays logged in"),
    Login.State.WAITING: ("clock", "login waiting"),
    Login.State.FAILED: ("lock", "login failed"),
    Login.State.LEAVING: ("clock", "logging out"),
}

Pair = tuple[str, str]  # registry, server


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the fleet is to be shown."""

    query: str = ""
    only_problems: bool = False
    problems_first: bool = False
    page: str = ""
    columns: str = ""


@dataclass(slots=True)
class Tally:
    """How the pairs of one row or column stand, by chip."""

    chips: Counter[str] = field(default_factory=Counter)
    failed_logins: int = 0

    @property
    def problems(self) -> int:
        return sum(self.chips[chip] for chip in PROBLEMS) + self.failed_logins

    @property
    def parts(self) -> list[tuple[str, str]]:
        """(tone, words), such as ("failed", "2 failed"); what has to be looked at comes first."""
        counts = self.chips
        under_way = sum(counts[chip] for chip in UNDER_WAY)
        found = [
            (counts["failed"], "failed", "failed"),
            (counts["unconfirmed"], "unconfirmed", "not confirmed"),
            (counts["lost"], "lost", "lost"),
            (self.failed_logins, "failed", "login failed" if self.failed_logins == 1 else "logins failed"),
            (under_way, "running", "under way"),
            (counts["warning"], "warning", "warning" if counts["warning"] == 1 else "warnings"),
            (counts["passed"], "passed", "passed"),
        ]
        return [(tone, f"{number} {words}") for number, tone, words in found if number]

    def __str__(self) -> str:
        return ", ".join(words for _tone, words in self.parts) or "never tested"


@dataclass(frozen=True, slots=True)
class Row:
    """A server with its cells, in the order of the columns."""

    server: Server
    tally: Tally
    cells: SafeString


@dataclass(frozen=True, slots=True)
class Column:
    """A registry."""

    registry: Registry
    tally: Tally


class Matrix:
    """The part of the fleet that a page shows."""

    def __init__(self, organisation: Organisation, wanted: Wanted) -> None:
        self.organisation, self.wanted = organisation, wanted
        self._registries: Sequence[Registry] | QuerySet[Registry] = Registry.objects.of(organisation).only(
            "pk", "name", "url", "credentials_mark"
        )
        self._servers: Sequence[Server] | QuerySet[Server] = Server.objects.of(organisation).only("pk", "name", "host")
        self.has_registries, self.has_servers = self._registries.exists(), self._servers.exists()
        self._is_narrowed = bool(wanted.query)
        self._is_by_problems = wanted.only_problems or wanted.problems_first
        if self._is_narrowed:
            self._registries, self._servers = _found(list(self._registries), list(self._servers), wanted.query)

    @cached_property
    def servers(self) -> Page[Server]:
        """The rows of this page, and the way to the others."""
        servers = self._ordered(self._servers, lambda: self._by_server)
        return self._page(servers, SERVERS_PER_PAGE, self.wanted.page)

    @cached_property
    def registries(self) -> Page[Registry]:
        """The columns of this page, and the way to the others."""
        registries = self._ordered(self._registries, lambda: self._by_registry)
        return self._page(registries, REGISTRIES_PER_PAGE, self.wanted.columns)

    @cached_property
    def columns(self) -> list[Column]:
        return [Column(registry, self._by_registry[registry.pk]) for registry in self.registries]

    @cached_property
    def rows(self) -> list[Row]:
        standings, logins = self._standings(), self._logins()
        shown = {registry.pk for registry in self.registries}
        others = sorted({row[-3:] for row in (*standings, *logins) if row[0] not in shown}, key=lambda row: row[1])
        writer = _Writer(
            self.organisation,
            {(row[0], row[1]): row[2:-3] for row in standings},
            {(row[0], row[1]): row[2] for row in logins},
            list(self.registries),
            self._owned(Registry(pk=pk, name=name, credentials_mark=mark) for pk, name, mark in others),
        )
        return [Row(server, self._by_server[server.pk], writer.cells(server)) for server in self.servers]

    @cached_property
    def tally(self) -> Tally:
        """Of everything that was found, on all pages."""
        standings = self._narrowed(Standing.objects.all()).order_by()
        tests = RegistryTest.objects.filter(NOT_PLAIN, organisation=self.organisation)
        looked_at = standings.filter(last_test__in=tests).values_list(CHIP).annotate(number=Count("pk"))
        chips = Counter(dict(looked_at))
        chips["never"] = standings.filter(last_test=None).count()
        chips["passed"] = standings.count() - chips.total()
        return Tally(chips, len(self._failed_logins))

    def _ordered(self, things: Any, tallies: Callable[[], dict[str, Tally]]) -> Any:
        if self.wanted.only_problems:
            things = [thing for thing in things if tallies()[thing.pk].problems]
        if self.wanted.problems_first:
            things = sorted(things, key=lambda thing: -tallies()[thing.pk].problems)
        return things

    def _page(self, things: Any, size: int, number: str) -> Page[Any]:
        page = Paginator(things, size).get_page(number)
        page.object_list = self._owned(page.object_list)
        return page

    def _owned(self, things: Iterable[Any]) -> list[Any]:
        """As rows of this organisation, which then is not read for each of them."""
        owned = list(things)
        for thing in owned:
            thing.organisation = self.organisation
        return owned

    @cached_property
    def _by_server(self) -> dict[str, Tally]:
        rows = (
            Standing.objects.all() if self._is_by_problems else Standing.objects.filter(server__in=list(self.servers))
        )
        return self._tallies(rows, "server_id", [pair[1] for pair in self._failed_logins])

    @cached_property
    def _by_registry(self) -> dict[str, Tally]:
        rows = Standing.objects.all()
        if not self._is_by_problems:
            rows = rows.filter(registry__in=list(self.registries))
        return self._tallies(rows, "registry_id", [pair[0] for pair in self._failed_logins])

    def _tallies(self, rows: QuerySet[Standing], column: str, failed_logins: Iterable[str]) -> dict[str, Tally]:
        tallies: dict[str, Tally] = defaultdict(Tally)
        counted = self._narrowed(rows).values_list(column, CHIP).annotate(number=Count("pk"))
        for pk, chip, number in counted.order_by():
            tallies[pk].chips[chip] += number
        for pk in failed_logins:
            tallies[pk].failed_logins += 1
        return tallies

    @cached_property
    def _failed_logins(self) -> list[Pair]:
        failed = self._narrowed(Login.objects.filter(state=Login.State.FAILED, registry__isnull=False))
        return list(failed.order_by().values_list("registry_id", "server_id"))

    def _narrowed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        rows = rows.filter(organisation=self.organisation)
        return rows.filter(registry__in=self._registries, server__in=self._servers) if self._is_narrowed else rows

    def _on_page(self, rows: QuerySet[Any], problem: Q) -> QuerySet[Any]:
        """What is in the page's columns; and of the other registries what is a problem, which a phone names."""
        in_columns = Q(registry__in=list(self.registries))
        return self._narrowed(rows).filter(in_columns | problem, server__in=list(self.servers)).order_by()

    def _standings(self) -> list[tuple[Any, ...]]:
        problem = IS_PROBLEM | Q(registry__in={registry for registry, _server in self._failed_logins})
        rows = self._on_page(Standing.objects.all(), problem).values_list(
            "registry_id", "server_id", "last_test_id", CHIP, "last_test__verdict", "last_test__created_at",
            "last_test__credentials_mark", *OF_REGISTRY,
        )  # fmt: skip
        return list(rows)

    def _logins(self) -> list[tuple[Any, ...]]:
        failed = Q(state=Login.State.FAILED)
        rows = self._on_page(Login.objects.filter(registry__isnull=False), failed)
        return list(rows.values_list("registry_id", "server_id", "state", *OF_REGISTRY))


class _Writer:
    """Writes cells; more than a thousand stand on a page, so each is put together from parts made once."""

    def __init__(
        self,
        organisation: Organisation,
        standings: dict[Pair, tuple[Any, ...]],
        logins: dict[Pair, str],
        registries: Collection[Registry],
        others: Collection[Registry],
    ) -> None:
        self._standings, self._logins = standings, logins
        self._registries, self._others = _parts(registries), _parts(others)
        some = "0"  # stands for an id, so that the address is looked up once
        address = reverse("registries:test_detail", kwargs={"organisation": organisation.slug, "test_id": some})
        self._tests = address.removesuffix(f"{some}/")
        self._now = timezone.now()
        self._marks = {chip: _mark(chip) for chip in (*PROBLEMS, *UNDER_WAY, "passed", "warning", "never")}
        self._login_marks = {
            state: f'<span class="login" data-login="{state}">{icon(name)}{_aside(f"; {words}")}</span>'
            for state, (name, words) in LOGIN_WORDS.items()
        }

    def cells(self, server: Server) -> SafeString:
        """The cells of a row, and after them those that only a phone shows."""
        cells = [self._cell(server.pk, *registry) for registry in self._registries]
        cells += [
            self._cell(server.pk, *registry, attribute=' class="elsewhere"')
            for registry in self._others
            if self._is_problem((registry[0], server.pk))
        ]
        return mark_safe("".join(cells))  # noqa: S308 - ids, dates, words of ours and escaped names

    def _is_problem(self, pair: Pair) -> bool:
        is_failed = pair in self._standings and self._standings[pair][1] in PROBLEMS
        return is_failed or self._logins.get(pair) == Login.State.FAILED

    def _cell(self, server: str, registry: str, mark: str, name: str, address: str, *, attribute: str = "") -> str:
        pair = (registry, server)
        login = self._logins.get(pair)
        login_mark = self._login_marks[login] if login else ""
        test, chip, verdict, at, tested_mark = self._standings.get(pair, (None, "never", "", None, ""))
        is_problem = self._is_problem(pair)
        label = f' data-label="{name}"' if is_problem else ""
        is_changed = bool(test) and tested_mark != mark
        address = (
            f'{self._tests}{test}/" title="{_title(chip, verdict, is_changed=is_changed)}'
            if test
            else (f"{address}?server={server}")
        )
        marks = f"{' data-problem' if is_problem else ''}{' data-changed' if is_changed else ''}"
        return (
            f'<td{attribute} data-state="{chip}"{marks}><a href="{address}"{label}>{self._marks[chip]}'
            f"{self._age(at) if at else ''}{_CHANGED if is_changed else ''}{login_mark}</a></td>"
        )

    def _age(self, at: dt.datetime) -> str:
        seconds = (self._now - at).total_seconds()
        if seconds < MINUTE:
            return "now"
        if seconds < HOUR:
            return f"{int(seconds // MINUTE)} min"
        return f"{int(seconds // HOUR)} h" if seconds < DAY else f"{int(seconds // DAY)} d"


def _parts(registries: Collection[Registry]) -> list[tuple[str, str, str, str]]:
    """What a cell needs of each registry."""
    return [(row.pk, row.credentials_mark, escape(row.name), row.get_absolute_url()) for row in registries]


def _aside(words: str) -> str:
    """For screen readers."""
    return f'<span class="visually-hidden">{words}</span>'


_CHANGED = _aside("; changed since")


def _mark(chip: str) -> str:
    return f"{icon(state_icon(chip))}{_aside(state_word(chip) + ' ')}"


def _title(chip: str, verdict: str, *, is_changed: bool) -> str:
    why = f": {verdict.replace('_', ' ')}" if verdict else ""
    return f"{state_word(chip)}{why}{'; the credentials were changed since' if is_changed else ''}"


def _found(registries: list[Registry], servers: list[Server], query: str) -> tuple[list[Registry], list[Server]]:
    """What has the query in its name or address. If that is registries alone, on all servers, and the other way."""
    word = query.casefold()
    some_registries = [row for row in registries if word in row.name.casefold() or word in row.url]
    some_servers = [row for row in servers if word in row.name.casefold() or word in row.host.casefold()]
    if not some_registries and not some_servers:
        return [], []
    return some_registries or registries, some_servers or servers
