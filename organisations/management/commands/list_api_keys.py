"""Lists API keys, for the terminal."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from organisations.api_key_models import ApiKey
from organisations.models import Organisation

HEAD = ("START", "NAME", "USER", "ORGANISATION", "STATE", "LAST USED", "ID")


class Command(BaseCommand):
    help = "Lists API keys, those that work first: how each begins, whose it is, its state, and its last use in UTC."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organisation", metavar="SLUG", help="of this organisation alone")

    def handle(self, *_: Any, **options: Any) -> None:
        keys = ApiKey.objects.select_related("membership__user", "organisation").active_first()
        if slug := options["organisation"]:
            if not Organisation.objects.filter(slug=slug).exists():
                raise CommandError(f"There is no organisation “{slug}”.")
            keys = keys.filter(organisation__slug=slug)
        for line in _table([HEAD, *(_row(key) for key in keys)]):
            self.stdout.write(line)


def _row(key: ApiKey) -> tuple[str, ...]:
    # A name is somebody's words; none of them may steer the terminal.
    name = "".join(letter if letter.isprintable() else "?" for letter in key.name)
    used = f"{key.last_used_at:%Y-%m-%d %H:%M} from {key.last_used_from or '?'}" if key.last_used_at else "never"
    return (key.start, name, str(key.membership), key.organisation.slug, str(key.state), used, key.pk)


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
