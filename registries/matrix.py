"""The fleet: registries × servers, how each pair stands. Read in as many queries for ten thousand pairs as for four."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Case, CharField, Count, F, Q, QuerySet, Value, When
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from dokreg.database import SecondsOf
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
# All but those that passed without a reservation, whose number is that of the rest: few, in a database of any size.
NOT_PLAIN = ~Q(state=Run.State.PASSED, verdict="")
IS_PROBLEM = Q(state__in=[Run.State.FAILED, Run.State.LOST])
LOGIN_WORDS: dict[str, tuple[str, str]] = {
    Login.State.HELD: ("lock", "stays logged in"),
    Login.State.WAITING: ("clock", "login waiting"),
    Login.State.FAILED: ("lock", "login failed"),
    Login.State.LEAVING: ("clock", "logging out"),
}

Pair = tuple[str, str]  # registry, server


def _chip(test: str = "") -> Case:
    """A run's state as the pages show it, `Run.chip` in SQL; `test` is the way to it, such as `last_test`."""
    way = f"{test}__" if test else ""
    has_verdict = ~Q(**{f"{way}verdict": ""})
    return Case(
        When(**{f"{way}pk": None}, then=Value("never")),
        When(**{f"{way}verdict": "host_key_unconfirmed"}, then=Value("unconfirmed")),
        When(has_verdict, **{f"{way}state": Run.State.PASSED}, then=Value("warning")),
        default=F(f"{way}state"),
        output_field=CharField(),
    )


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
    address: str
    test_address: str
    tally: Tally
    cells: SafeString


@dataclass(frozen=True, slots=True)
class Column:
    """A registry."""

    registry: Registry
    address: str
    test_address: str
    tally: Tally


