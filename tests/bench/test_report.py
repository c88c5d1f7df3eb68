"""What the bench writes: bars that are judged, sections that keep their day, and its place in the README alone."""

from dataclasses import replace

import pytest

from tests.bench import report
from tests.bench.figures import THE_SAME, Figure, Held, alone, compared, memory
from tests.running import ROOT

ORDER = ("tests", "list", "load")
FAST = Figure("a click", 101.4, "90–110", "by hand", 234.0, 0.43, "≤ 0.8", low=90, high=110, n=25)
SLOW = Figure("the first page", 70, unit="KB", bar="≤ 60")
NONE = Figure("logins lost", 0, unit="", bar="≤ 0")
README = "before\n<!-- bench -->\n| old |\n<!-- /bench -->\nafter\n"


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (FAST, True),
        (SLOW, False),
        (replace(SLOW, value=60), True),
        (replace(SLOW, bar=""), None),
        (Figure("entries", 20, bar="≥ 20"), True),
        (Figure("entries", 19, bar="≥ 20"), False),
        (Figure("queries", 9, other=9, bar=THE_SAME), True),
        (Figure("queries", 10, other=9, bar=THE_SAME), False),
        (Figure("lost", 0, bar="≤ 0"), True),
        (Figure("lost", 1, bar="≤ 0"), False),
    ],
)
def test_a_bar_is_met_or_missed(figure: Figure, met: bool | None) -> None:
    assert figure.is_met is met


def test_the_median_is_compared() -> None:
    figure = compared("mine", [10.0, 20.0, 30.0], "theirs", [40.0], "≤ 0.6")
    assert (figure.value, figure.other, figure.n, figure.ratio) == (20, 40, 3, 0.5)
    assert figure.is_met


@pytest.mark.parametrize(
    ("times", "low", "high", "spread"),
    [
        ([10.0, 20.0, 40.0, 90.0, 100.0], 10, 100, "10–100 (all)"),
        ([10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 110.0], 30, 90, "30–90"),
        ([1.26, 1.5, 2.0], 1.3, 2, "1.3–2.0 (all)"),
        ([10.0], 10, 10, ""),
    ],
)
def test_the_spread_is_the_middle_half_or_of_few_runs_all(
    times: list[float], low: float, high: float, spread: str
) -> None:
    figure = alone("mine", times)
    assert (figure.low, figure.high, figure.spread) == (low, high, spread)


def test_memory_is_the_median_of_several_starts() -> None:
    figure = memory("at rest", [Held(241.2, 180), Held(251, 190.4), Held(243, 200)], "≤ 250")
    assert (figure.value, figure.n, figure.unit) == (243, 3, "MB")
    assert figure.spread == "241–251 (all); 190 with shared pages counted once"
    assert figure.is_met


def test_a_section_measured_anew_leaves_the_others_as_they_were() -> None:
    first = report.with_section({"sections": {}}, "list", [FAST], order=ORDER)
    first["sections"]["list"]["date"] = "2020-01-01"
    both = report.with_section(first, "tests", [SLOW, NONE], order=ORDER)
    assert list(both["sections"]) == ["tests", "list"]
    assert both["sections"]["list"] == first["sections"]["list"]
    assert both["sections"]["tests"]["date"] > "2026"
    assert report.figures_of(both) == [SLOW, NONE, FAST]
    assert "2020-01-01" in report.where_and_when(both)


def test_the_readme_changes_between_its_marks_alone() -> None:
    results = report.with_section({"sections": {}}, "tests", [FAST, SLOW], order=ORDER)
    text = report.in_readme(README, results, picture="docs/bench.svg")
    assert text.startswith("before\n<!-- bench -->\n")
    assert text.endswith("<!-- /bench -->\nafter\n")
    assert "| a click | 101 ms | 90–110 | 25 | by hand | 234 ms | 0.43 | ≤ 0.8 | yes |" in text
    assert "old" not in text
    assert report.in_readme(text, results, picture="docs/bench.svg") == text


def test_the_readme_folds_what_has_no_bar() -> None:
    results = report.with_section({"sections": {}}, "tests", [FAST, replace(SLOW, bar="")], order=ORDER)
    open_part, _, folded = report.in_readme(README, results, picture="docs/bench.svg").partition("<details>")
    assert "a click" in open_part
    assert "the first page" not in open_part
    assert folded.startswith("<summary>What has no bar: 1 more</summary>\n\n| work |")  # GitHub wants the empty line
    assert "| the first page | 70 KB |" in folded


def test_a_readme_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="<!-- bench -->"):
        report.in_readme("no marks", {"sections": {}}, picture="docs/bench.svg")


def test_what_is_missed_is_named() -> None:
    summary = report.summary([FAST, SLOW])
    assert summary == "1 of 2 bars are met.\n- missed: the first page: 70 KB, bar ≤ 60"


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [(5321.0, "ms", "5.3 s"), (7.25, "ms", "7.2 ms"), (1234, "MB", "1,234 MB"), (9, "", "9")],
)
def test_numbers_are_for_people(value: float, unit: str, words: str) -> None:
    assert report.with_unit(value, unit) == words


def test_the_readme_shows_what_was_measured_last() -> None:
    text = (ROOT / report.README).read_text()
    assert report.in_readme(text, report.read(ROOT / report.RESULTS), picture=report.PICTURE) == text
    assert (ROOT / report.PICTURE).is_file()


def test_the_page_on_scale_shows_what_was_measured_last() -> None:
    text = (ROOT / report.SCALE).read_text()
    assert report.in_scale(text, report.read(ROOT / report.RESULTS)) == text


def test_pace_is_said_of_each_number_of_workers_beside_that_by_hand() -> None:
    """Whichever is quicker."""
    tested = [
        Figure("servers, 1 worker process", 100_000, against="ssh", other=80_000, ratio=1.25, bar="≤ 1.0"),
        Figure("servers, 1 worker process: throughput", 10, unit="tests/s"),
        Figure("servers, 4 worker processes", 40_000, against="ssh", other=80_000, ratio=0.5, bar="≤ 1.0"),
        Figure("servers, 4 worker processes: throughput", 25, unit="tests/s"),
    ]
    results = report.with_section({"sections": {}}, "thousand", tested, order=["thousand"])
    results["sections"]["thousand"]["machine"]["cores"] = 2
    text = report.in_scale("So: <!-- pace -->old<!-- /pace -->.", results)
    assert text == (
        "So: <!-- pace -->on 2 cores 1 worker process 10.0, by hand 12.5; 4 worker processes 25.0, by hand 12.5"
        " tests per second<!-- /pace -->."
    )


def test_a_page_on_scale_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="<!-- pace -->"):
        report.in_scale("no marks", {"sections": {}})
