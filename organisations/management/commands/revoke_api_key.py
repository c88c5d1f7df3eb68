"""Revokes an API key, for the terminal."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from organisations import api_keys
from organisations.api_key_models import ApiKey
from organisations.models import Organisation


class Command(BaseCommand):
    help = "Revokes an API key: whatever uses it is refused at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("key", metavar="START_OR_ID", help="its first six letters or its id, as list_api_keys says")
        parser.add_argument("--organisation", required=True, metavar="SLUG")

    def handle(self, *_: Any, **options: Any) -> None:
        organisation = Organisation.objects.filter(slug=options["organisation"]).first()
        if organisation is None:
            raise CommandError(f"There is no organisation “{options['organisation']}”.")
        key = _only_one(api_keys.named(options["key"], organisation=organisation), organisation)
        is_new = api_keys.revoke(key)
        self.stdout.write(f"{key.start}… of {key.membership} {'is revoked' if is_new else 'was revoked before'}.")


def _only_one(found: list[ApiKey], organisation: Organisation) -> ApiKey:
    # What was typed is not repeated: it may be a whole key.
    if not found:
        raise CommandError(
            "No key has this id or these first six letters. "
            f"See them all with: manage.py list_api_keys --organisation {organisation.slug}"
        )
    if len(found) > 1:
        those = "".join(f"\n  {key.pk}  of {key.membership}, {key.state}" for key in found)
        raise CommandError(f"Several keys begin so. Give the id of one of them:{those}")
    return found[0]
