"""Saves the servers and the registry that stand on stdin as JSON into a dokreg's database; prints the registry's id."""

import json
import sys
from typing import Any

import django

django.setup()

from organisations.models import Organisation  # noqa: E402 - Django must be set up first
from registries import saving  # noqa: E402
from registries.models import Registry  # noqa: E402
from servers.models import Server, SSHKey  # noqa: E402


def save(wanted: dict[str, Any]) -> str:
    organisation = Organisation.objects.get()
    for row in wanted["servers"]:
        key = SSHKey(organisation=organisation, name=row["name"], public_key=row.pop("public_key"))
        key.private_key = row.pop("private_key")
        key.save()
        Server.objects.create(organisation=organisation, ssh_key=key, **row)
    password = wanted["registry"].pop("password")
    owner = organisation.members.get()
    registry = Registry(organisation=organisation, **wanted["registry"])
    saving.save_registry(registry=registry, password=password, by=owner)
    return registry.pk


if __name__ == "__main__":
    sys.stdout.write(save(json.load(sys.stdin)))
