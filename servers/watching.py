"""Waiting for news of a run, so that a page shows them at once without asking many times a second."""

import contextlib
import time
from collections.abc import Sequence
from typing import TypeVar

from django.core.exceptions import ObjectDoesNotExist

from servers.models import Run

AnyRun = TypeVar("AnyRun", bound=Run)
LOOK_EVERY_SECONDS = 0.05
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
