"""Queries of pages, and times and queries of tasks, in a dokreg's database: what stands on stdin as JSON.

`{"pages": [address, …], "tasks": [name, …], "rounds": number}` is answered with `{"pages": {address: queries},
"tasks": {name: {"times": [milliseconds, …], "queries": number}}}`.
"""

import functools
import json
import sys
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402 - Django must be set up first
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from dokreg.celery import app  # noqa: E402
from organisations.models import User  # noqa: E402
from tests.bench.figures import timed  # noqa: E402


def main(wanted: dict[str, Any]) -> dict[str, Any]:
    settings.ALLOWED_HOSTS.append("testserver")
    app.loader.import_default_modules()
    client = Client()
    client.force_login(User.objects.get(username="alice"))
    tasks = {name: _task(app.tasks[name], wanted["rounds"]) for name in wanted["tasks"]}
    pages = {address: _queries(functools.partial(client.get, address)) for address in wanted["pages"]}
    return {"pages": pages, "tasks": tasks}


def _task(task: Any, rounds: int) -> dict[str, Any]:
    task.run()
    return {"times": [timed(task.run) for _ in range(rounds)], "queries": _queries(task.run)}


def _queries(work: Any) -> int:
    work()
    with CaptureQueriesContext(connection) as asked:
        work()
    return len(asked)


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
