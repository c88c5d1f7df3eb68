"""Settings, versions, keys and the data folder."""

import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import version

from django.conf import settings

import dokreg
from dokreg import rotation
from dokreg.checks import WrongKeys, verify_keys
from dokreg.doctor.checks import ERROR, OK, WARNING, Finding, plural, size

LITTLE_SPACE, NO_SPACE = 1_000_000_000, 100_000_000  # bytes
SECRET = "set, not shown"  # noqa: S105 - the words for one


def look_at_settings() -> Iterator[Finding]:
    """Those that somebody gave; the others are as README.md says."""
    for name, source in sorted(settings.DOKREG_SOURCES.items()):
        if source.origin != "default":
            yield Finding(name, f"{source.shown or SECRET} (from {source.origin})")
    defaults = sum(source.origin == "default" for source in settings.DOKREG_SOURCES.values())
    yield Finding("Not set", f"{plural(defaults, 'setting')}, which are as the README says.")
    if settings.DEBUG:
        why = "It shows what is inside to everybody who can reach it."
        yield Finding("Debugging", "on", WARNING, why, "Take DOKREG_DEBUG away, unless you are developing.")


def look_at_versions() -> Iterator[Finding]:
    yield Finding("dokreg", dokreg.__version__)
    yield Finding("Python", platform.python_version())
    for name in ("Django", "celery", "gunicorn", "paramiko"):
        yield Finding(name.capitalize(), version(name))


def look_at_keys() -> Iterator[Finding]:
    """Whether the keys are those of this database: the row that is there to try them."""
    try:
        verify_keys()
    except WrongKeys as error:
        yield Finding(
            "Keys", "None of them opens this database.", ERROR, str(error), "Give DOKREG_FERNET_KEYS the keys it had."
        )
    else:
        yield Finding("Keys", f"{plural(rotation.number_of_keys(), 'key')}; they are those of this database.")


def look_at_secrets() -> Iterator[Finding]:
    """How many secrets each key opens, and whether any opens none."""
    columns = rotation.count_by_key().values()
    for number in range(1, rotation.number_of_keys() + 1):
        opened = sum(counts[number] for counts in columns)
        is_old = number > 1
        yield Finding(
            f"Key {number}",
            f"opens {plural(opened, 'secret')}",
            WARNING if is_old else OK,
            ("Secrets still need it." if opened else "Nothing needs it any more.") if is_old else "",
            ("Run manage.py rotate_keys." if opened else "Take it out of DOKREG_FERNET_KEYS.") if is_old else "",
        )
    if lost := sum(counts[rotation.NO_KEY] for counts in columns):
        why = "What needs them fails: those registries, servers or channels."
        fix = "Add the key that they were stored with to DOKREG_FERNET_KEYS, or enter them anew."
        yield Finding("Opened by no key", plural(lost, "secret"), ERROR, why, fix)


def look_at_data_folder() -> Iterator[Finding]:
    """Room, and whether others may look in."""
    disk = shutil.disk_usage(settings.DOKREG_DATA)
    state = ERROR if disk.free < NO_SPACE else WARNING if disk.free < LITTLE_SPACE else OK
    why = "With a full disk SQLite and the broker write nothing any more, and dokreg stands still."
    fact = f"{size(disk.free)} free of {size(disk.total)} at {settings.DOKREG_DATA}"
    yield Finding("Room", fact, state, why if state != OK else "", "Make room there." if state != OK else "")
    folder = settings.DOKREG_DATA / "keys"
    if folder.exists() and folder.stat().st_mode & 0o077:
        why = f"Other users of this machine may read the keys in {folder}."
        yield Finding("Keys in the data folder", "open to others", ERROR, why, f"Run chmod 700 {folder}.")
