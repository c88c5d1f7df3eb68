"""The id of a request follows into the tasks that it hands to the workers, and into theirs."""

import contextlib
import logging
import time
from contextvars import ContextVar
from typing import Any

from celery.signals import before_task_publish, task_postrun, task_prerun

from dokreg.logs import JSON, request_id, working_on

HEADER = "dokreg_request_id"
log = logging.getLogger("dokreg.tasks")
_running: ContextVar[tuple[contextlib.ExitStack, float] | None] = ContextVar("dokreg_running_task", default=None)


@before_task_publish.connect
def _send_along(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None and request_id():
        headers.setdefault(HEADER, request_id())


@task_prerun.connect
def _take_up(task_id: str = "", task: Any = None, **_: Any) -> None:
    """What nobody asked for, such as a sweep, is called by the task's own id."""
    stack = contextlib.ExitStack()
    given = getattr(task.request, HEADER, None)
    stack.enter_context(working_on(given or task_id))
    _running.set((stack, time.monotonic()))


@task_postrun.connect
def _put_down(task_id: str = "", task: Any = None, state: str = "", **_: Any) -> None:
    from django.conf import settings

    if (running := _running.get()) is None:
        return
    stack, began = running
    _running.set(None)
    with stack:
        if settings.DOKREG_LOG_FORMAT == JSON:
            ms = round((time.monotonic() - began) * 1000, 1)
            log.info("task", extra={"task": task.name, "task_id": task_id, "state": state, "ms": ms})
