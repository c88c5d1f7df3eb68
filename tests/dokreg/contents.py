"""Prints everything that is in a dokreg's database, with every secret opened, as JSON."""

import json
import sys
from typing import Any

import django

django.setup()

from django.core.serializers.json import DjangoJSONEncoder  # noqa: E402 - Django must be set up first

from dokreg.backup.rows import models  # noqa: E402
from dokreg.encryption import Secret  # noqa: E402


def contents() -> dict[str, dict[str, dict[str, Any]]]:
    return {
        model._meta.label: {
            str(row.pk): {
                field.attname: shown(getattr(row, field.attname)) for field in model._meta.local_concrete_fields
            }
            for row in model._base_manager.all()
        }
        for model in models()
    }


def shown(value: object) -> object:
    return {"token": value.token.decode(), "opened": value.reveal()} if isinstance(value, Secret) else value


class Encoder(DjangoJSONEncoder):
    """Times with all of their digits."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if hasattr(o, "isoformat") else super().default(o)


if __name__ == "__main__":
    json.dump(contents(), sys.stdout, cls=Encoder)
