"""Refuses to start on a database whose secrets the present keys do not open."""

from typing import Any

from django.core.checks import CheckMessage, Critical, register
from django.db import DatabaseError, connection

from dokreg.encryption import SecretUnreadable, secret_fields
from dokreg.models import KeyCanary

CANARY_TEXT = "dokreg"


class WrongKeys(Exception):
    """None of the keys in DOKREG_FERNET_KEYS belongs to this database."""

    def __init__(self) -> None:
        super().__init__(
            "None of the keys in DOKREG_FERNET_KEYS (or data/keys/fernet_keys) opens the secrets in this database. "
            "Nothing was changed. Start dokreg with the keys that it was run with before."
        )


def verify_keys() -> None:
    """Open the canary row; raise WrongKeys if that fails."""
    canary = KeyCanary.objects.first()
    try:
        if canary is None:
            _open_any_secret()
        elif canary.value.reveal() != CANARY_TEXT:
            raise WrongKeys
    except SecretUnreadable as error:
        raise WrongKeys from error


def _open_any_secret() -> None:
    """For a database without the canary row: one secret of each column, if there are any."""
    tables = connection.introspection.table_names()
    for field in secret_fields():
        if field.model._meta.db_table not in tables:
            continue
        row = field.model._base_manager.filter(**{f"{field.name}__isnull": False}).first()
        if row is not None:
            getattr(row, field.attname).reveal()


def plant_canary(**_: Any) -> None:
    """Make the canary row of a new database; an existing one is left as it is. Raises WrongKeys."""
    if not KeyCanary.objects.exists():
        verify_keys()
        KeyCanary.objects.create(value=CANARY_TEXT)


@register()
def keys_open_the_database(**_: Any) -> list[CheckMessage]:
    """E-level system check, so that every management command refuses as well."""
    try:
        verify_keys()
    except WrongKeys as error:
        return [Critical(str(error), id="dokreg.E001")]
    except DatabaseError:
        return []  # no tables yet, or no database: migrate and healthz say so in their own words
    return []
