"""`make bench`: what dokreg costs, side by side with what it is compared with, in one run on both.

Writes docs/bench.json and docs/bench.svg, from them the table in README.md and the figures in docs/scale.md, and prints
which bars are missed. With the names of sections as arguments only these are measured, and the rest stays as it was
measured last. Everything is real: sshd, Docker engine, registry, PostgreSQL, Redis, dokreg's own processes; only AWS is
a stand-in.
"""

import sys
import tempfile
from pathlib import Path

from tests.bench import (
    api,
    deployments,
    first_page,
    fleet,
    listing,
    load,
    logins,
    picture,
    production,
    refreshes,
    report,
    single,
    starts,
    thousand,
)
from tests.bench.report import PICTURE, README, RESULTS, SCALE
from tests.running import ROOT

SECTIONS = {
    "tests": single.figures,
    "list": listing.figures,
    "load": load.figures,
    "fleet": fleet.figures,
    "refreshes": refreshes.figures,
    "logins": logins.figures,
    "deployments": deployments.figures,
    "api": api.figures,
    "start": starts.figures,
    "first_page": first_page.figures,
    "production": production.figures,
    "thousand": thousand.figures,
}


def main(names: list[str], *, root: Path = ROOT) -> int:
    """Measure these sections, or all; the exit status, which is 0 with bars missed as well."""
    unknown = sorted(set(names) - set(SECTIONS))
    if unknown:
        print(f"There is no section {', '.join(unknown)}. There are: {', '.join(SECTIONS)}.", file=sys.stderr)
        return 2
    for name in names or list(SECTIONS):
        print(f"Measuring {name}…", flush=True)
        with tempfile.TemporaryDirectory(prefix="dokreg-bench-", dir="/var/tmp") as temporary:
            folder = Path(temporary)
            folder.chmod(0o711)  # PostgreSQL runs as somebody else
            figures = SECTIONS[name](folder)
        print(report.table(figures), flush=True)
        # At once: what was measured is not lost if a later section breaks.
        results = report.with_section(report.read(root / RESULTS), name, figures, order=SECTIONS)
        report.write(root / RESULTS, results)
    publish(root)
    return 0


def publish(root: Path) -> None:
    """The picture, the README's table and the figures of docs/scale.md, from what stands in the JSON."""
    results = report.read(root / RESULTS)
    figures = report.figures_of(results)
    picture.draw(figures, root / PICTURE)
    readme = root / README
    readme.write_text(report.in_readme(readme.read_text(), results, picture=PICTURE))
    scale = root / SCALE
    scale.write_text(report.in_scale(scale.read_text(), results))
    print(report.summary(figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
