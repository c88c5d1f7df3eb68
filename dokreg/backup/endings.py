"""What must not come back to life with a backup: each app registers what of its own ends when one is restored."""

import datetime as dt
from collections.abc import Callable

from django.db import transaction

from dokreg.models import Heartbeat

Ending = Callable[[dt.datetime], None]
_endings: list[Ending] = []


def register(ending: Ending) -> None:
    """Let `ending` be called on the rows of a backup before they become the live ones, with the time of the backup."""
    if ending not in _endings:
        _endings.append(ending)


def end_all(taken_at: dt.datetime) -> None:
    """End everything, or nothing."""
    with transaction.atomic():
        Heartbeat.objects.all().delete()
        for ending in _endings:
            ending(taken_at)
