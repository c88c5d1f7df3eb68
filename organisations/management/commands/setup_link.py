"""Prints the one-time link that opens the set-up of the first owner."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from organisations.setup import new_setup_link


class Command(BaseCommand):
    help = "Prints a fresh one-time link that sets up the first owner. Earlier links stop working."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--if-needed", action="store_true", help="print nothing if somebody can sign in already")

    def handle(self, *_: Any, **options: Any) -> None:
        link = new_setup_link()
        if link is not None:
            self.stdout.write(link)
        elif not options["if_needed"]:
            raise CommandError("dokreg is set up already. Sign in, or make a user with: manage.py createsuperuser")
