"""Log lines as text or JSON, each with the id of the request or the task that it was written for."""

import contextlib
import logging
import re
from collections.abc import Iterator
from contextvars import ContextVar

from dokreg.ids import new_id

TEXT, JSON = "text", "json"
LINE = "{asctime} {levelname} {name}: {message}{request_note}"
# What a request may be called by a proxy: such ids are made of these, and nothing else gets into a log.
REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{7,63}", re.ASCII)
_current: ContextVar[str] = ContextVar("dokreg_request_id", default="")


def request_id() -> str:
    """The id of the request, or of the task, that this thread works on; empty between two."""
    return _current.get()


@contextlib.contextmanager
def working_on(name: str) -> Iterator[str]:
    """Let everything that is logged in the block carry this id; a new one, if it is none."""
    name = name if is_request_id(name) else new_id()
    token = _current.set(name)
    try:
        yield name
    finally:
        _current.reset(token)


def is_request_id(text: object) -> bool:
    """Whether it may stand in a log, a header and on a page as it is: 8 to 64 letters, digits and `._:-`."""
    return isinstance(text, str) and REQUEST_ID.fullmatch(text) is not None


class AddRequestId(logging.Filter):
    """Puts `request_id` on every record, and `request_note`, which is how it stands in a line of text."""

    def filter(self, record: logging.LogRecord) -> bool:
        name = request_id()
        vars(record).update(request_id=name, request_note=f" [{name}]" if name else "")
        return True
