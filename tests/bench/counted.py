"""How many queries pages and calls of the API need in a dokreg's database: what stands on stdin as JSON.

`{"pages": [address, …], "calls": [name, …], "key": key of the API}` is answered with `{address or name: queries}`.
"""

import functools
import json
import sys
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402 - Django must be set up first
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from dokreg import health  # noqa: E402
from organisations.models import User  # noqa: E402


def main(wanted: dict[str, Any]) -> dict[str, int]:
    settings.ALLOWED_HOSTS.append("testserver")
    health.STARTED_AT -= health.UP_WITHIN  # while it is young it asks for no heartbeats, which is a query less
    person, program = Client(), Client(headers={"x-api-key": wanted["key"]})
    person.force_login(User.objects.get(username="alice"))
    pages = {address: queries(functools.partial(_get, person, address)) for address in wanted["pages"]}
    calls = {name: queries(functools.partial(_get, program, f"/api/{name}")) for name in wanted["calls"]}
    return pages | calls


def _get(client: Client, address: str) -> None:
    assert client.get(address).status_code == 200, address


def queries(work: Any) -> int:
    """Of the second time."""
    work()
    with CaptureQueriesContext(connection) as asked:
        work()
    return len(asked)


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
