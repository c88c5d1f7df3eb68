"""Adds rows that the database numbers itself, to a database that was restored; prints whether the numbers are new."""

import json
import sys

import django

django.setup()

from django.contrib.auth.models import Group  # noqa: E402 - Django must be set up first
from django.db.models import Model  # noqa: E402

from organisations import audit  # noqa: E402
from organisations.models import AuditEntry, Organisation, User  # noqa: E402

if __name__ == "__main__":
    before = {(model, row.pk) for model in (User, Group, AuditEntry) for row in model.objects.all()}
    added: list[Model] = [
        User.objects.create_user("zoe"),
        Group.objects.create(name="Later"),
        audit.record("asked for a test", Organisation.objects.get()),
    ]
    json.dump({"new": not before.intersection((type(row), row.pk) for row in added)}, sys.stdout)
