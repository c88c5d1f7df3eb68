"""Makes a dokreg's database what a past version left: `{"app": "the step that it had last"}` as JSON on stdin.

It goes by the steps that are replaced by one migration for each app: backwards, or forwards in an empty database.
"""

import json
import sys

import django

django.setup()

from django.db import connection  # noqa: E402 - Django must be set up first
from django.db.migrations.executor import MigrationExecutor  # noqa: E402
from django.db.migrations.loader import MigrationLoader  # noqa: E402


def go(last: dict[str, str]) -> None:
    executor = MigrationExecutor(connection)
    executor.recorder.ensure_schema()
    executor.loader = _loader_of_steps()
    for replacing in MigrationLoader(connection).replacements:
        executor.recorder.record_unapplied(*replacing)
    executor.migrate(sorted(last.items()))


def _loader_of_steps() -> MigrationLoader:
    """One that knows nothing of what replaces them."""
    loader = MigrationLoader(connection, replace_migrations=False)
    for key, replacing in loader.replacements.items():
        loader.graph.remove_replacement_node(key, replacing.replaces)
        loader.applied_migrations.pop(key, None)
    loader.replacements.clear()
    return loader


if __name__ == "__main__":
    go(json.load(sys.stdin))
