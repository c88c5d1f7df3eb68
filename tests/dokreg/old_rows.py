"""Fills a dokreg's empty database as it stands on stdin: `{"tests", "kept"}`, tests of a year ago and some of today."""

import datetime as dt
import json
import sys

import django

django.setup()

from django.utils import timezone  # noqa: E402 - Django must be set up first

from organisations.models import Organisation, User  # noqa: E402
from registries.models import Registry, RegistryTest  # noqa: E402
from servers.ladder import new_rung  # noqa: E402

RUNGS = [new_rung(name, name) | {"state": "passed", "fact": "x" * 40} for name in ("ssh", "cli", "daemon", "login")]


def fill(*, tests: int, kept: int) -> None:
    acme = Organisation.objects.create(name="Acme", slug="acme")
    registry = Registry.objects.create(organisation=acme, name="Images", kind="generic", url="r", username="u")
    now = timezone.now()
    ages = [dt.timedelta(days=365)] * tests + [dt.timedelta()] * kept
    rows = [
        RegistryTest(
            organisation=acme, registry=registry, state="passed", kind="generic", url="r", rungs=RUNGS,
            created_at=now - age, finished_at=now - age,
        )
        for age in ages
    ]  # fmt: skip
    RegistryTest.objects.bulk_create(rows, batch_size=1000)
    User.objects.create_user("alice", password="correct horse battery staple")


if __name__ == "__main__":
    fill(**json.load(sys.stdin))
