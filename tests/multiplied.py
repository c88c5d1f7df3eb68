"""Makes large tables of small ones in PostgreSQL, which copies rows ten times as fast as Python makes them."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, models, transaction

from applications.models import Deployment
from dokreg.ids import ID_LENGTH
from organisations.models import AuditEntry
from organisations.notification_models import Delivery, Notice
from registries.models import Login, Registry, RegistryTest, Standing, TokenRefresh

GROW: Sequence[type[models.Model]] = (
    Registry, RegistryTest, Standing, TokenRefresh, Login, Deployment, Notice, Delivery, AuditEntry,
)  # fmt: skip
MARKS = {"credentials_mark", "login_mark", "mark", "object_pk"}
TIMES = {"created_at", "sent_at", "started_at", "finished_at", "tested_at", "timestamp"}
APART = "3 minutes"


def multiply(times: int) -> None:
    """Copy every row of those tables until there are so many of each: with other ids, names and marks, and older.

    The copies of a registry have the copies of its tests, and so on. Nobody can open the secrets of copies.
    """
    with transaction.atomic(), connection.cursor() as cursor:  # the last tests refer to each other's rows
        for model in GROW:
            cursor.execute(_copying(model), [times - 1])


def _copying(model: type[models.Model]) -> str:
    fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
    columns = ", ".join(f'"{field.column}"' for field in fields)
    table, copied = f'"{model._meta.db_table}"', ", ".join(map(_copied, fields))
    return f"INSERT INTO {table} ({columns}) SELECT {copied} FROM {table}, generate_series(1, %s) AS copy"


def _copied(field: "models.Field[Any, Any]") -> str:
    """What stands in the column of a copy."""
    column = f'"{field.column}"'
    if field.primary_key or field.related_model in GROW or field.name in MARKS:
        return f"left(md5({column} || '-' || copy), {ID_LENGTH})"
    if field.name == "name":
        return f"{column} || ' ' || copy"
    if field.name in TIMES:
        return f"{column} - copy * interval '{APART}'"
    return column
