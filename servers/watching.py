"""Waiting for news of a run, so that a page shows them at once without asking many times a second."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone

from dokreg.database import give_back
from servers.models import Run

AnyRun = TypeVar("AnyRun", bound=Run)
# Of those who wait until a run is over, in one process: the web server has more threads than that (dokreg.up).
MOST_WAITING = 40
MOST_OF_ONE = 24  # of one organisation, so that the others find a place as well
# Seconds from one look to the next: a twentieth of how long it has gone on, since most tests are over in a moment.
_OFTEN, _SELDOM, _OF_ITS_AGE = 0.02, 0.25, 0.05
_places: Counter[str] = Counter()
_places_lock = threading.Lock()
NEWS = ("state", "rungs", "verdict", "revision", "started_at", "finished_at")


def wait_for_change(run: AnyRun, seen: int, seconds: float, *, also: Sequence[str] = ()) -> AnyRun:
    """The run once its revision is not the one that the page has seen, or as it stands when the time is up.

    `also` are columns of this kind of run to read anew with the others. Looks at the revision alone until it moves,
    and opens no transaction: the worker must be able to write.
    """
    moved = type(run)._default_manager.filter(pk=run.pk).exclude(revision=seen)
    age = (timezone.now() - (run.started_at or run.created_at)).total_seconds()
    wait_until(lambda: not run.is_running or moved.exists(), seconds=seconds, age=age)
    with contextlib.suppress(ObjectDoesNotExist):  # deleted meanwhile: the next request finds out
        run.refresh_from_db(fields=(*NEWS, *also))
    return run


class TooManyWait(Exception):
    """As many requests as this process can spare wait for the end of something already."""


@contextlib.contextmanager
def place(organisation_id: str) -> Iterator[None]:
    """A place among those who wait, for the block: to be taken before what is then waited for is begun.

    Raises TooManyWait, at once, rather than take the last threads from everybody else.
    """
    with _places_lock:
        if _places.total() >= MOST_WAITING or _places[organisation_id] >= MOST_OF_ONE:
            raise TooManyWait
        _places[organisation_id] += 1
    try:
        yield
    finally:
        with _places_lock:
            _places[organisation_id] -= 1
            if not _places[organisation_id]:
                del _places[organisation_id]


def wait_until_over(run: AnyRun, *, seconds: float) -> bool:
    """Wait for the end of a run, whose row is then read anew; False if it is not over by then.

    Opens no transaction. Whoever waits has a `place`.
    """
    unfinished = type(run)._default_manager.filter(pk=run.pk, state__in=(Run.State.QUEUED, Run.State.RUNNING))
    is_over = wait_until(lambda: not unfinished.exists(), seconds=seconds)
    with contextlib.suppress(ObjectDoesNotExist):
        run.refresh_from_db(fields=NEWS)
    return is_over


def wait_until(holds: Callable[[], bool], *, seconds: float, age: float = 0.0) -> bool:
    """Wait until something holds that a look at the database tells; False if it does not in time.

    `age` is for how long it has gone on already, in seconds.
    """
    since = time.monotonic()
    while not holds():
        waited = time.monotonic() - since
        if waited >= seconds:
            return False
        _pause(min(_SELDOM, max(_OFTEN, _OF_ITS_AGE * (age + waited))))
    return True


def _pause(seconds: float) -> None:
    give_back()  # others look at the database meanwhile
    time.sleep(seconds)
