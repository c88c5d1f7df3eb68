"""A worker that is told to end: it takes nothing new, ends what it has in hand, and leaves when its time is up."""

import logging
import os
import threading
import time
from typing import Any

from celery.signals import worker_shutting_down
from django.conf import settings
from django.db import DatabaseError

from servers import runs

log = logging.getLogger(__name__)
_ending = threading.Event()


@worker_shutting_down.connect
def drain(**_: Any) -> None:
    """Celery itself waits for what runs, however long that takes."""
    _ending.set()
    threading.Thread(target=_leave_when_time_is_up, daemon=True, name="drain").start()


def is_ending() -> bool:
    """Whether this worker has been told to end: who takes one thing after the other takes no more."""
    return _ending.is_set()


def _leave_when_time_is_up() -> None:
    time.sleep(settings.DOKREG_DRAIN_SECONDS)
    try:
        log.warning("The time to finish is up; what this worker still had in hand ends as lost: %s.", runs.let_go())
    except DatabaseError as error:
        log.warning("What this worker had in hand could not be let go (%s).", type(error).__name__)
    os._exit(os.EX_TEMPFAIL)  # nothing else ends threads that wait for a network
