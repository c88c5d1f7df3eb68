"""Puts a backup in the place of the database."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from dokreg.backup import restoring, taking
from dokreg.backup.archives import Manifest
from dokreg.backup.problems import BackupProblem

HELP = """\
Puts a backup in the place of the database, as a whole or not at all, and brings it up to this version. The keys must
be those that it was taken with. Stop dokreg first. A backup from SQLite can be restored into PostgreSQL (set
DATABASE_URL), and the other way.

Everything is then as it was when the backup was taken. In particular
  - what was revoked or forbidden since is allowed again: API keys, permissions, members, passwords of accounts. Look
    through Members and API keys afterwards;
  - credentials that were changed since are the old ones again; servers keep the logins that they have until then;
  - calls of webhooks that were taken since, and were signed without a time, are taken once more if they come again;
  - what was due meanwhile is done as soon as dokreg starts: tokens are refreshed, images looked for. Do not start a
    restored dokreg beside the one that it was taken from.
What does not come back: sessions (everybody signs in again), one-time links and open invitations, forms that were not
saved, messages that were still to be sent. Tests and deployments that were under way count as lost, their secrets are
wiped.
"""


class Command(BaseCommand):
    help = HELP
    # They would refuse the database that is to be replaced, such as one that was begun with other keys.
    requires_system_checks = []

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **options)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="A file that “manage.py backup” has made; - is standard input.")
        parser.add_argument("--replace", action="store_true", help="Also where somebody has set dokreg up already.")
        parser.add_argument(
            "--check", action="store_true", help="Only try whether it could be restored here; nothing is changed."
        )

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            if options["check"]:
                manifest, word = restoring.look(options["file"]), "could be restored here"
            else:
                manifest = restoring.restore(options["file"], replace=options["replace"], say=self.stdout.write)
                word = "are restored"
        except BackupProblem as problem:
            raise CommandError(str(problem)) from problem
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used: {error}") from error
        self.stdout.write(
            f"{sum(manifest.rows.values())} rows of {manifest.taken:%Y-%m-%d %H:%M:%S} UTC, "
            f"from dokreg {manifest.dokreg} on {manifest.database}, {word}."
        )
        self._warn_of_secret_key(manifest)

    def _warn_of_secret_key(self, manifest: Manifest) -> None:
        if manifest.secret_key != taking.mark_of_secret_key():
            self.stdout.write(
                "The secret key is another one than then. That does no harm, but of each registry the pages say that "
                "its credentials were changed since the last test, until it is tested again."
            )
