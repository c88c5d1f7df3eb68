"""Opens the environments that Dokploy keeps encrypted.

Since 0.30 Dokploy stores `enc:v1:` and, in base64, a nonce of 12 bytes, a tag of 16 and the AES-256-GCM ciphertext. The
key is HMAC-SHA256 of the words below, keyed with its ENCRYPTION_KEY, or with its BETTER_AUTH_SECRET where there is
none, which also opens what was stored before. Its backups may carry the derived keys themselves, in hexadecimal digits.
What was stored by earlier versions is in clear.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "enc:v1:"
_WORDS = b"dokploy:db-encryption:v1"
_NONCE, _TAG = 12, 16
_DERIVED = re.compile(r"[0-9a-fA-F]{64}")
# What every Dokploy uses that was never given a secret of its own; it is public.
_USUAL = "better-auth-secret-123456789"


class CannotOpen(Exception):
    """None of the keys opens the value."""


class Opener:
    """Opens values with the first of several keys that fits; `secrets` as Dokploy has them, or derived already."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._keys = [key for secret in (*secrets, _USUAL) for key in _keys_of(secret)]

    def open(self, value: str) -> str:
        """The value in clear; what is not encrypted is that already. Raises CannotOpen."""
        if not value.startswith(PREFIX):
            return value
        try:
            sealed = base64.b64decode(value.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise CannotOpen from None
        nonce, tag, ciphertext = sealed[:_NONCE], sealed[_NONCE : _NONCE + _TAG], sealed[_NONCE + _TAG :]
        for key in self._keys:
            try:
                return AESGCM(key).decrypt(nonce, ciphertext + tag, None).decode()
            except (InvalidTag, ValueError):
                continue
        raise CannotOpen


def _keys_of(secret: str) -> list[bytes]:
    derived = [bytes.fromhex(secret)] if _DERIVED.fullmatch(secret) else []
    return [*derived, hmac.digest(secret.encode(), _WORDS, "sha256")]
