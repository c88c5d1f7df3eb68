"""How much of each bar is used, as a picture that is the same for the same figures, byte for byte."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from tests.bench.figures import Figure
from tests.bench.report import with_unit

mpl.use("svg")  # no window is needed
from matplotlib import pyplot as plt

# Blue and vermilion differ for everybody; what is missed is hatched as well.
MET, MISSED, INK, PAPER, GRID = "#0072b2", "#d55e00", "#1b1b1b", "#ffffff", "#d0d0d0"
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "dokreg",
    "svg.fonttype": "none",  # text stays text, in whatever font the reader has
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.color": PAPER,
}
BEHIND_WORDS = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}
ROW_INCHES, WIDTH_INCHES = 0.34, 10.5
LONGEST_LABEL = 78
LEAST_LIMIT = 1.3


def draw(figures: Sequence[Figure], path: Path) -> None:
    """Write the picture of what has a bar."""
    barred = [(figure, figure.use) for figure in figures]
    rows = [(figure, use) for figure, use in barred if use is not None][::-1]
    with mpl.rc_context(STYLE):
        canvas, axes = plt.subplots(figsize=(WIDTH_INCHES, 1.2 + ROW_INCHES * len(rows)), layout="constrained")
        canvas.set_facecolor(PAPER)
        axes.set_facecolor(PAPER)
        for place, (figure, use) in enumerate(rows):
            color, hatch = (MET, "") if figure.is_met else (MISSED, "///")
            axes.barh(place, use, height=0.62, color=color, hatch=hatch)
            axes.text(use + 0.015, place, _said(figure), va="center", fontsize=8, bbox=BEHIND_WORDS)
        axes.axvline(1, color=INK, linewidth=1.2)
        axes.set_yticks(range(len(rows)), [_short(figure.work) for figure, _ in rows])
        axes.set_xlim(0, max([LEAST_LIMIT, *(use * 1.25 for _, use in rows)]))
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.xaxis.set_major_formatter(lambda value, _place: f"{value:.0%}")
        axes.set_xlabel("how much of its bar each uses; hatched: more than all of it")
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        canvas.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(canvas)
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def _short(work: str) -> str:
    return work if len(work) <= LONGEST_LABEL else work[: LONGEST_LABEL - 1].rstrip() + "…"


def _said(figure: Figure) -> str:
    measured = with_unit(figure.value, figure.unit) if figure.ratio is None else f"× {figure.ratio:g}"
    return f"{measured} ({figure.bar})"