class Matrix:
    """The part of the fleet that a page shows."""

    def __init__(self, organisation: Organisation, wanted: Wanted) -> None:
        self.organisation, self.wanted = organisation, wanted
        self._registries: QuerySet[Registry] = Registry.objects.of(organisation).only(
            "pk", "name", "url", "credentials_mark"
        )
        self._servers: QuerySet[Server] = Server.objects.of(organisation).only("pk", "name", "host")
        self.has_registries, self.has_servers = self._registries.exists(), self._servers.exists()
        self._is_by_problems = wanted.only_problems or wanted.problems_first
        self._narrowing = Q()
        if wanted.query:
            self._narrow(wanted.query)

    @cached_property
    def servers(self) -> Page[Server]:
        """The rows of this page, and the way to the others."""
        return self._page(self._servers, "server_id", SERVERS_PER_PAGE, self.wanted.page)

    @cached_property
    def registries(self) -> Page[Registry]:
        """The columns of this page, and the way to the others."""
        return self._page(self._registries, "registry_id", REGISTRIES_PER_PAGE, self.wanted.columns)

    @cached_property
    def columns(self) -> list[Column]:
        page = _addresses("registries:detail", self.organisation)
        test = _addresses("fleet:test_registry", self.organisation)
        return [
            Column(registry, page(registry.pk), test(registry.pk), self._by_registry[registry.pk])
            for registry in self.registries
        ]

    @cached_property
    def rows(self) -> list[Row]:
        standings, problems, logins = self._standings(), self._problems(), self._logins()
        shown = {registry.pk for registry in self.registries}
        others = sorted({row[-3:] for row in (*problems, *logins) if row[0] not in shown}, key=lambda row: row[1])
        writer = _Writer(
            self.organisation,
            {(row[0], row[1]): row[2:7] for row in (*standings, *problems)},
            {(row[0], row[1]): row[2] for row in logins},
            list(self.registries),
            self._owned(Registry(pk=pk, name=name, credentials_mark=mark) for pk, name, mark in others),
        )
        page = _addresses("servers:detail", self.organisation, of="server_id")
        test = _addresses("fleet:test_server", self.organisation, of="server_id")
        return [
            Row(server, page(server.pk), test(server.pk), self._by_server[server.pk], writer.cells(server))
            for server in self.servers
        ]

    @cached_property
    def tally(self) -> Tally:
        """Of everything that was found, on all pages."""
        chips: Counter[str] = Counter()
        for of_server in self._chips["server_id"].values():
            chips.update(of_server)
        standings = self._narrowed(Standing.objects.all())
        chips["never"] = standings.filter(last_test=None).count()
        chips["passed"] = standings.count() - chips.total()
        return Tally(chips, len(self._failed_logins))

    def _narrow(self, query: str) -> None:
        """To what has the query in its name or address. If that is registries alone, on all servers, and so on."""
        registries = self._registries.filter(Q(name__icontains=query) | Q(url__icontains=query))
        servers = self._servers.filter(Q(name__icontains=query) | Q(host__icontains=query))
        some_registries, some_servers = registries.count(), servers.count()
        if some_registries or not some_servers:
            self._narrow_to("registry", registries, is_all=some_registries == self._registries.count())
            self._registries = registries
        if some_servers or not some_registries:
            self._narrow_to("server", servers, is_all=some_servers == self._servers.count())
            self._servers = servers

    def _narrow_to(self, field: str, things: QuerySet[Any], *, is_all: bool) -> None:
        if not is_all:  # a database that is told of all takes as long as if it were told of few
            self._narrowing &= Q(**{f"{field}__in": things.order_by().values("pk")})

    def _page(self, things: QuerySet[Any], column: str, size: int, number: str) -> Page[Any]:
        if not self._is_by_problems:
            page = Paginator(things, size).get_page(number)
            page.object_list = self._owned(page.object_list)
            return page
        page = Paginator(self._by_problems(things, column), size).get_page(number)
        shown = things.in_bulk(page.object_list)
        page.object_list = self._owned(shown[pk] for pk in page.object_list if pk in shown)
        return page

    def _by_problems(self, things: QuerySet[Any], column: str) -> list[str]:
        """The ids in the order that is wanted: of rows there may be very many, which are read for a page alone."""
        problems = self._failed_logins_by(column)
        for pk, chips in self._chips[column].items():
            problems[pk] += Tally(chips).problems
        pks = things.values_list("pk", flat=True)
        found = [pk for pk in pks if problems[pk]] if self.wanted.only_problems else list(pks)
        return sorted(found, key=lambda pk: -problems[pk]) if self.wanted.problems_first else found

    def _owned(self, things: Iterable[Any]) -> list[Any]:
        """As rows of this organisation, which then is not read for each of them."""
        owned = list(things)
        for thing in owned:
            thing.organisation = self.organisation
        return owned

    @cached_property
    def _by_server(self) -> dict[str, Tally]:
        return self._tallies("server_id", self.servers)

    @cached_property
    def _by_registry(self) -> dict[str, Tally]:
        return self._tallies("registry_id", self.registries)

    def _tallies(self, column: str, things: Iterable[Any]) -> dict[str, Tally]:
        """Of the rows or columns of this page."""
        of_things = Q(**{f"{column}__in": [thing.pk for thing in things]})
        failed_logins = self._failed_logins_by(column)
        counted = self._narrowed(Standing.objects.filter(of_things)).values_list(column)
        tallies: dict[str, Tally] = defaultdict(Tally)
        for pk, number, tested in counted.annotate(number=Count("pk"), tested=Count("last_test")):
            chips = Counter(self._chips[column].get(pk))
            chips["passed"] = tested - chips.total()
            chips["never"] = number - tested
            tallies[pk].chips = chips
        for pk, number in failed_logins.items():
            tallies[pk].failed_logins = number
        return tallies

    @cached_property
    def _chips(self) -> dict[str, dict[str, Counter[str]]]:
        """By column and id the chips of what did not simply pass: of every server, and of every registry if need be."""
        of_registries = Q() if self._is_by_problems else Q(registry__in=list(self.registries))
        found: dict[str, dict[str, Counter[str]]] = {}
        for column, which in (("server_id", Q()), ("registry_id", of_registries)):
            found[column] = defaultdict(Counter)
            counted = self._not_plain(which).values_list(column, _chip()).annotate(number=Count("pk"))
            for pk, chip, number in counted:
                found[column][pk][chip] = number
        return found

    def _failed_logins_by(self, column: str) -> Counter[str]:
        return Counter(pair[0 if column == "registry_id" else 1] for pair in self._failed_logins)

    @cached_property
    def _failed_logins(self) -> list[Pair]:
        failed = self._narrowed(Login.objects.filter(state=Login.State.FAILED, registry__isnull=False))
        return list(failed.values_list("registry_id", "server_id"))

    def _narrowed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(self._narrowing, organisation=self.organisation).order_by()

    def _not_plain(self, which: Q) -> QuerySet[RegistryTest]:
        """The last tests of pairs that did not simply pass.

        That the standings are this organisation's, too, goes without saying, but not for the database: it would read
        those of all organisations.
        """
        of_pairs = Q(standings__organisation=self.organisation)
        return self._narrowed(RegistryTest.objects.filter(NOT_PLAIN, which, of_pairs))

    def _standings(self) -> list[tuple[Any, ...]]:
        """What is in the page's columns, and in those of logins that failed."""
        named = {registry.pk for registry in self.registries} | {pair[0] for pair in self._failed_logins}
        on_page = Standing.objects.filter(server__in=list(self.servers), registry__in=named)
        return list(
            self._narrowed(on_page).values_list(
                "registry_id", "server_id", "last_test_id", _chip("last_test"), "last_test__verdict",
                SecondsOf("last_test__created_at"), "last_test__credentials_mark",
            )
        )  # fmt: skip

    def _problems(self) -> list[tuple[Any, ...]]:
        """The same of all columns, and the names of these, for what is a problem: a phone names it."""
        problems = self._not_plain(Q(server__in=list(self.servers)) & IS_PROBLEM)
        return list(
            problems.values_list(
                "registry_id", "server_id", "pk", _chip(), "verdict", SecondsOf("created_at"), "credentials_mark",
                *OF_REGISTRY,
            )
        )  # fmt: skip

    def _logins(self) -> list[tuple[Any, ...]]:
        named = Q(registry__in=list(self.registries)) | Q(state=Login.State.FAILED)
        rows = self._narrowed(Login.objects.filter(named, server__in=list(self.servers), registry__isnull=False))
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
        page = _addresses("registries:detail", organisation)
        self._registries, self._others = _parts(registries, page), _parts(others, page)
        self._test_address = _addresses("registries:test_detail", organisation, of="test_id")
        self._now = timezone.now().timestamp()
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
            f'{self._test_address(test)}" title="{_title(chip, verdict, is_changed=is_changed)}'
            if test
            else (f"{address}?server={server}")
        )
        marks = f"{' data-problem' if is_problem else ''}{' data-changed' if is_changed else ''}"
        return (
            f'<td{attribute} data-state="{chip}"{marks}><a href="{address}"{label}>{self._marks[chip]}'
            f"{self._age(at) if at else ''}{_CHANGED if is_changed else ''}{login_mark}</a></td>"
        )

    def _age(self, at: float) -> str:
        seconds = self._now - at
        if seconds < MINUTE:
            return "now"
        if seconds < HOUR:
            return f"{int(seconds // MINUTE)} min"
        return f"{int(seconds // HOUR)} h" if seconds < DAY else f"{int(seconds // DAY)} d"


def _addresses(view: str, organisation: Organisation, *, of: str = "registry_id") -> Callable[[str], str]:
    """What answers the address for an id. It is looked up once: with something that stands for the id."""
    some = "0"
    before, _, after = reverse(view, kwargs={"organisation": organisation.slug, of: some}).rpartition(f"/{some}/")
    return lambda pk: f"{before}/{pk}/{after}"


def _parts(registries: Collection[Registry], page: Callable[[str], str]) -> list[tuple[str, str, str, str]]:
    """What a cell needs of each registry."""
    return [(row.pk, row.credentials_mark, escape(row.name), page(row.pk)) for row in registries]


def _aside(words: str) -> str:
    """For screen readers."""
    return f'<span class="visually-hidden">{words}</span>'


_CHANGED = _aside("; changed since")


def _mark(chip: str) -> str:
    return f"{icon(state_icon(chip))}{_aside(state_word(chip) + ' ')}"


def _title(chip: str, verdict: str, *, is_changed: bool) -> str:
    why = f": {verdict.replace('_', ' ')}" if verdict else ""
    return f"{state_word(chip)}{why}{'; the credentials were changed since' if is_changed else ''}"
