"""Makes again what was exported."""

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from applications.exporting import passphrases, reading, sealing
from applications.importing.writing import AFTERWARDS, NEEDS, write
from organisations.models import Membership
from registries.importing.command import ImportCommand
from registries.importing.report import Report, Thing
from registries.importing.running import CannotImport

WEBHOOKS = "Webhooks are not in an export: make them anew, and give their addresses to what calls them."


class Command(ImportCommand):
    help = (
        "Makes the registries, servers, SSH keys, projects and applications of a file that manage.py export has "
        "written. Without --apply it only says what it would do."
    )
    needs = NEEDS
    afterwards = (*AFTERWARDS, (Thing.APPLICATION, WEBHOOKS))

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            metavar="FILE",
            help="if secrets are in it, their passphrase is asked for, or comes from "
            f"{passphrases.VARIABLE}_FILE or standard input",
        )
        super().add_arguments(parser)

    def prepare(self, may: Membership, options: dict[str, Any]) -> Callable[[Report], None]:
        try:
            body, section = reading.read(_content(Path(options["file"])))
            secrets = sealing.unseal(body, section, passphrase=passphrases.known()) if section is not None else {}
            found = reading.found_in(body, secrets)
        except (reading.NoExport, sealing.CannotOpen, passphrases.NoPassphrase) as error:
            raise CannotImport(f"{error} Nothing is imported.") from None
        return lambda report: write(found, may=may, report=report)


def _content(path: Path) -> str:
    """Raises CannotImport, reading.NoExport."""
    try:
        with path.open("rb") as file:
            data = file.read(reading.LONGEST + 1)
        if len(data) > reading.LONGEST:
            raise CannotImport(f"{path} is longer than 64 MiB.")
        return data.decode()
    except UnicodeDecodeError:
        raise CannotImport(f"{path} is no text.") from None
    except OSError as error:
        raise CannotImport(f"{path} cannot be read: {error.strerror}.") from None
