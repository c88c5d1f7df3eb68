"""A worker that is told to end takes nothing new, and ends once what it has in hand is done; or when its time is up."""

import logging
import os
import threading
import time
from typing import Any

from celery.signals import worker_shutting_down

log = logging.getLogger(__name__)


@worker_shutting_down.connect
def drain(**_: Any) -> None:
    threading.Thread(target=_leave_when_time_is_up, daemon=True, name="drain").start()


def _leave_when_time_is_up() -> None:
    from django.conf import settings
    from django.db import DatabaseError

    from servers import runs

    time.sleep(settings.DOKREG_DRAIN_SECONDS)
    try:
        log.warning("The time to finish is up; what this worker still had in hand ends as lost: %s.", runs.let_go())
    except DatabaseError as error:
        log.warning("What this worker had in hand could not be let go (%s).", type(error).__name__)
    os._exit(os.EX_TEMPFAIL)  # nothing else ends threads that wait for a network
