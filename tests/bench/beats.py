"""Everything that beat sends, run with nothing due in a dokreg's database: how often, stands on stdin.

The answer is `{name of the task: {"times": [milliseconds, …], "queries": number}}`, as JSON.
"""

import json
import sys
from typing import Any

import django

django.setup()

from dokreg.celery import app  # noqa: E402 - Django must be set up first
from tests.bench.counted import queries  # noqa: E402
from tests.bench.figures import timed  # noqa: E402


def main(rounds: int) -> dict[str, Any]:
    app.loader.import_default_modules()
    names = dict.fromkeys(entry["task"] for entry in app.conf.beat_schedule.values())
    return {name: _run(app.tasks[name], rounds) for name in names}


def _run(task: Any, rounds: int) -> dict[str, Any]:
    number = queries(task.run)
    return {"times": [timed(task.run) for _ in range(rounds)], "queries": number}


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
