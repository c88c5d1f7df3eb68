"""Re-encrypts every secret with the first key of DOKREG_FERNET_KEYS."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dokreg import rotation
from dokreg.rotation import Progress


class Command(BaseCommand):
    help = (
        "Re-encrypts every secret with the first key of DOKREG_FERNET_KEYS, while dokreg runs. Put the new key first "
        "and keep the old one, restart dokreg, run this, then drop the old key. It may be broken off and run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="Only count how many secrets each key opens.")

    def handle(self, *_: Any, **options: Any) -> None:
        if options["check"]:
            self._check()
            return
        unreadable = rotation.rotate(report=self._report)
        if unreadable:
            raise CommandError(
                f"{unreadable} secrets are opened by none of the keys and were left as they are. Keep every key "
                "until rotate_keys --check finds none."
            )
        if left := rotation.not_by_the_first_key():
            raise CommandError(
                f"{left} secrets were written with another key meanwhile. Run this again before you drop a key."
            )
        self.stdout.write("Every secret is encrypted with the first key. The others can go.")

    def _report(self, progress: Progress) -> None:
        self.stdout.write(
            f"{progress.column}: {progress.seen} of {progress.total} read, {progress.rotated} re-encrypted"
            + (f", {progress.unreadable} opened by no key" if progress.unreadable else "")
        )

    def _check(self) -> None:
        for column, counts in rotation.count_by_key().items():
            parts = [f"key {number}: {counts[number]}" for number in range(1, rotation.number_of_keys() + 1)]
            if counts[rotation.NO_KEY]:
                parts.append(f"opened by no key: {counts[rotation.NO_KEY]}")
            self.stdout.write(f"{column}: {', '.join(parts)}")
