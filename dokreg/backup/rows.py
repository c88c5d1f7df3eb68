"""Rows on their way from one database to another, of whichever kinds.

Each value is read and written by its field, and so in the form that either database has for it. What is encrypted
stays as it is, byte for byte: it is bound to its row and column, which stay the same.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

_AT_ONCE = 1000


def models() -> list[type[Model]]:
    """Every model with a table of its own, those between two others too."""
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and not model._meta.swapped
    ]


def copy_all(*, source: str, target: BaseDatabaseWrapper) -> None:
    """Copy every row of the database of this alias into tables that have the same columns, in place of theirs.

    To be called in a transaction of the target: what refers to each other is checked when that ends.
    """
    every = models()
    with target.cursor() as cursor:
        for model in every:
            cursor.execute(f"DELETE FROM {_name(target, model._meta.db_table)}")  # noqa: S608 - names from the models
    for model in every:
        _copy(model, source, target)
    with target.cursor() as cursor:
        for statement in target.ops.sequence_reset_sql(no_style(), every):
            cursor.execute(statement)


def count_all(connection: BaseDatabaseWrapper) -> dict[str, int]:
    """How many rows each table has that there is, by its name; django_migrations is none of them."""
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
        return {
            table: _count(cursor, _name(connection, table))
            for table in sorted(model._meta.db_table for model in models())
            if table in there
        }


def _copy(model: type[Model], source: str, target: BaseDatabaseWrapper) -> None:
    fields = model._meta.local_concrete_fields
    columns = ", ".join(_name(target, str(field.column)) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    statement = f"INSERT INTO {_name(target, model._meta.db_table)} ({columns}) VALUES ({places})"  # noqa: S608 - as above
    rows = model._base_manager.using(source).order_by().values_list(*(field.attname for field in fields))
    with target.cursor() as cursor:
        for batch in _batches(rows.iterator(chunk_size=_AT_ONCE)):
            cursor.executemany(
                statement,
                [
                    [field.get_db_prep_save(value, target) for field, value in zip(fields, row, strict=True)]
                    for row in batch
                ],
            )


def _batches(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    while batch := list(islice(rows, _AT_ONCE)):
        yield batch


def _count(cursor: Any, table: str) -> int:
    cursor.execute(f"SELECT COUNT(*) FROM {table}")  # noqa: S608 - names from the models
    return int(cursor.fetchone()[0])


def _name(connection: BaseDatabaseWrapper, name: str) -> str:
    return connection.ops.quote_name(name)
