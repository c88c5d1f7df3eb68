"""Makes a registry of every login in a Docker config.json."""

import functools
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from organisations.models import Membership
from registries import kinds, pasting
from registries.importing.command import ImportCommand
from registries.importing.report import Report, Thing
from registries.importing.running import CannotImport
from registries.importing.saving import TEST, FoundRegistry, import_registry, name_of, username_of
from registries.pasting import Pasted

STDIN = "-"


class Command(ImportCommand):
    help = (
        "Makes a registry of every login in a Docker config.json (or whatever else Add Registry understands when it "
        "is pasted). Without --apply it only says what it would do."
    )
    needs = ("registries.add_registry",)
    afterwards = ((Thing.REGISTRY, TEST),)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help=f"such as ~/.docker/config.json; {STDIN} for standard input")
        super().add_arguments(parser)

    def prepare(self, may: Membership, options: dict[str, Any]) -> Callable[[Report], None]:
        try:
            found = pasting.read(_content(options["file"]))
        except pasting.NothingFound as error:
            raise CannotImport(str(error)) from None
        return functools.partial(_import_all, found, may)


def _content(name: str) -> str:
    """The file's text, and no more of it than is looked at. Raises CannotImport."""
    most = pasting.LIMIT_BYTES + 1
    try:
        if name == STDIN:
            data = sys.stdin.buffer.read(most)
        else:
            with Path(name).expanduser().open("rb") as file:
                data = file.read(most)
        return data.decode()
    except UnicodeDecodeError:
        raise CannotImport(f"{name} is no text.") from None
    except OSError as error:
        raise CannotImport(f"{name} cannot be read: {error.strerror}.") from None


def _import_all(found: list[Pasted], may: Membership, report: Report) -> None:
    for pasted in found:
        username = username_of(pasted.username, kinds.get(pasted.kind))
        name = name_of(pasted.url, username) if pasted.url else "An address that cannot be used"
        if not (pasted.url and pasted.password):
            report.left_out(Thing.REGISTRY, name, pasting.cause_of(pasted.note))
            continue
        account = FoundRegistry(
            name=name,
            url=pasted.url,
            username=pasted.username,
            password=pasted.password,
            image_prefix=pasted.image_prefix,
            kind=pasted.kind,
            notes=tuple(filter(None, [pasting.cause_of(pasted.note)])),
        )
        import_registry(account, organisation=may.organisation, by=may.user, report=report)
