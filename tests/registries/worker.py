"""A worker in the process of the test: what is handed to the broker is run here, until nothing is left to do."""

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from organisations.tasks import deliver_notification
from registries import tasks
from servers.tasks import run_server_test

TASKS: tuple[Any, ...] = (
    tasks.prepare_rotation,
    tasks.refresh_token,
    tasks.run_catalog_look,
    tasks.run_config_check,
    tasks.run_registry_test,
    tasks.sync_logins,
    tasks.tidy_after,
)
UNHEARD: tuple[Any, ...] = (deliver_notification, run_server_test)  # what they do is tested elsewhere
MOST = 500  # a test that hands over more runs in circles


class Worker:
    """Call it with a function to do that as a request does, commit, and then do what it left to the workers.

    Without one it does what beat hands over. `done` are the names of the tasks that have run, in their order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, committing: Any) -> None:
        self.done: list[str] = []
        self._committing = committing
        self._queue: deque[tuple[Any, tuple[str, ...]]] = deque()
        for task in TASKS:
            monkeypatch.setattr(task, "delay", lambda *ids, task=task: self._queue.append((task, ids)))
        for task in UNHEARD:
            monkeypatch.setattr(task, "delay", lambda *_ids: None)

    def __call__(self, function: Callable[..., Any] | None = None, *args: Any, **kwargs: Any) -> Any:
        result = self.commit(function or self._beat, *args, **kwargs)
        self.work()
        return result

    def commit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do it as a request does, and leave what follows to others."""
        with self._committing(execute=True):
            return function(*args, **kwargs)

    def work(self) -> None:
        """Run what was handed over, and what that hands over in its turn."""
        while self._queue:
            task, ids = self._queue.popleft()
            self.done.append(task.__name__)
            assert len(self.done) < MOST, self.done[-20:]
            self.commit(task, *ids)

    def lose_all(self) -> None:
        """The broker has forgotten what it had."""
        self._queue.clear()

    def _beat(self) -> None:
        for task in (
            tasks.dispatch_refreshes,
            tasks.sweep_registry_tests,
            tasks.sweep_token_refreshes,
            tasks.sweep_logins,
            tasks.sweep_rotations,
            tasks.sweep_config_checks,
            tasks.sweep_catalog_looks,
        ):
            task()
