"""Moves an organisation of Dokploy to dokreg."""

import getpass
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from applications.importing.dokploy import database, http
from applications.importing.dokploy.encrypted import Opener
from applications.importing.dokploy.mapping import found_in
from applications.importing.dokploy.records import Dokploy, SourceFailed
from applications.importing.found import FoundServer
from applications.importing.writing import AFTERWARDS, NEEDS, write
from dokreg.configuration import Environment, read_environment
from organisations.models import Membership
from registries.importing.command import ImportCommand
from registries.importing.report import Report, Thing
from registries.importing.running import CannotImport
from servers.models import Server

STDIN = "-"
DATABASE, KEY, ENCRYPTION = "DOKPLOY_DATABASE_URL", "DOKPLOY_API_KEY", "DOKPLOY_ENCRYPTION_KEY"
NETWORK = (
    "Applications go into Docker's network dokploy-network, where those of Dokploy are: their servers have to go on "
    "having it, or you choose another one for each."
)
VISIBLE = (
    "There is a password in --database, which everybody on this machine can see while the command runs, and your shell "
    f"remembers. Put the address into the file that {DATABASE}_FILE names, or hand it over with --database {STDIN}."
)


class Command(ImportCommand):
    help = (
        "Imports registries, servers, SSH keys and applications that are Docker images from one organisation of a "
        "Dokploy 0.30: out of its PostgreSQL database, or through its HTTP API. Dokploy is only read. Without --apply "
        "it only says what it would do."
    )
    needs = NEEDS
    afterwards = (*AFTERWARDS, (Thing.APPLICATION, NETWORK))

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        sources = parser.add_mutually_exclusive_group()
        sources.add_argument(
            "--database",
            metavar="URL",
            help=f"postgresql://USER@HOST:5432/dokploy, without a password; {STDIN} reads it from standard input. With "
            f"a password: {DATABASE} or {DATABASE}_FILE in the environment, and no --database",
        )
        sources.add_argument(
            "--api",
            metavar="URL",
            help=f"https://dokploy.example.com; its key comes from {KEY}_FILE, or from standard input",
        )
        parser.add_argument(
            "--dokploy-organization", default="", metavar="ID_OR_NAME", help="which one, if Dokploy has several"
        )
        parser.add_argument(
            "--own-host", default="", metavar="SERVER", help="the server of dokreg that Dokploy itself runs on"
        )

    def prepare(self, may: Membership, options: dict[str, Any]) -> Callable[[Report], None]:
        environment = read_environment()
        opener = Opener(environment.text(ENCRYPTION).splitlines())
        own_host = _server(may, options["own_host"]) if options["own_host"] else None
        try:
            dokploy = self._read(environment, options)
        except SourceFailed as error:
            raise CannotImport(str(error)) from None
        self.stdout.write(f"From “{dokploy.organization}” in Dokploy to “{may.organisation}” in dokreg.\n\n")
        found = found_in(dokploy, opener=opener, own_host=own_host)
        return lambda report: write(found, may=may, report=report)

    def _read(self, environment: Environment, options: dict[str, Any]) -> Dokploy:
        wanted = options["dokploy_organization"]
        if options["api"]:
            http.checked(options["api"])  # before anybody types the key
            key = environment.text(KEY) or _read_secret("API key of Dokploy: ")
            _complain(environment)
            return http.read(options["api"], key, organization=wanted)
        given = options["database"]
        if given not in {None, STDIN} and database.has_password(given):
            raise CannotImport(VISIBLE)
        address = _read_secret("Address of Dokploy's database: ") if given == STDIN else given
        address = address or environment.text(DATABASE)
        _complain(environment)
        if not address:
            raise CannotImport(f"Say where Dokploy is: --database, --api, or {DATABASE}_FILE in the environment.")
        return database.read(address, organization=wanted)


def _complain(environment: Environment) -> None:
    if environment.mistakes:
        raise CannotImport(" ".join(environment.mistakes))


def _read_secret(prompt: str) -> str:
    """From a terminal without showing it, else the first line of standard input. Raises CannotImport for nothing."""
    text = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()
    if not text.strip():
        raise CannotImport("There is nothing on standard input.")
    return text.strip()


def _server(may: Membership, name: str) -> FoundServer:
    server = Server.objects.of(may.organisation).filter(name=name).first()
    if server is None:
        raise CannotImport(f"There is no server “{name}” in {may.organisation.slug} for --own-host.")
    return FoundServer(server.name, server.host, server.port, server.user, key="")
