"""Many servers and registries in a running dokreg, saved by a process beside it as nobody could type them in."""

import json
import subprocess
import sys
from typing import Any

from tests.lab.sshd import Server as Machine
from tests.running import ROOT, Running


def row_of(machine: Machine, name: str) -> dict[str, Any]:
    """A server of the lab, with its host key confirmed."""
    return {
        "name": name,
        "host": machine.host,
        "port": machine.port,
        "user": machine.user,
        "host_key": machine.host_key,
        "public_key": machine.public_key,
        "private_key": machine.private_key,
    }


def stock(dokreg: Running, *, servers: list[dict[str, Any]], registries: list[dict[str, Any]]) -> list[str]:
    """Save them in the only organisation; the ids of the registries."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.stock"],
        cwd=ROOT,
        env=dokreg.environment | {"DJANGO_SETTINGS_MODULE": "dokreg.settings"},
        input=json.dumps({"servers": servers, "registries": registries}),  # secrets: not into a command line
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def save(wanted: dict[str, list[dict[str, Any]]]) -> list[str]:
    """In the process beside it: save what was handed over."""
    from organisations.models import Organisation
    from registries import saving
    from registries.models import Registry
    from servers.models import Server, SSHKey

    organisation = Organisation.objects.get()
    for row in wanted["servers"]:
        key = SSHKey(organisation=organisation, name=row["name"], public_key=row.pop("public_key"))
        key.private_key = row.pop("private_key")
        key.save()
        Server.objects.create(organisation=organisation, ssh_key=key, **row)
    owner = organisation.members.get()
    saved = []
    for row in wanted["registries"]:
        password = row.pop("password")
        registry = Registry(organisation=organisation, kind="generic", **row)
        saving.save_registry(registry=registry, password=password, by=owner)
        saved.append(registry.pk)
    return saved


if __name__ == "__main__":
    import django

    django.setup()
    sys.stdout.write("\n".join(save(json.load(sys.stdin))))
