"""How long tests of servers are kept."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from dokreg.retention import Rule, days
from servers.models import Run, Server, ServerTest


def rules() -> Iterator[Rule]:
    yield Rule("server tests", days(settings.DOKREG_KEEP_TESTS_DAYS), _tests)


def over(rows: "QuerySet[Any]", before: dt.datetime) -> "QuerySet[Any]":
    """Runs of before a time that have come to their end."""
    return rows.filter(created_at__lt=before).exclude(state__in=(Run.State.QUEUED, Run.State.RUNNING))


def _tests(before: dt.datetime) -> "QuerySet[ServerTest]":
    """Not the last one of a server, whose state it is."""
    is_last = Server.objects.filter(last_test=OuterRef("pk"))
    return over(ServerTest.objects.filter(~Exists(is_last)), before)
