"""The secrets of an export: encrypted with a passphrase, each bound to its place and to all the rest of the file.

A key is made of the passphrase with scrypt (RFC 7914), and seals each secret with AES-256-GCM. What stands in clear
beside them is authenticated with each: else somebody who can write to the file could send a password to another host.
"""

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

CIPHER = "AES-256-GCM"
SHORTEST_PASSPHRASE = 12
_KEY_BYTES, _SALT_BYTES, _NONCE_BYTES = 32, 16, 12
_CHECK = "The passphrase is right."
_PLACE_OF_CHECK = "check"
# 128 MiB and some tenths of a second for each guess; and the most of it that a file may ask for.
_N, _R, _P = 2**17, 8, 1
_MOST_N, _MOST_R, _MOST_P = 2**18, 8, 4

WRONG = "The passphrase is wrong."
CHANGED = "The file is not as it was exported: somebody has changed it, or it is damaged. Nothing of it can be trusted."
DAMAGED = "What the file says of its encryption cannot be used."


class CannotOpen(Exception):
    """The secrets of a file stay closed; `str()` is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """How the key is made of the passphrase; it stands in the file."""

    n: int
    r: int
    p: int
    salt: str
    name: str = "scrypt"

    @classmethod
    def new(cls) -> Self:
        return cls(n=_N, r=_R, p=_P, salt=_encoded(secrets.token_bytes(_SALT_BYTES)))

    @classmethod
    def read(cls, value: object) -> Self:
        """Raises CannotOpen for what is no derivation, or one that would take all of the machine."""
        if not isinstance(value, dict) or value.get("name") != "scrypt" or not isinstance(value.get("salt"), str):
            raise CannotOpen(DAMAGED)
        n, r, p = (_number(value.get(name), most) for name, most in (("n", _MOST_N), ("r", _MOST_R), ("p", _MOST_P)))
        if n < 2 or n & (n - 1):
            raise CannotOpen(DAMAGED)  # scrypt wants a power of two
        return cls(n=n, r=r, p=p, salt=value["salt"])

    def cipher(self, passphrase: str) -> AESGCM:
        kdf = Scrypt(salt=_decoded(self.salt), length=_KEY_BYTES, n=self.n, r=self.r, p=self.p)
        return AESGCM(kdf.derive(passphrase.encode()))


def seal(body: Mapping[str, Any], found: Mapping[str, str], *, passphrase: str) -> dict[str, Any]:
    """The section of a file with its secrets: place → secret, sealed together with the rest of it, `body`."""
    derivation = Derivation.new()
    cipher, digest = derivation.cipher(passphrase), _digest(body)
    return {
        "cipher": CIPHER,
        "key": asdict(derivation),
        "check": _seal(cipher, _CHECK, _PLACE_OF_CHECK.encode()),
        "sealed": {place: _seal(cipher, secret, _bound(digest, place)) for place, secret in found.items()},
    }


def unseal(body: Mapping[str, Any], section: Mapping[str, Any], *, passphrase: str) -> dict[str, str]:
    """Place → secret. Raises CannotOpen: for a wrong passphrase, and for a file that was changed."""
    sealed = section.get("sealed")
    if section.get("cipher") != CIPHER or not isinstance(sealed, dict):
        raise CannotOpen(DAMAGED)
    cipher, digest = Derivation.read(section.get("key")).cipher(passphrase), _digest(body)
    _open(cipher, section.get("check"), _PLACE_OF_CHECK.encode(), otherwise=WRONG)
    return {place: _open(cipher, text, _bound(digest, place), otherwise=CHANGED) for place, text in sealed.items()}


def _number(value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise CannotOpen(DAMAGED)
    return value


def _digest(body: Mapping[str, Any]) -> bytes:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).digest()


def _bound(digest: bytes, place: str) -> bytes:
    return digest + place.encode()


def _seal(cipher: AESGCM, secret: str, bound: bytes) -> str:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _encoded(nonce + cipher.encrypt(nonce, secret.encode(), bound))


def _open(cipher: AESGCM, text: object, bound: bytes, *, otherwise: str) -> str:
    if not isinstance(text, str):
        raise CannotOpen(DAMAGED)
    data = _decoded(text)
    try:
        return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound).decode()
    except (InvalidTag, ValueError):
        raise CannotOpen(otherwise) from None


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CannotOpen(DAMAGED) from None
