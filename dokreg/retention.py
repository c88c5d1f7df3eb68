"""How long what has happened is kept. Each app registers rules; here alone they are carried out.

A few rows at a time, each time in a transaction of their own, with a pause as long as that took: on SQLite a click
waits for one batch at most, and gets its turn. Two that prune at once do no harm: on PostgreSQL each leaves to the
other what that has in hand, on SQLite they take turns.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

BATCH = 500
LOOKED_UP = 10 * BATCH  # keys at once: what is looked through to find them is looked through once for ten batches
SECONDS_AN_HOUR = 60.0

Rows = QuerySet[Any]


def _delete(rows: Rows) -> None:
    rows.only("pk").delete()


@dataclass(frozen=True, slots=True)
class Rule:
    """What of one kind may go: `old` answers the rows of before a time that nothing needs; `name` is for people.

    `kept` is how long they are kept at least, None for ever; `at` is the column with the time that counts. `forget` is
    given a batch of them; without it they are deleted.
    """

    name: str
    kept: dt.timedelta | None
    old: Callable[[dt.datetime], Rows]
    forget: Callable[[Rows], object] = _delete
    at: str = "created_at"

    @property
    def rows(self) -> Rows:
        """What may go now."""
        return self._rows(dt.timedelta())

    def oldest(self, *, grace: dt.timedelta) -> dt.datetime | None:
        """The time of the oldest row that might have gone so long ago; None if there is none."""
        times = self._rows(grace).order_by(self.at).values_list(self.at, flat=True)
        found: dt.datetime | None = times.first()
        return found

    def _rows(self, grace: dt.timedelta) -> Rows:
        if self.kept is None:
            return self.old(timezone.now()).none()
        return self.old(timezone.now() - self.kept - grace)


Rules = Callable[[], Iterable[Rule]]
_registered: list[Rules] = []


def register(rules: Rules) -> None:
    """Let the rules of an app be carried out; they are asked for each time, since they follow the settings."""
    if rules not in _registered:
        _registered.append(rules)


def days(number: int) -> dt.timedelta | None:
    """How long a setting in days keeps something: 0 is for ever, which is None."""
    return dt.timedelta(days=number) if number else None


def all_rules() -> list[Rule]:
    """Of every app."""
    return [rule for rules in _registered for rule in rules()]


def count() -> dict[str, int]:
    """How many rows may go now, by the name of the rule; nothing is changed."""
    return {rule.name: rule.rows.count() for rule in all_rules()}


def prune(*, seconds: float | None = None) -> dict[str, int]:
    """Forget what may go; with `seconds`, no more than is done in that time. How many rows, by the name of the rule."""
    end = time.monotonic() + (float("inf") if seconds is None else seconds)
    return {rule.name: _carry_out(rule, end) for rule in all_rules()}


def _carry_out(rule: Rule, end: float) -> int:
    gone, seen = 0, 0
    while time.monotonic() < end:
        keys = list(rule.rows.order_by().values_list("pk", flat=True)[:LOOKED_UP])
        for start in range(0, len(keys), BATCH):
            if time.monotonic() >= end:
                break
            begun = time.monotonic()
            gone += _forget(rule, keys[start : start + BATCH])
            time.sleep(min(time.monotonic() - begun, 1.0))
        if gone == seen or len(keys) < LOOKED_UP:  # others have the rest in hand, or there is none
            break
        seen = gone
    return gone


def _forget(rule: Rule, keys: list[Any]) -> int:
    """Those of the rows that still may go, and that nobody else has in hand."""
    with transaction.atomic():
        free = rule.rows.filter(pk__in=keys).order_by().select_for_update(skip_locked=True, of=("self",))
        mine = list(free.values_list("pk", flat=True))
        if mine:
            rule.forget(free.model._base_manager.filter(pk__in=mine))
    return len(mine)
