"""Makes large tables of small ones in PostgreSQL, which copies rows ten times as fast as Python makes them."""

from collections.abc import Sequence
from typing import Any

from axes.models import AccessAttempt, AccessLog
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import connection, models, transaction

from applications.models import Application, ContainerLook, Deployment, Project
from applications.webhook_models import WebhookDelivery, WebhookSignature
from dokreg.ids import ID_LENGTH
from organisations.api_key_models import ApiKey
from organisations.models import AuditEntry
from organisations.notification_models import Delivery, Notice
from registries.models import (
    Alarm,
    CatalogLook,
    ConfigCheck,
    Login,
    Quota,
    Registry,
    RegistryTest,
    Rotation,
    Standing,
    TestBatch,
    TokenRefresh,
)
from servers.models import Server, ServerTest

GROW: Sequence[type[models.Model]] = (
    Server, ServerTest, Registry, RegistryTest, TestBatch, Standing, TokenRefresh, Rotation, Alarm, CatalogLook, Quota,
    Login, ConfigCheck, Project, Application, Deployment, ContainerLook, WebhookDelivery, WebhookSignature, Notice,
    Delivery, AuditEntry, ApiKey, Session, LogEntry, AccessLog, AccessAttempt,
)  # fmt: skip
MARKS = {"credentials_mark", "login_mark", "mark", "object_pk", "key_hash"}
NAMES = {"name", "user_agent"}  # by which rows are told apart
TIMES = {
    "created_at", "sent_at", "started_at", "finished_at", "tested_at", "cleared_at", "timestamp", "attempt_time",
    "action_time", "seen_at",
}  # fmt: skip
APART = "1 minute"


def multiply(times: int) -> None:
    """Copy every row of those tables until there are so many of each: with other ids, names and marks, and older.

    The copies of a registry have the copies of its tests, and so on. Nobody can open the secrets of copies.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # What the copies refer to is there in the end; to look for each takes longer than to copy them.
        cursor.execute("SET LOCAL session_replication_role = replica")
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
    if field.name in NAMES:
        return f"{column} || ' ' || copy"
    if field.name in TIMES:
        return f"{column} - copy * interval '{APART}'"
    return column
