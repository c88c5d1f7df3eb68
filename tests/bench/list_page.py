"""The registries page with 10 and with many rows: times in milliseconds and number of queries, as JSON."""

import json
import sys
import time
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402 - Django must be set up first
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from dokreg import health  # noqa: E402
from organisations.models import Membership, Organisation, Role, User  # noqa: E402
from registries.models import Registry, RegistryTest  # noqa: E402


def fill(organisation: Organisation, number: int) -> None:
    """Add registries with a passed test each."""
    registries = [
        Registry(
            organisation=organisation, name=f"registry {i:06}", kind="generic", url=f"r{i}.example.com",
            username="robot", password="secret",
        )
        for i in range(number)
    ]  # fmt: skip
    Registry.objects.bulk_create(registries, batch_size=500)
    tests = [
        RegistryTest(
            organisation=organisation, registry=registry, kind="generic", url=registry.url, username="robot",
            state="passed", finished_at=timezone.now(),
        )
        for registry in registries
    ]  # fmt: skip
    RegistryTest.objects.bulk_create(tests, batch_size=500)
    for registry, test in zip(registries, tests, strict=True):
        registry.last_test = test
    Registry.objects.bulk_update(registries, ["last_test"], batch_size=500)


def measure(client: Client, address: str, rounds: int) -> dict[str, Any]:
    client.get(address)
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        assert client.get(address).status_code == 200
        times.append((time.perf_counter() - started) * 1000)
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    return {"times": times, "queries": len(queries)}


def main(many: int, rounds: int) -> None:
    settings.DOKREG_DATA.mkdir(parents=True, exist_ok=True)
    settings.ALLOWED_HOSTS.append("testserver")
    health.STARTED_AT -= health.UP_WITHIN  # while it is young it asks for no heartbeats, which is a query less
    call_command("prepare", verbosity=0)
    user = User.objects.create_user("alice")
    client = Client()
    client.force_login(user)
    answers = []
    for number in (10, many):
        organisation = Organisation.objects.create(name=f"of {number}", slug=f"of-{number}")
        Membership.objects.create(organisation=organisation, user=user, role=Role.OWNER)
        fill(organisation, number)
        answers.append(measure(client, f"/of-{number}/settings/registries/", rounds))
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
