"""Identifiers of rows: made in Python, so that a secret can be bound to its row before the row is saved."""

import secrets
import string

ID_LENGTH = 21
_ALPHABET = string.ascii_letters + string.digits


def new_id() -> str:
    """21 letters and digits, 125 random bits: safe in an address, and never mistaken for an option."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(ID_LENGTH))


def new_link_token() -> str:
    """The secret part of a one-time link, 256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)
