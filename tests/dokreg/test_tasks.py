"""The tasks that workers of this version understand stand in tasks.txt, since others hand them over.

During an upgrade the versions overlap: what the old web server handed over is done by a new worker, and the other way
round. So a task stays, with its name and arguments, until the version after the one that stopped using it.
"""

import inspect
from pathlib import Path

from dokreg.celery import app

FILE = Path(__file__).with_name("tasks.txt")
OWN = ("dokreg.", "organisations.", "servers.", "registries.", "applications.")


def tasks() -> dict[str, str]:
    """Name → arguments and queue, as the file has them."""
    app.autodiscover_tasks(force=True)
    return {name: line(name) for name in sorted(app.tasks) if name.startswith(OWN)}


def line(name: str) -> str:
    route = app.amqp.router.route({}, name)["queue"].name
    arguments = inspect.signature(app.tasks[name].run).replace(return_annotation=inspect.Signature.empty)
    return f"{name}{arguments} on {route}"


def pinned() -> list[str]:
    return FILE.read_text().splitlines()


def test_a_task_of_the_version_before_is_still_understood() -> None:
    now = tasks()
    gone = [known for known in pinned() if known not in now.values()]
    assert not gone, (
        f"{gone} changed or went away, but the version before still hands it over. Keep a task of that name and those "
        "arguments, which does the same or hands it on to the new one; take it out, and its line in tasks.txt, one "
        "version later. A new argument is optional at first."
    )


def test_every_task_is_pinned() -> None:
    new = [line for line in tasks().values() if line not in pinned()]
    assert not new, f"Add to {FILE.name}, in its order, and keep it from then on: {new}"
    assert pinned() == sorted(pinned())


def test_what_beat_sends_is_a_task() -> None:
    known = tasks()
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= known.keys()
