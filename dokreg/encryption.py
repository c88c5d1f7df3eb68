"""Secrets at rest: an encrypted column whose value is opened only where it is used.

`SecretField` builds on django-fernet-fields' text field for keys and cipher, and closes what that leaves open:
a query expression or `bulk_update` would store other rows' secrets in clear; a value could be moved to another
row or column; forms, serializers and `repr` would show it; one unreadable row would break every list.
"""

import hmac
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Self, overload

from cryptography.fernet import InvalidToken
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.query_utils import DeferredAttribute
from fernet_fields import EncryptedTextField

MAX_SECRET_BYTES = 64 * 1024
MASK = "********"
DUMPED = "enc:"  # before a ciphertext in a dump


class SecretUnreadable(Exception):
    """A stored secret cannot be opened: none of the keys fits, or the value belongs to another row or column."""


class Secret:
    """The value of a `SecretField`: encrypted, shown nowhere, opened by `reveal` alone."""

    __slots__ = ("_bind", "_field", "_token")

    def __init__(self, *, field: "SecretField", token: bytes, bind: str) -> None:
        self._field = field
        self._token = token
        self._bind = bind

    @property
    def token(self) -> bytes:
        """The ciphertext, as it stands in the column."""
        return self._token

    def reveal(self) -> str:
        """The secret in clear. Raises SecretUnreadable; there is never an empty value in its place."""
        try:
            sealed = json.loads(self._field.fernet.decrypt(self._token))
        except (InvalidToken, ValueError) as error:
            raise SecretUnreadable(
                f"{self._bind}: none of the keys in DOKREG_FERNET_KEYS opens this value. "
                "Start dokreg with the key it was stored with."
            ) from error
        if not hmac.compare_digest(sealed["b"].encode(), self._bind.encode()):
            raise SecretUnreadable(f"{self._bind}: the stored value was made for another row or column.")
        return str(sealed["s"])

    def __repr__(self) -> str:
        return f"<Secret {MASK}>"

    def __str__(self) -> str:
        return MASK

    def __format__(self, _spec: str) -> str:
        return MASK

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not pickled.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._token == other._token

    def __hash__(self) -> int:
        return hash(self._token)


def validate_secret(value: str) -> None:
    """Raise ValidationError for what cannot be stored or handed to Docker: surrogates, NUL, over 64 KiB."""
    try:
        encoded = value.encode()
    except UnicodeEncodeError as error:
        raise ValidationError("It contains half a character (a lone surrogate). Paste it again.") from error
    if b"\0" in encoded:
        raise ValidationError("It contains a NUL character. Paste it again.")
    if len(encoded) > MAX_SECRET_BYTES:
        raise ValidationError("It is longer than 64 KiB; no registry takes such a secret.")


class SecretDescriptor(DeferredAttribute):
    """Encrypts what is assigned at once, so that a model instance never holds a secret in clear."""

    field: Any  # the SecretField; so named, it would be read as one of its values

    def __set__(self, instance: models.Model, value: object) -> None:
        instance.__dict__[self.field.attname] = self.field.sealed(instance, value)


class SecretField(EncryptedTextField):  # type: ignore[misc]  # the package has no types
    """An encrypted text column bound to its model, field and row; its value is a `Secret` or None."""

    descriptor_class = SecretDescriptor

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: object) -> Self: ...
        @overload
        def __get__(self, instance: models.Model, owner: object) -> Secret: ...
        def __get__(self, instance: object, owner: object) -> object: ...
        def __set__(self, instance: models.Model, value: Secret | str) -> None: ...

    def bind_of(self, instance: models.Model) -> str:
        """What a value is bound to: `app.model.field:primary key`."""
        return f"{self.model._meta.label_lower}.{self.name}:{instance.pk}"

    def sealed(self, instance: models.Model, value: object) -> object:
        """The value as the instance holds it: text is encrypted, an opened row's ciphertext is bound."""
        if isinstance(value, str):
            validate_secret(value)
            bind = self.bind_of(instance)
            return Secret(
                field=self, token=self.fernet.encrypt(json.dumps({"b": bind, "s": value}).encode()), bind=bind
            )
        if isinstance(value, Secret):
            return Secret(field=self, token=value.token, bind=self.bind_of(instance))
        return value

    def from_db_value(self, value: Any, *_: object) -> Secret | None:
        return None if value is None else Secret(field=self, token=bytes(value), bind="")

    def to_python(self, value: object) -> object:
        """Reads a dump: its ciphertext goes back as it is. Text that a person typed never comes this way."""
        if isinstance(value, str) and value.startswith(DUMPED):
            return Secret(field=self, token=value.removeprefix(DUMPED).encode(), bind="")
        return value

    def get_prep_value(self, value: object) -> object:
        return value

    def get_db_prep_save(self, value: object, connection: BaseDatabaseWrapper) -> object:
        """Only a sealed value reaches the database: text has no row yet to be bound to, expressions leak."""
        if value is None:
            return None
        if not isinstance(value, Secret):
            raise TypeError(f"{self.model._meta.label}.{self.name} is set on an instance and saved, one row at a time.")
        return connection.Database.Binary(value.token)  # type: ignore[attr-defined]

    def value_to_string(self, obj: models.Model) -> str:
        value = self.value_from_object(obj)
        return "" if value is None else DUMPED + value.token.decode()

    def formfield(self, **_: object) -> None:
        """No form shows or takes it by itself; forms have write-only fields of their own."""


class OptionalSecretField(SecretField):
    """The same, where there may be none."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options | {"null": True})

    if TYPE_CHECKING:

        @overload  # type: ignore[override]  # wider on purpose: here there may be none
        def __get__(self, instance: None, owner: object) -> Self: ...
        @overload
        def __get__(self, instance: models.Model, owner: object) -> Secret | None: ...
        def __get__(self, instance: object, owner: object) -> object: ...
        def __set__(self, instance: models.Model, value: Secret | str | None) -> None: ...


def secret_fields() -> Iterator[SecretField]:
    """Every encrypted column of the project, by introspection, in a stable order."""
    for model in sorted(apps.get_models(), key=lambda model: model._meta.label):
        for field in model._meta.local_fields:
            if isinstance(field, SecretField):
                yield field
