"""Registries that mint their tokens at AWS, in a dokreg's database: `save NUMBER` them, or let them all be `due`.

`due` begins the refreshing at once, as beat does each minute, and prints when that was.
"""

import datetime as dt
import sys
import time

import django

django.setup()

from django.db import transaction  # noqa: E402 - Django must be set up first
from django.utils import timezone  # noqa: E402

from organisations.models import Organisation  # noqa: E402
from registries import saving  # noqa: E402
from registries.models import Registry  # noqa: E402
from registries.tasks import dispatch_refreshes  # noqa: E402

HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


def save(number: int) -> None:
    organisation = Organisation.objects.get()
    owner = organisation.members.get()
    with transaction.atomic():
        for index in range(number):
            account = {"access_key_id": f"AKIA{index:016}", "role_arn": "", "external_id": ""}
            registry = Registry(
                organisation=organisation, name=f"ECR {index}", kind="ecr", url=HOST, username="AWS",
                method="access_key", account=account,
            )  # fmt: skip
            saving.save_registry(registry=registry, password="s" * 40, by=owner)


def let_all_be_due() -> float:
    began = time.time()
    Registry.objects.update(refresh_due_at=timezone.now() - dt.timedelta(seconds=1))
    dispatch_refreshes.delay()
    return began


if __name__ == "__main__":
    if sys.argv[1] == "save":
        save(int(sys.argv[2]))
    else:
        sys.stdout.write(str(let_all_be_due()))
