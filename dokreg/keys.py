"""The installation's own keys: where they come from, and what a key must be.

Two kinds, never derived from each other: the secret key signs sessions and links, the Fernet keys encrypt what
is stored. Given by the environment, or kept as files (0600) in the data folder, where they are made once.
"""

import base64
import binascii
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

KEY_BYTES = 32
SECRET_KEY_FILE = "secret_key"  # noqa: S105 - a file's name
FERNET_KEYS_FILE = "fernet_keys"


class BadKeys(ValueError):
    """The keys as given cannot be used; the text says which and why, never the key itself."""


def new_key() -> str:
    """32 random bytes as base64url, 43 characters without padding."""
    return secrets.token_urlsafe(KEY_BYTES)


def check_fernet_keys(keys: Sequence[str], *, secret_key: str) -> None:
    """Raise BadKeys unless every key holds 32 random bytes, differs from the others and from the secret key.

    django-fernet-fields stretches whatever it gets, a short word or an empty string as well, without a word
    of warning; so the check stands here.
    """
    if not keys:
        raise BadKeys("DOKREG_FERNET_KEYS is empty. Make a key with: python -m dokreg.keys")
    for number, key in enumerate(keys, start=1):
        if _decoded_length(key) < KEY_BYTES:
            raise BadKeys(
                f"Key {number} of DOKREG_FERNET_KEYS is not {KEY_BYTES} random bytes in base64url "
                "(43 characters). Make one with: python -m dokreg.keys"
            )
    if len(set(keys)) != len(keys):
        raise BadKeys("DOKREG_FERNET_KEYS names the same key twice.")
    if secret_key in keys:
        raise BadKeys("DOKREG_FERNET_KEYS must not contain DOKREG_SECRET_KEY: they change at different times.")


def _decoded_length(key: str) -> int:
    try:
        return len(base64.b64decode(key + "=" * (-len(key) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return 0


def load_or_create(folder: Path, name: str) -> str:
    """The content of the key file, made with a fresh key if there is none yet.

    Two processes that start at once end with the same key: the file is linked into place, and the first wins.
    """
    path = folder / name
    if not path.exists():
        _create(path)
    return path.read_text().strip()


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(new_key() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process made it a moment ago; that one counts
    finally:
        draft.unlink()


if __name__ == "__main__":
    print(new_key())  # noqa: T201 - the command's answer
