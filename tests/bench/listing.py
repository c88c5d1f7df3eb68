"""The page of registries with 10 and with 10,000 in SQLite, in a process that does nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.bench.figures import THE_SAME, Figure, compared
from tests.running import ROOT

MANY_REGISTRIES = 10_000
ROUNDS = 25


def figures(folder: Path) -> list[Figure]:
    environment = os.environ | {"DOKREG_DATA": str(folder), "DJANGO_SETTINGS_MODULE": "dokreg.settings"}
    answer = subprocess.run(
        [sys.executable, "-m", "tests.bench.list_page", str(MANY_REGISTRIES), str(ROUNDS)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    few, many = json.loads(answer.stdout)
    figure = compared(
        "registries page with 10,000 registries", many["times"], "with 10, just before", few["times"], "≤ 1.5"
    )
    queries = Figure(
        "queries of that page with 10,000", many["queries"], against="with 10", other=few["queries"], bar=THE_SAME,
        unit="",
    )  # fmt: skip
    return [figure, queries]
