"""Saves servers into a dokreg's database as they stand on stdin: `{"name", "hosts", "port"}`. Prints their ids."""

import json
import sys
from typing import Any

import django

django.setup()

from organisations.models import Organisation  # noqa: E402 - Django must be set up first
from servers.models import Server, SSHKey  # noqa: E402
from tests.lab.sshd import KeyPair  # noqa: E402


def save(wanted: dict[str, Any]) -> list[str]:
    organisation = Organisation.objects.get()
    pair = KeyPair.generate()
    key = SSHKey(organisation=organisation, name=wanted["name"], public_key=pair.public)
    key.private_key = pair.private
    key.save()
    rows = [
        Server(organisation=organisation, ssh_key=key, name=f"{wanted['name']} {number:05}", host=host,
               port=wanted["port"], user="root", host_key=pair.public)
        for number, host in enumerate(wanted["hosts"])
    ]  # fmt: skip
    Server.objects.bulk_create(rows)
    return [row.pk for row in rows]


if __name__ == "__main__":
    json.dump(save(json.load(sys.stdin)), sys.stdout)
