"""How long to wait before the next try."""

import datetime as dt
import random


def pause(failures: int, *, first: dt.timedelta, longest: dt.timedelta) -> dt.timedelta:
    """Twice as long after each failure, with a fifth more or less at random, so that rivals part.

    `failures` is how many came before: after the first it is 0.
    """
    seconds = min(first * 2 ** min(failures, 16), longest).total_seconds()
    return dt.timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load
