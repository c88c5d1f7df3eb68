"""What a deployment writes while it runs: its ladder, its log, its progress; and whether it is to go on.

Written at most a few times a second, scrubbed of secrets and bounded. A page shows each change.
"""

import dataclasses
import time
from typing import Any

from django.utils import timezone
from django.utils.text import Truncator

from applications.models import Deployment
from dokreg.database import give_back, patiently
from servers import runs
from servers.ladder import Rung, clean, without_secrets
from servers.verdicts import Verdict

SECONDS_BETWEEN_WRITES = 0.4
SECONDS_BETWEEN_BEATS = 10.0
LOG_LIMIT = 128 * 1024
LINE_LIMIT = 2000
CAUSE_LIMIT = 500
CUT = "… (the log is longer than is kept)\n"


class CancelAsked(Exception):
    """A person wants it to end."""


class TakenAway(Exception):
    """The run is not this worker's any more: the sweep has ended it as lost."""


class Journal:
    """Of one deployment that this worker has in hand."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._secrets: list[str] = []
        self._log = ""
        self._news: dict[str, Any] = {}
        self._written_at = self._beaten_at = time.monotonic()
        self.is_taken_away = False
        self.is_shielded = False  # from being cancelled

    def hide(self, secret: str) -> None:
        """Take a secret out of all lines from now on."""
        self._secrets.append(secret)

    def scrubbed(self, text: str) -> str:
        return clean(text, self._secrets)

    def shown(self, verdict: Verdict) -> Verdict:
        """A verdict that quotes a container or Docker: without secrets, and then no longer than people read."""
        safe = without_secrets(verdict, self._secrets)
        return dataclasses.replace(safe, cause=Truncator(safe.cause).chars(CAUSE_LIMIT))

    def say(self, text: str) -> None:
        """Add a line, or several, to the log."""
        if len(self._log) >= LOG_LIMIT:
            return
        now = timezone.now().strftime("%H:%M:%S")
        for line in self.scrubbed(text).splitlines():
            self._log += f"{now} {line[:LINE_LIMIT]}\n"
        if len(self._log) >= LOG_LIMIT:
            self._log = self._log[:LOG_LIMIT] + CUT
        self._news["log"] = self._log
        self._write_soon()

    def progress(self, facts: dict[str, int]) -> None:
        self._news["progress"] = facts
        self._write_soon()

    def save_rungs(self, rungs: list[Rung]) -> None:
        """For the ladder: a rung that changes is written at once."""
        self._deployment.rungs = rungs
        self._news["rungs"] = rungs
        self.write()

    def note(self, **columns: Any) -> None:
        """Write columns now, before what they are about is done. Raises TakenAway."""
        for name, value in columns.items():
            setattr(self._deployment, name, value)
        self._news |= columns
        self.write()
        if self.is_taken_away:
            raise TakenAway

    def write(self) -> None:
        """Write what there is to write."""
        if self._news and not self.is_taken_away:
            news, self._news = self._news, {}
            self.is_taken_away = not runs.write(self._deployment, **news)
            self._written_at = self._beaten_at = time.monotonic()

    @property
    def rest(self) -> dict[str, Any]:
        """What has not been written yet, to be written with the end; the rungs always are."""
        return {name: value for name, value in self._news.items() if name != "rungs"}

    def beat(self) -> None:
        """To be called about once a second: writes, keeps the lease. Raises CancelAsked, TakenAway."""
        self._write_soon()
        now = time.monotonic()
        if now - self._beaten_at >= SECONDS_BETWEEN_BEATS:
            self._beaten_at = now
            self.is_taken_away = self.is_taken_away or not runs.prolong(self._deployment)
        if self.is_taken_away:
            raise TakenAway
        if not self.is_shielded and self._is_cancel_asked():
            raise CancelAsked

    def _write_soon(self) -> None:
        if time.monotonic() - self._written_at >= SECONDS_BETWEEN_WRITES:
            self.write()

    def _is_cancel_asked(self) -> bool:
        asked = Deployment.objects.filter(pk=self._deployment.pk, cancel_asked_at__isnull=False)
        is_asked = patiently(asked.exists)
        give_back()  # until the next look
        return is_asked
