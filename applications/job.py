"""A deployment that a worker has in hand, and what everything that is done for it works with."""

import time
from dataclasses import dataclass

from applications import verdicts
from applications.journal import Journal
from applications.models import Application, Deployment
from servers.docker import Host
from servers.ladder import Ladder
from servers.models import Server
from servers.stages import Stage
from servers.testing import climb_to_daemon
from servers.verdicts import Verdict

STALLED_SECONDS = 180


class Failed(Exception):
    """It cannot go on; `verdict` says why, at the rung that is being climbed."""

    def __init__(self, verdict: Verdict, *, words: str = "") -> None:
        super().__init__(verdict.cause)
        self.verdict, self.words = verdict, words


@dataclass(slots=True)
class Job:
    """A deployment that this worker has in hand, and what it works with."""

    deployment: Deployment
    application: Application
    server: Server
    host: Host
    ladder: Ladder
    journal: Journal
    end: float  # of time.monotonic()
    is_cancelled: bool = False
    reservation: Verdict | None = None
    moves_by: float = float("inf")  # when what is being pulled must have moved

    @property
    def seconds_left(self) -> float:
        return max(1.0, self.end - time.monotonic())

    def beat(self) -> None:
        """About once a second. Raises CancelAsked, TakenAway, and Failed for a pull that stands still."""
        self.journal.beat()
        if time.monotonic() >= self.moves_by:
            reference = self.deployment.reference
            raise Failed(verdicts.pull_stalled(seconds=STALLED_SECONDS, reference=reference))

    def hide(self, *secrets: str) -> None:
        """Take secrets out of everything that is said from now on."""
        for secret in secrets:
            self.ladder.hide(secret)
            self.journal.hide(secret)

    def climb(self, stage: Stage) -> None:
        """The rungs up to the daemon."""
        if not self.ladder.has_failed:
            climb_to_daemon(self.ladder, stage, server=self.server.name, user=self.server.user)
