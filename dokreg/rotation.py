"""Re-encrypts every stored secret with the first key, while dokreg runs, in batches that may be broken off.

Each value is replaced only if it still is what was read (compare and swap), so an edit at the same moment wins. What it
writes is encrypted with the first key, unless it puts back what it has read before: so all is counted once more
(`not_by_the_first_key`) before a key is called needless. The canary row comes last: as long as it needs an old key,
that key must stay.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import connection

from dokreg.encryption import SecretField, secret_fields
from dokreg.models import KeyCanary

BATCH = 500
NO_KEY = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A stored ciphertext and the number of the key that opens it: 1 is the first, 0 none."""

    pk: str
    token: bytes
    key: int


@dataclass(frozen=True, slots=True)
class Progress:
    """After a batch of a column: how many rows it has, were looked at, re-encrypted, and cannot be opened."""

    column: str
    total: int
    seen: int
    rotated: int
    unreadable: int


def rotate(*, report: Callable[[Progress], None]) -> int:
    """Re-encrypt all secrets; `report` is called after every batch. Answers how many values no key opens."""
    unreadable = 0
    for field in _canary_last():
        seen = rotated = lost = 0
        total = _rows(field).count()
        for batch in _batches(field):
            for row in batch:
                lost += row.key == NO_KEY
                rotated += row.key > 1 and _swap(field, row)
            seen += len(batch)
            report(Progress(label(field), total, seen, rotated, lost))
        unreadable += lost
    return unreadable


def count_by_key() -> dict[str, Counter[int]]:
    """For each column how many values each key opens, by the key's number; 0 counts what none opens."""
    return {label(field): Counter(row.key for batch in _batches(field) for row in batch) for field in secret_fields()}


def not_by_the_first_key() -> int:
    """How many values need another key, or are opened by none."""
    return sum(number for counts in count_by_key().values() for key, number in counts.items() if key != 1)


def label(field: SecretField) -> str:
    """`app.Model.field`."""
    return f"{field.model._meta.label}.{field.name}"


def _canary_last() -> list[SecretField]:
    return sorted(secret_fields(), key=lambda field: field.model is KeyCanary)


def _rows(field: SecretField):  # type: ignore[no-untyped-def]  # a QuerySet of the field's own model
    return field.model._base_manager.filter(**{f"{field.name}__isnull": False}).order_by("pk")


def _batches(field: SecretField) -> Iterator[list[Row]]:
    ciphers = [Fernet(key) for key in field.fernet_keys]
    last = None
    while True:
        rows = _rows(field) if last is None else _rows(field).filter(pk__gt=last)
        batch = [
            Row(pk, secret.token, _key_of(ciphers, secret.token))
            for pk, secret in rows.values_list("pk", field.name)[:BATCH]
        ]
        if not batch:
            return
        yield batch
        last = batch[-1].pk


def _key_of(ciphers: list[Fernet], token: bytes) -> int:
    for number, cipher in enumerate(ciphers, start=1):
        try:
            cipher.decrypt(token)
        except InvalidToken:
            continue
        return number
    return NO_KEY


def _swap(field: SecretField, row: Row) -> bool:
    """In SQL of its own: the ORM's update takes no ciphertext, and must not."""
    quote = connection.ops.quote_name
    column, pk = quote(field.column), quote(field.model._meta.pk.column)
    binary = connection.Database.Binary  # type: ignore[attr-defined]
    statement = f"UPDATE {quote(field.model._meta.db_table)} SET {column} = %s WHERE {pk} = %s AND {column} = %s"  # noqa: S608 - names from the models
    first = Fernet(field.fernet_keys[0])
    fresh = first.encrypt(field.fernet.decrypt(row.token))
    with connection.cursor() as cursor:
        cursor.execute(statement, [binary(fresh), row.pk, binary(row.token)])
        return bool(cursor.rowcount == 1)


def number_of_keys() -> int:
    """How many keys are given."""
    return len(settings.FERNET_KEYS)
