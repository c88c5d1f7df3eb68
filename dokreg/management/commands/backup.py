"""Writes the whole database into one file."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dokreg.backup import archives, taking
from dokreg.backup.problems import BackupProblem


class Command(BaseCommand):
    help = (
        "Writes the whole database into one file, while dokreg runs: one moment of it, whoever writes meanwhile. The "
        "same kind of file from SQLite and from PostgreSQL; either can be restored from it. The secrets in it are "
        "encrypted, and the keys are NOT in it: keep data/keys (or DOKREG_SECRET_KEY and DOKREG_FERNET_KEYS) in "
        "another place. It takes up to twice the size of the database in the data folder while it is made."
    )

    # Whatever the keys are: it opens no secret, and is asked for before a restore replaces what they do not open.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="Where to, such as dokreg.tar.gz; one that is there is replaced at the end. "
                            "- is standard output.")  # fmt: skip

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            manifest = taking.take(options["file"])
        except BackupProblem as problem:
            raise CommandError(str(problem)) from problem
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used: {error}") from error
        if options["file"] != archives.STANDARD_STREAM:
            self.stdout.write(
                f"{options['file']}: {sum(manifest.rows.values())} rows of {manifest.taken:%Y-%m-%d %H:%M:%S} UTC. "
                "The keys are not in it; keep them in another place."
            )
