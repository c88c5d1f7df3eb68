"""Saves registries of AWS into a dokreg's database as they stand on stdin: `{"name", "count", "due_in"}`.

Each has a name and an access key of its own, and no token yet. Nothing is sent: beat finds them. Prints their ids.
"""

import datetime as dt
import json
import sys
from typing import Any

import django

django.setup()

from django.utils import timezone  # noqa: E402 - Django must be set up first

from organisations.models import Organisation  # noqa: E402
from registries import credentials  # noqa: E402
from registries.models import Registry  # noqa: E402
from tests.faults.minting import key_of  # noqa: E402
from tests.lab.fixtures import ECR_HOST  # noqa: E402


def save(wanted: dict[str, Any]) -> list[str]:
    organisation = Organisation.objects.get()
    rows = [_row(organisation, wanted["name"], number) for number in range(wanted["count"])]
    due_at = timezone.now() + dt.timedelta(seconds=wanted["due_in"])
    for row in rows:
        row.refresh_due_at = due_at
        # AWS may need a moment to know a new key; these are old.
        row.secret_changed_at = timezone.now() - dt.timedelta(hours=1)
    Registry.objects.bulk_create(rows, batch_size=500)
    return [row.pk for row in rows]


def _row(organisation: Organisation, name: str, number: int) -> Registry:
    registry = Registry(
        organisation=organisation, name=f"{name} {number:05}", kind="ecr", url=ECR_HOST, username="AWS",
        method="access_key", account={"access_key_id": key_of(name, number), "role_arn": "", "external_id": ""},
    )  # fmt: skip
    registry.password = "s" * 40
    credentials.take(registry, secret_is_new=True)
    return registry


if __name__ == "__main__":
    json.dump(save(json.load(sys.stdin)), sys.stdout)
