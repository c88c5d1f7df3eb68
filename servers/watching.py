"""Waiting for news of a run, so that a page shows them at once without asking many times a second."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.core.exceptions import ObjectDoesNotExist

from servers.models import Run

AnyRun = TypeVar("AnyRun", bound=Run)
LOOK_EVERY_SECONDS = 0.05
# Of those who wait until a run is over, in one process: the web server has more threads than that (dokreg.up).
MOST_WAITING = 40
_SOONER, _LATER = (1.0, 0.02), 0.25  # the first second is looked at more often: most tests are over by then
_waiting = threading.BoundedSemaphore(MOST_WAITING)
NEWS = ("state", "rungs", "verdict", "revision", "started_at", "finished_at")


def wait_for_change(run: AnyRun, seen: int, seconds: float, *, also: Sequence[str] = ()) -> AnyRun:
    """The run once its revision is not the one that the page has seen, or as it stands when the time is up.

    `also` are columns of this kind of run to read anew with the others. Looks at the revision alone until it moves,
    and opens no transaction: the worker must be able to write.
    """
    moved = type(run)._default_manager.filter(pk=run.pk).exclude(revision=seen)
    end = time.monotonic() + seconds
    while run.is_running and not moved.exists() and time.monotonic() < end:
        time.sleep(LOOK_EVERY_SECONDS)
    with contextlib.suppress(ObjectDoesNotExist):  # deleted meanwhile: the next request finds out
        run.refresh_from_db(fields=(*NEWS, *also))
    return run


class TooManyWait(Exception):
    """As many requests as this process can spare wait for the end of a run already."""


def wait_until_over(run: AnyRun, *, seconds: float) -> bool:
    """Wait for the end of a run, whose row is then read anew; False if it is not over by then.

    Opens no transaction. Raises TooManyWait, at once, rather than take the last threads from everybody else.
    """
    unfinished = type(run)._default_manager.filter(pk=run.pk, state__in=(Run.State.QUEUED, Run.State.RUNNING))
    is_over = wait_until(lambda: not unfinished.exists(), seconds=seconds)
    with contextlib.suppress(ObjectDoesNotExist):
        run.refresh_from_db(fields=NEWS)
    return is_over


def wait_until(holds: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until something holds that a look at the database tells; False if it does not in time. See above."""
    if not _waiting.acquire(blocking=False):
        raise TooManyWait
    try:
        return _wait(holds, seconds)
    finally:
        _waiting.release()


def _wait(holds: Callable[[], bool], seconds: float) -> bool:
    since = time.monotonic()
    while not holds():
        waited = time.monotonic() - since
        if waited >= seconds:
            return False
        often_until, often = _SOONER
        time.sleep(often if waited < often_until else _LATER)
    return True
