"""Makes applications in a dokreg's database, and asks for deployments, as a list of wishes on stdin says.

`{"make": {"name", "server", "registry", "image", …}}` answers the new row's id, `{"ask": id}` that of the deployment.
"""

import json
import sys
from typing import Any

import django

django.setup()

from applications import deploying  # noqa: E402 - Django must be set up first
from applications.models import Application  # noqa: E402
from organisations.models import Organisation  # noqa: E402
from registries.models import Registry  # noqa: E402
from servers.models import Server  # noqa: E402
from tests.applications.rows import make_application  # noqa: E402


def grant(wish: dict[str, Any]) -> str:
    if "ask" in wish:
        return str(deploying.ask(application=Application.objects.get(pk=wish["ask"]), asked_by=None).pk)
    values = wish["make"]
    server = Server.objects.get(pk=values.pop("server"))
    registry = Registry.objects.get(pk=values.pop("registry"))
    application = make_application(Organisation.objects.get(), server=server, registry=registry, **values)
    return str(application.pk)


if __name__ == "__main__":
    json.dump([grant(wish) for wish in json.load(sys.stdin)], sys.stdout)
