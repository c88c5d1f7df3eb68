"""Whether what may be forgotten is forgotten."""

import datetime as dt
from collections.abc import Iterator

from django.utils import timezone

from dokreg import retention
from dokreg.doctor.checks import WARNING, Finding, age

GRACE = dt.timedelta(days=1)  # beat asks once an hour, and one that was away for a night catches up
WHY = "Pruning does not keep up: the database grows, and lists and backups with it."
FIX = "See that beat and a worker run, and run manage.py prune, which goes on until nothing is left to do."


def look_at_it() -> Iterator[Finding]:
    """Of each kind the oldest row that should be gone since a day."""
    now = timezone.now()
    is_late = False
    for rule in retention.all_rules():
        if (oldest := rule.oldest(grace=GRACE)) is None or rule.kept is None:
            continue
        is_late = True
        fact = f"the oldest should have gone {age((now - rule.kept - oldest).total_seconds())} ago"
        yield Finding(rule.name[0].upper() + rule.name[1:], fact, WARNING, WHY, FIX)
    if not is_late:
        yield Finding("Pruning", "Nothing is kept for longer than the settings say.")
