"""Of several who take from one heap each takes something else, and none waits for the others: row locks.

SQLite has none, and lets one write at a time.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, models
from django.utils import timezone
from pytest_django import Settings

from dokreg.retention import prune
from organisations.models import Organisation, User
from registries import tokens
from registries.models import Registry, RegistryTest, TokenRefresh
from tests.dokreg.test_retention import make_registry_test
from tests.lab.aws import Aws
from tests.registries.rows import make_registry
from tests.registries.test_tokens import make_ecr

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.row_locks]
OLD = dt.timedelta(days=400)


@contextmanager
def held_by_another(row: models.Model) -> Iterator[None]:
    """A second connection has the row locked."""
    other: Any = connection.copy()
    table = connection.ops.quote_name(row._meta.db_table)
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(f"SELECT id FROM {table} WHERE id = %s FOR UPDATE", [row.pk])
            assert cursor.fetchone() == (row.pk,)
        yield
        other.rollback()
    finally:
        other.close()


@pytest.fixture(autouse=True)
def _whoever_waits_fails(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a pool of its own: who gives a connection back meanwhile gives it to no other test."""
    options = connection.settings_dict["OPTIONS"]
    monkeypatch.setitem(options, "options", f"{options['options']} -c lock_timeout=200ms")
    _close_pool()
    yield
    _close_pool()


def _close_pool() -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's


def test_tokens_of_others_are_minted_while_somebody_has_one_registry_in_hand(
    organisation: Organisation, alice: User, aws: Aws
) -> None:
    now = timezone.now()
    registries = [make_ecr(organisation, alice, name) for name in ("first", "second", "third")]
    TokenRefresh.objects.all().delete()
    for place, registry in enumerate(registries):
        due = now - dt.timedelta(minutes=10 - place)
        Registry.objects.filter(pk=registry.pk).update(refresh_due_at=due)
    first = tokens.ask(registry=registries[0], reason=TokenRefresh.Reason.DUE)
    with held_by_another(registries[1]):
        tokens.work(first.pk)
        assert with_a_token() == {"first", "third"}
    assert tokens.dispatch() == 1
    tokens.work(TokenRefresh.objects.get(state="queued").pk)
    assert with_a_token() == {"first", "second", "third"}


def with_a_token() -> set[str]:
    return {registry.name for registry in Registry.objects.all() if registry.has_token}


def test_what_somebody_else_has_in_hand_is_not_waited_for_when_old_rows_go(
    organisation: Organisation, alice: User, settings: Settings
) -> None:
    settings.DOKREG_KEEP_TESTS_DAYS = 30
    registry = make_registry(organisation, alice)
    tests = [make_registry_test(registry, state="passed") for _ in range(3)]
    with held_by_another(tests[1]):
        prune()
        left = set(RegistryTest.objects.values_list("pk", flat=True))
        assert left == {tests[1].pk}
    prune()
    assert not RegistryTest.objects.exists()
