"""Where a passphrase comes from: a file, the terminal, standard input; never a command line, which others can see."""

import getpass
import sys

from applications.exporting.sealing import SHORTEST_PASSPHRASE
from dokreg.configuration import read_environment

VARIABLE = "DOKREG_EXPORT_PASSPHRASE"


class NoPassphrase(Exception):
    """None was given that can be used; `str()` is a sentence for people."""


def new() -> str:
    """A passphrase to encrypt with, typed twice where somebody types it. Raises NoPassphrase."""
    passphrase = _given()
    if passphrase is None:
        passphrase = getpass.getpass(f"Passphrase for the secrets (at least {SHORTEST_PASSPHRASE} characters): ")
        if getpass.getpass("The same again: ") != passphrase:
            raise NoPassphrase("The two are not the same. Nothing was exported.")
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise NoPassphrase(f"A passphrase has at least {SHORTEST_PASSPHRASE} characters. Nothing was exported.")
    return passphrase


def known() -> str:
    """The passphrase that something was encrypted with. Raises NoPassphrase."""
    given = _given()
    return getpass.getpass("Passphrase of the export: ") if given is None else given


def _given() -> str | None:
    """From the file that DOKREG_EXPORT_PASSPHRASE_FILE names, or standard input; None if there is a terminal to ask."""
    environment = read_environment()
    passphrase = environment.text(VARIABLE)
    if environment.mistakes:
        raise NoPassphrase(" ".join(environment.mistakes))
    if passphrase:
        return passphrase
    if sys.stdin.isatty():
        return None
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise NoPassphrase(f"There is no passphrase: name its file in {VARIABLE}_FILE, or write it to standard input.")
    return line
