"""Times, states and icons as pages show them."""

import datetime as dt
import re
from pathlib import Path

import pytest
import time_machine
from django.conf import settings as dokreg
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.utils import timezone
from pytest_django.fixtures import Settings

from dokreg.templatetags import ui

ROOT = Path(dokreg.BASE_DIR)
SYMBOLS = set(re.findall(r'<symbol id="([\w-]+)"', (ROOT / "static/icons.svg").read_text()))
NOON = dt.datetime(2026, 3, 10, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _plain_static_files(settings: Settings) -> None:
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (dt.timedelta(seconds=0), "just now"),
        (dt.timedelta(seconds=59), "just now"),
        (dt.timedelta(seconds=60), "1 min ago"),
        (dt.timedelta(minutes=59, seconds=59), "59 min ago"),
        (dt.timedelta(hours=2), "2 h ago"),
        (dt.timedelta(hours=24), "1 day ago"),
        (dt.timedelta(days=5, hours=3), "5 days ago"),
        (dt.timedelta(days=29), "29 days ago"),
        (dt.timedelta(days=30), "8 Feb 2026"),
        (dt.timedelta(seconds=-30), "in a moment"),
        (dt.timedelta(minutes=-3), "in 3 min"),
        (dt.timedelta(days=-2), "in 2 days"),
        (dt.timedelta(seconds=-59), "in a moment"),
        (dt.timedelta(seconds=-89), "in 1 min"),
        (dt.timedelta(minutes=-59, seconds=-59), "in 1 h"),
        (dt.timedelta(hours=-1, minutes=-40), "in 2 h"),
        (dt.timedelta(hours=-23, minutes=-59), "in 1 day"),
        (dt.timedelta(days=-7, seconds=1), "in 7 days"),
        (dt.timedelta(days=-30, seconds=1), "9 Apr 2026"),
    ],
)
def test_a_time_is_said_as_a_distance(distance: dt.timedelta, words: str) -> None:
    with time_machine.travel(NOON, tick=False):
        assert ui.ago(timezone.now() - distance) == words


def test_no_time_says_nothing() -> None:
    assert ui.ago(None) == ""
    assert ui.time(None) == ""


def test_the_full_time_is_in_the_title() -> None:
    with time_machine.travel(NOON, tick=False):
        html = ui.time(NOON - dt.timedelta(minutes=3))
    assert 'datetime="2026-03-10T11:57:00+00:00"' in html
    assert 'title="10 Mar 2026, 11:57:00 UTC"' in html
    assert "3 min ago" in html


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (None, ""),
        (0, "0 ms"),
        (84, "84 ms"),
        (999.4, "999 ms"),
        (999.6, "1.0 s"),
        (1204, "1.2 s"),
        (59_960, "1 min 0 s"),
        (125_000, "2 min 5 s"),
        (dt.timedelta(milliseconds=412), "412 ms"),
    ],
)
def test_a_duration_is_said_in_the_unit_that_fits(length: float | dt.timedelta | None, words: str) -> None:
    assert ui.duration(length) == words


def test_an_icon_is_decoration_unless_it_has_a_label() -> None:
    assert 'aria-hidden="true"' in ui.icon("check")
    labelled = ui.icon("menu", '"Menu"')
    assert 'role="img" aria-label="&quot;Menu&quot;"' in labelled
    assert "aria-hidden" not in labelled


@pytest.mark.parametrize("state", [*ui.STATES, "somebody_elses"])
def test_a_badge_shows_icon_and_word(state: str) -> None:
    html = ui.badge(state)
    assert f'data-state="{state}"' in html
    assert f"#{ui.state_icon(state)}" in html
    assert ui.state_word(state) in html
    assert ui.state_word(state)


def test_a_badge_takes_another_word() -> None:
    assert "Token ended" in ui.badge("expired", "Token ended")


def test_a_badge_quotes_what_it_is_given() -> None:
    assert "<b>" not in ui.badge("<b>", "<b>")


def test_every_icon_that_is_used_is_drawn() -> None:
    used = {icon for icon, _word in ui.STATES.values()} | {*ui.LEVELS.values(), ui.level_icon("info")}
    for page in (ROOT / "templates").rglob("*.html"):
        text = page.read_text()
        used |= set(re.findall(r'{% icon "([\w-]+)"', text)) | set(re.findall(r'components/.* icon="([\w-]+)"', text))
    assert used <= SYMBOLS


def test_the_failing_rung_is_open() -> None:
    rungs = [
        {"name": "ssh", "label": "SSH", "state": "passed", "milliseconds": 84, "fact": "root@web-1:22"},
        {"name": "login", "label": "Login", "state": "failed", "milliseconds": 1204, "cause": "Refused.",
         "fix": "Enter it again.", "words": "denied: <b>denied</b>"},
        {"name": "pull", "label": "Right to pull", "state": "skipped", "milliseconds": None},
    ]  # fmt: skip
    html = render_to_string("components/ladder.html", {"run": {"state": "failed", "rungs": rungs}})
    assert html.count('class="rung"') == 3
    assert html.count('class="why"') == 1
    assert "denied: &lt;b&gt;denied&lt;/b&gt;" in html
    assert "84 ms" in html
    assert "Not reached" in html


@pytest.mark.parametrize(
    ("sort", "address", "aria"),
    [
        ("name", "?q=web&amp;sort=-name", 'aria-sort="ascending"'),
        ("-name", "?q=web&amp;sort=name", 'aria-sort="descending"'),
        ("url", "?q=web&amp;sort=name", ""),
    ],
)
def test_a_head_sorts_and_turns_the_order_round(rf: RequestFactory, sort: str, address: str, aria: str) -> None:
    request = rf.get("/", {"q": "web", "page": "3", "sort": sort})
    context = {"column": "name", "label": "Name", "sort": sort}
    html = render_to_string("components/sort_header.html", context, request=request)
    assert f'href="{address}"' in html
    assert aria in html
    assert aria or "aria-sort" not in html


def test_nothing_is_loaded_from_elsewhere() -> None:
    for name in ("dokreg.css", "icons.svg", "dokreg.js"):
        text = (ROOT / "static" / name).read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|data:|@import|url\(", text), name


def test_no_page_has_inline_code_or_style() -> None:
    for page in (ROOT / "templates").rglob("*.html"):
        text = page.read_text()
        assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)|hx-on|javascript:", text), page


@pytest.mark.parametrize("name", ["400.html", "403.html", "403_csrf.html", "404.html", "500.html"])
def test_an_error_page_needs_no_context(name: str) -> None:
    assert "To the start page" in render_to_string(name)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("registry.example.com:5000/acme", "registry.<wbr>example.<wbr>com:<wbr>5000/<wbr>acme"),
        ("ghcr.io/", "ghcr.<wbr>io/"),
        ("a.<b>&'c'", "a.&lt;b&gt;&amp;&#x27;c&#x27;"),
        ("", ""),
    ],
)
def test_an_address_breaks_where_people_would_break_it(address: str, shown: str) -> None:
    assert ui.breakable(address) == shown
