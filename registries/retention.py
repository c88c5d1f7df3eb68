"""How long tests of registries, refreshes of tokens and looks are kept."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from dokreg.retention import Rule, days
from registries import batches
from registries.models import (
    Alarm,
    CatalogLook,
    ConfigCheck,
    Registry,
    RegistryTest,
    Rotation,
    Standing,
    TestBatch,
    TokenRefresh,
)
from servers.retention import over

BATCHES_KEPT = dt.timedelta(days=30)
REFRESHES_KEPT = dt.timedelta(days=30)
LOOKS_KEPT = dt.timedelta(hours=1)  # whoever asked has read it; the next page asks anew


def rules() -> Iterator[Rule]:
    tests_kept = days(settings.DOKREG_KEEP_TESTS_DAYS)
    # Before their tests, which need not be let go by them one by one then.
    yield Rule("test batches", BATCHES_KEPT, _batches, forget=batches.forget)
    yield Rule("registry tests", tests_kept, _tests)
    yield Rule("checks of Docker configs", tests_kept, _config_checks)
    yield Rule(
        "cleared alarms", tests_kept, lambda before: Alarm.objects.filter(cleared_at__lt=before), at="cleared_at"
    )
    yield Rule("token refreshes", REFRESHES_KEPT, _refreshes)
    yield Rule("looks at registries", LOOKS_KEPT, lambda before: over(CatalogLook.objects.all(), before))


def _batches(before: dt.datetime) -> "QuerySet[TestBatch]":
    return TestBatch.objects.filter(created_at__lt=before)


def _tests(before: dt.datetime) -> "QuerySet[RegistryTest]":
    """Not the last one of a registry, nor its last one on a server, which the fleet's matrix shows.

    Nor those by which new credentials stand or fall that wait to be switched to.
    """
    waiting = Rotation.objects.filter(
        Q(state__in=(Rotation.State.STAGED, Rotation.State.TESTING))
        | Q(state=Rotation.State.KEPT, expires_at__isnull=False),
        pk=OuterRef("rotation"),
    )
    rows = RegistryTest.objects.filter(~Exists(_whose_last_is(Registry)), ~Exists(_whose_last_is(Standing)))
    return over(rows.filter(~Exists(waiting)), before)


def _config_checks(before: dt.datetime) -> "QuerySet[ConfigCheck]":
    """Not the last one of a server."""
    newer = ConfigCheck.objects.filter(server=OuterRef("server"), created_at__gt=OuterRef("created_at"))
    return over(ConfigCheck.objects.filter(Exists(newer)), before)


def _refreshes(before: dt.datetime) -> "QuerySet[TokenRefresh]":
    """Not the last one of a registry, which says why it stands."""
    is_last = Registry.objects.filter(last_refresh=OuterRef("pk"))
    return over(TokenRefresh.objects.filter(~Exists(is_last)), before)


def _whose_last_is(model: type[Registry] | type[Standing]) -> "QuerySet[Any]":
    return model._default_manager.filter(last_test=OuterRef("pk"))
