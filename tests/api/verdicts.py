"""In place of the workers: whoever waits for the end of a run finds it over, with the verdict that is wished."""

from collections.abc import Callable
from typing import Any

import pytest

from applications import deploying
from applications.models import Application, Deployment
from registries import rotations
from registries.models import RegistryTest, Rotation
from servers import docker, runs, testing, verdicts, watching
from servers.models import Run, Server, ServerTest
from tests.servers.rows import HOST_KEY

UNFINISHED = (Run.State.QUEUED, Run.State.RUNNING)


class Verdicts:
    """Everything passes while `passes`; else everything fails at its last rung."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passes = True
        monkeypatch.setattr(docker, "own_host_has_docker", lambda: True)
        monkeypatch.setattr(watching, "wait_until_over", self.wait_until_over)
        monkeypatch.setattr(watching, "wait_until", self.wait_until)

    def wait_until_over(self, run: Run, *, seconds: float) -> bool:
        self._end(run)
        run.refresh_from_db(fields=watching.NEWS)
        return True

    def wait_until(self, holds: Callable[[], bool], *, seconds: float) -> bool:
        for rotation in Rotation.objects.filter(state=Rotation.State.STAGED):
            rotations.prepare(rotation.pk)
        for test in RegistryTest.objects.filter(state__in=UNFINISHED, rotation__isnull=False):
            self._end(test)
        for removal in Deployment.objects.filter(state__in=deploying.UNFINISHED, action=Deployment.Action.DELETE):
            self._end(removal)
        return holds()

    def _end(self, asked: Run) -> None:
        """As a worker ends it, without going anywhere."""
        run = runs.claim(type(asked), asked.pk)
        assert run is not None
        run.rungs = [rung | {"state": "passed"} for rung in run.rungs]
        verdict = None if self.passes else verdicts.internal_error()
        if verdict is not None:
            run.rungs[-1] |= {"state": "failed", "cause": verdict.cause, "fix": verdict.fix, "words": "no such host"}
        wiped: dict[str, Any] = {"draft_password": None} if isinstance(run, RegistryTest) else {}
        runs.finish(run, verdict, failed=not self.passes, **wiped)
        self._go_on_after(run)

    def _go_on_after(self, run: Run) -> None:
        if isinstance(run, RegistryTest):
            rotations.after(run)
        elif isinstance(run, ServerTest):
            server = Server.objects.get(pk=run.server_id)
            testing.note_host_key(server=server, seen="" if server.host_key else HOST_KEY)
        elif isinstance(run, Deployment) and self.passes:
            Application.objects.filter(pk=run.application_id).delete()
