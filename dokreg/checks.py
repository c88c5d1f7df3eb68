"""Refuses to start on a database whose secrets the present keys do not open."""

from typing import Any

from django.core.checks import CheckMessage, Critical, register
from django.db import DatabaseError

from dokreg.encryption import SecretUnreadable
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
    """Open the canary row; raise WrongKeys if that fails. A database without one is new, and gets none here."""
    canary = KeyCanary.objects.first()
    if canary is None:
        return
    try:
        canary.value.reveal()
    except SecretUnreadable as error:
        raise WrongKeys from error


def plant_canary() -> None:
    """Make the canary row of a new database; an existing one is left as it is."""
    if not KeyCanary.objects.exists():
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
