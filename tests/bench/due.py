"""One minute's dispatch with so many registries due: claims what there is room for, and sends it to a real Redis.

`{"due": [number, …], "rounds": number, "redis": address}` on stdin is answered with `[{"times": [milliseconds, …],
"queries": number}, …]`, one for each number of registries. No worker may listen there, nor on the database.
"""

import datetime as dt
import json
import sys
from typing import Any

import django

django.setup()

import redis  # noqa: E402 - Django must be set up first
from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from dokreg.celery import app  # noqa: E402
from registries.models import Registry, TokenRefresh  # noqa: E402
from registries.tasks import dispatch_refreshes  # noqa: E402
from registries.tokens import ACTIVE  # noqa: E402
from tests.bench.figures import timed  # noqa: E402

QUEUES = ("default", "ssh")


class Due:
    def __init__(self, broker: redis.Redis) -> None:
        self.broker = broker

    def dispatch(self, number: int) -> float:
        """The milliseconds of it, in turn with other numbers."""
        self._let_be_due(number)
        took = timed(dispatch_refreshes.run)
        self._see_that_it_was_sent()
        return took

    def queries(self, number: int) -> int:
        self._let_be_due(number)
        with CaptureQueriesContext(connection) as asked:
            dispatch_refreshes.run()
        self._see_that_it_was_sent()
        return len(asked)

    def _let_be_due(self, number: int) -> None:
        """So many, and no others; nothing is under way."""
        now = timezone.now()
        TokenRefresh.objects.filter(state__in=ACTIVE).delete()
        minting = Registry.objects.exclude(method="")
        minting.update(refresh_due_at=now + dt.timedelta(hours=2))
        chosen = list(minting.order_by("pk").values_list("pk", flat=True)[:number])
        assert len(chosen) == number, len(chosen)
        Registry.objects.filter(pk__in=chosen).update(refresh_due_at=now - dt.timedelta(seconds=1))
        self.broker.delete(*QUEUES)

    def _see_that_it_was_sent(self) -> None:
        room = settings.DOKREG_REFRESHES_AT_ONCE
        assert TokenRefresh.objects.filter(state__in=ACTIVE).count() == room
        assert sum(self.broker.llen(queue) for queue in QUEUES) == room


def main(wanted: dict[str, Any]) -> list[dict[str, Any]]:
    app.conf.update(broker_url=wanted["redis"])
    with redis.Redis.from_url(wanted["redis"]) as broker:
        due = Due(broker)
        counts = [due.queries(number) for number in wanted["due"]]  # the first time, which is not measured
        rounds = [[due.dispatch(number) for number in wanted["due"]] for _ in range(wanted["rounds"])]
    times = zip(*rounds, strict=True)
    return [{"times": taken, "queries": count} for taken, count in zip(times, counts, strict=True)]


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
