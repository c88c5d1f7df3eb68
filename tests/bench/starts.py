"""`manage.py up`, from the command to the first page: on an empty data folder and later on, and what it holds at rest.

That is the second half of `make run`; the first one installs packages, once, as fast as the network gives them.
"""

import functools
from pathlib import Path

from tests.bench.figures import Figure, Held, alone, at_rest, memory, timed
from tests.owner import Owner
from tests.running import Running
from tests.visitor import Visitor

STARTS = 5


def figures(folder: Path) -> list[Figure]:
    """To a tenth of a second: so often it is looked whether it is ready."""
    first, later = [], []
    held: list[Held] = []
    for number in range(STARTS):
        dokreg = Running(folder / f"data-{number}", is_fresh=True)
        try:
            first.append(timed(functools.partial(_first_page, dokreg)))
            dokreg.wait_until_healthy()
            Owner(dokreg)
            held.append(at_rest(dokreg.processes))
            dokreg.stop()
            later.append(timed(functools.partial(_first_page, dokreg)))
            dokreg.stop()
        finally:
            dokreg.process.kill()
    return [
        alone("manage.py up on an empty data folder, to the first page", first),
        alone("manage.py up later on, to the first page", later),
        memory("memory of all processes at rest after the start", held, "≤ 250"),
    ]


def _first_page(dokreg: Running) -> None:
    dokreg.lines.clear()
    dokreg.start()
    assert Visitor(dokreg.url).get("/").status == 200
