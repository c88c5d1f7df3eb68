"""Makes an API key, for scripts."""

import datetime as dt
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from dokreg import permissions
from organisations import api_keys
from organisations.members import NotAllowed
from organisations.models import Membership

MOST_DAYS = 3650


class Command(BaseCommand):
    help = "Makes an API key of a member, and prints it alone. It is not shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, metavar="USERNAME", help="whose key it is")
        parser.add_argument("--organisation", required=True, metavar="SLUG", help="where it works")
        parser.add_argument("--name", required=True, help="what uses it")
        parser.add_argument("--days", type=_days, help="how long it works; without, until it is revoked")
        parser.add_argument(
            "--permission",
            action="extend",
            nargs="+",
            metavar="NAME",
            dest="limits",
            help="what it is limited to, such as registries.view_registry; without, whatever its member may do",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        membership, days, limits = _membership(options["user"], options["organisation"]), options["days"], None
        if options["limits"] is not None:
            limits = _known(options["limits"])
        try:
            key, text = api_keys.make(
                membership=membership,
                name=options["name"].strip(),
                limits=limits,
                expires_at=timezone.now() + dt.timedelta(days=days) if days else None,
            )
        except NotAllowed as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            sentences = [f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items()]
            raise CommandError(" ".join(sentences)) from error
        until = f"until {key.expires_at:%-d %b %Y, %H:%M} UTC" if key.expires_at else "until it is revoked"
        self.stderr.write(f"A key of {membership} in {membership.organisation}, {until}. It is not shown again.")
        self.stdout.write(text)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_DAYS:
        raise ArgumentTypeError(f"“{text}” is no number of days from 1 to {MOST_DAYS}")
    return int(text)


def _membership(username: str, slug: str) -> Membership:
    memberships = Membership.objects.select_related("user", "organisation")
    found = memberships.filter(user__username=username, organisation__slug=slug).first()
    if found is None:
        raise CommandError(f"There is no member “{username}” of an organisation “{slug}”.")
    return found


def _known(names: list[str]) -> frozenset[str]:
    try:
        permissions.check_known(names)
    except permissions.UnknownPermission as error:
        raise CommandError(f"{error}. There are: {', '.join(sorted(permissions.ALL))}.") from error
    return frozenset(names)
