"""Forgets what has been kept long enough."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from dokreg import retention


class Command(BaseCommand):
    help = (
        "Forgets what has been kept as long as the settings say (DOKREG_KEEP_…_DAYS) and nothing needs any more. "
        "dokreg does this by itself once an hour, for a minute at most; this goes on until nothing is left to do."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say how many rows may go.")

    def handle(self, *_: Any, **options: Any) -> None:
        is_dry = options["dry_run"]
        numbers = retention.count() if is_dry else retention.prune()
        for name, number in numbers.items():
            if number:
                self.stdout.write(f"{name}: {number}")
        total = sum(numbers.values())
        self.stdout.write(f"{total} rows may go." if is_dry else f"{total} rows are gone.")
