"""Writes down what an organisation has."""

import json
import os
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from applications.exporting import document, passphrases, sealing
from applications.exporting.reading import SECTION
from dokreg.encryption import SecretUnreadable
from organisations import audit
from organisations.models import Organisation


class Command(BaseCommand):
    help = (
        "Writes registries, servers, SSH keys, projects and applications of an organisation as JSON, without any "
        "secret; with --with-secrets they are in it, encrypted with a passphrase. manage.py import makes them again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", metavar="FILE", help="standard output if missing")
        parser.add_argument("--organisation", required=True, metavar="SLUG")
        parser.add_argument(
            "--with-secrets",
            action="store_true",
            help="with the secrets, encrypted with a passphrase that is asked for, or comes from "
            f"{passphrases.VARIABLE}_FILE or standard input",
        )
        parser.add_argument("--force", action="store_true", help="replace the file if there is one")

    def handle(self, *_: Any, **options: Any) -> None:
        organisation = Organisation.objects.filter(slug=options["organisation"]).first()
        if organisation is None:
            raise CommandError(f"There is no organisation “{options['organisation']}”.")
        path = Path(options["file"]) if options["file"] else None
        if path is not None and path.exists() and not options["force"]:
            raise CommandError(_taken(path))
        exported = document.body_of(organisation)
        if options["with_secrets"]:
            exported[SECTION] = _sealed(organisation, exported)
        text = json.dumps(exported, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        if options["with_secrets"]:
            audit.record("exported the secrets", organisation, actor=None)
        if path is None:
            self.stdout.write(text, ending="")
            return
        _write(path, text, force=options["force"])
        self.stderr.write(f"Written to {path}, which you alone may read.")


def _sealed(organisation: Organisation, exported: dict[str, Any]) -> dict[str, Any]:
    try:
        found = document.secrets_of(organisation)
        return sealing.seal(exported, found, passphrase=passphrases.new())
    except SecretUnreadable as error:
        raise CommandError(f"A secret cannot be opened, and nothing was exported. {error}") from None
    except passphrases.NoPassphrase as error:
        raise CommandError(str(error)) from None


def _write(path: Path, text: str, *, force: bool) -> None:
    """All of it or nothing, readable for its owner alone from the first moment. Raises CommandError."""
    try:
        number, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with the mode 0600
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
            if force:
                Path(draft).replace(path)
            else:
                path.hardlink_to(draft)  # fails if somebody has made it meanwhile
        finally:
            Path(draft).unlink(missing_ok=True)
    except FileExistsError:
        raise CommandError(_taken(path)) from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None


def _taken(path: Path) -> str:
    return f"{path} is there already. Name another file, or replace it with --force."
