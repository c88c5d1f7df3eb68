"""With which API key the present call was made, so that the audit trail can tell keys of one member apart."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_key: ContextVar[str] = ContextVar("calling key", default="")


@contextlib.contextmanager
def call() -> Iterator[None]:
    """A call of the API: what it is made with is forgotten at its end, since threads serve others after it."""
    token = _key.set("")
    try:
        yield
    finally:
        _key.reset(token)


def note_key(start: str) -> None:
    """The call is made with the key of these first letters."""
    _key.set(start)


def key() -> str:
    """The first letters of the key that the present call is made with; "" outside of such a call."""
    return _key.get()
