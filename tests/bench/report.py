"""What was measured, as JSON for programs, and as a table in the README; each section keeps the day of its last run."""

import datetime as dt
import json
import os
import platform
import re
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import django
import psutil

from tests.bench.figures import Figure

Results = dict[str, Any]
RESULTS, PICTURE, README, SCALE = "docs/bench.json", "docs/bench.svg", "README.md", "docs/scale.md"
MARKS = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)
PACE = re.compile(r"(<!-- pace -->).*?(<!-- /pace -->)", re.DOTALL)
PACKAGES = ("celery", "paramiko", "gunicorn", "psycopg", "pydantic")
HEAD = ("work", "figure", "spread", "n", "against", "figure", "ratio", "bar", "met")
BELOW = (
    "Medians of n runs; the spread is the middle half of them, of fewer than 8 the least and the most (“all”). "
    "Both sides of a row are measured in turn in the same run, unless it says otherwise."
)
MET = {True: "yes", False: "**no**", None: ""}


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "cpu": _cpu(),
        "kernel": platform.release().partition("-")[0],
        "system": platform.system(),
        "versions": {"python": platform.python_version(), "django": django.get_version()}
        | {name: version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.processor()


def read(path: Path) -> Results:
    """What was measured before; nothing where there is no file."""
    found: Results = json.loads(path.read_text()) if path.exists() else {"sections": {}}
    return found


def with_section(results: Results, name: str, figures: Iterable[Figure], *, order: Iterable[str]) -> Results:
    """The results with a section measured anew today, on this machine."""
    section = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": machine(),
        "figures": [figure.as_json() for figure in figures],
    }
    sections = results["sections"] | {name: section}
    return {"sections": {known: sections[known] for known in order if known in sections}}


def write(path: Path, results: Results) -> None:
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")


def figures_of(results: Results) -> list[Figure]:
    """All figures, in the order of their sections."""
    return [figure for section in results["sections"].values() for figure in _figures_in(section)]


def _figures_in(section: dict[str, Any]) -> list[Figure]:
    """A row without a unit is a number of something: what is empty is not written."""
    return [
        Figure(**{"unit": ""} | {name: value for name, value in row.items() if name != "met"})
        for row in section["figures"]
    ]


def missed(figures: Iterable[Figure]) -> list[Figure]:
    return [figure for figure in figures if figure.is_met is False]


def summary(figures: list[Figure]) -> str:
    """Which bars are missed, if any."""
    barred = [figure for figure in figures if figure.is_met is not None]
    late = missed(barred)
    lines = [f"{len(barred) - len(late)} of {len(barred)} bars are met."]
    lines += [f"- missed: {figure.work}: {_measured(figure)}, bar {figure.bar}" for figure in late]
    return "\n".join(lines)


def _measured(figure: Figure) -> str:
    return with_unit(figure.value, figure.unit) if figure.ratio is None else f"ratio {figure.ratio:g}"


def with_unit(value: float | None, unit: str) -> str:
    """For people: long times in seconds, thousands with a comma."""
    if value is None:
        return ""
    if unit == "ms" and value >= 1000:
        return f"{value / 1000:,.1f} s"
    number = f"{value:,.0f}" if value >= 100 or value % 1 == 0 else f"{value:,.1f}"
    return f"{number} {unit}".strip()


def table(figures: Iterable[Figure]) -> str:
    """The figures as Markdown."""
    rows = [_line(HEAD), _line("---" for _ in HEAD)]
    rows += [
        _line(
            (
                figure.work,
                with_unit(figure.value, figure.unit),
                figure.spread,
                str(figure.n),
                figure.against,
                with_unit(figure.other, figure.unit),
                "" if figure.ratio is None else f"{figure.ratio:g}",
                figure.bar,
                MET[figure.is_met],
            )
        )
        for figure in figures
    ]
    return "\n".join(rows) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def in_readme(text: str, results: Results, *, picture: str) -> str:
    """The README's text with the table and the picture of these results between its two marks; folded what has no bar.

    Raises ValueError where the marks are not.
    """
    if not MARKS.search(text):
        raise ValueError("README.md has no lines <!-- bench --> and <!-- /bench -->, between which the table stands.")
    barred = [figure for figure in figures_of(results) if figure.bar]
    others = [figure for figure in figures_of(results) if not figure.bar]
    parts = [f"![How much of each bar is used]({picture})", where_and_when(results), table(barred).rstrip()]
    if others:
        parts.append(f"<details><summary>What has no bar: {len(others)} more</summary>\n\n{table(others)}\n</details>")
    between = "\n" + "\n\n".join(parts) + "\n\n"
    return MARKS.sub(lambda found: found[1] + between + found[2], text)


def in_scale(text: str, results: Results) -> str:
    """The text of docs/scale.md with what the section `thousand` measured between its two marks.

    Raises ValueError where the marks are not.
    """
    if not PACE.search(text):
        raise ValueError("docs/scale.md has no <!-- pace --> and <!-- /pace -->, between which figures stand.")
    return PACE.sub(lambda found: found[1] + pace(results["sections"]["thousand"]) + found[2], text)


def pace(section: dict[str, Any]) -> str:
    """How many tests are done in a second, by so many worker processes and by hand."""
    by_work = {figure.work: figure for figure in _figures_in(section)}
    said = [
        f"{work.rpartition(', ')[2]} {_per_second(throughput.value)}, by hand {_per_second(throughput.value * ratio)}"
        for work, throughput, ratio in (
            (work, by_work[f"{work}: throughput"], figure.ratio) for work, figure in by_work.items() if figure.ratio
        )
    ]
    return f"on {section['machine']['cores']} cores {'; '.join(said)} tests per second"


def _per_second(value: float) -> str:
    return f"{value:.1f}"


def where_and_when(results: Results) -> str:
    """One line for each machine and day, if they are not all the same."""
    measured: dict[str, list[str]] = {}
    for name, section in results["sections"].items():
        on = section["machine"]
        place = f"{on['cores']} cores, {on['memory_gb']} GB, {on['cpu']}, {on['system']} {on['kernel']}"
        measured.setdefault(f"{section['date']} on {place}", []).append(name)
    lines = [f"Measured {when}{_which(names, len(measured))}." for when, names in measured.items()]
    return " ".join([*lines, BELOW])


def _which(names: list[str], groups: int) -> str:
    return f" ({', '.join(names)})" if groups > 1 else ""
