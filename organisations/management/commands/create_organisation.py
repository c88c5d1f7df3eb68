"""Makes an organisation, for scripts."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from organisations.models import Organisation, User
from organisations.setup import create_organisation


class Command(BaseCommand):
    help = "Makes an organisation with its first owner, and prints its slug."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--owner", required=True, metavar="USERNAME", help="who owns it; must exist")
        parser.add_argument("--slug", default="", help="the first part of its addresses; made from the name if missing")

    def handle(self, *_: Any, **options: Any) -> None:
        name, slug = options["name"].strip(), options["slug"]
        owner = User.objects.filter(username=options["owner"]).first()
        if owner is None:
            raise CommandError(f"There is no user “{options['owner']}”. Make one with: manage.py createsuperuser")
        _check(name, slug)
        self.stdout.write(create_organisation(name=name, owner=owner, slug=slug).slug)


def _check(name: str, slug: str) -> None:
    """What the form checks for people; the slug only if one was given."""
    try:
        organisation = Organisation(name=name, slug=slug)
        organisation.clean_fields(exclude=None if slug else {"slug"})
        organisation.validate_unique()
    except ValidationError as error:
        sentences = [f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items()]
        raise CommandError(" ".join(sentences)) from error
