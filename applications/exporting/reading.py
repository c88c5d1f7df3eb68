"""Reads an export again: a document, and the secrets beside it once they are open."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from applications.exporting.document import FORMAT, PRODUCT, SETTINGS, place
from applications.importing.found import Found, FoundApplication, FoundKey, FoundProject, FoundServer
from registries.importing.saving import FoundRegistry

SECTION = "secrets"  # of the file: what sealing has made
LONGEST = 64 * 1024 * 1024
NOT_IN_IT = "Its secret is not in the file. Export it anew with --with-secrets, or add it by hand."
_NO_EXPORT = "This is no export of dokreg, or it is damaged."
_LATER = "This export was made by a later version of dokreg. Bring this one up to date first."


class NoExport(Exception):
    """The file cannot be read; `str()` is a sentence for people."""


def read(text: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The document in clear, and the section with the sealed secrets if there is one. Raises NoExport."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise NoExport(_NO_EXPORT) from None
    if not isinstance(document, dict) or document.get("product") != PRODUCT:
        raise NoExport(_NO_EXPORT)
    number = document.get("format")
    if type(number) is not int or number < 1:
        raise NoExport(_NO_EXPORT)
    if number > FORMAT:
        raise NoExport(_LATER)
    section = document.pop(SECTION, None)
    if section is not None and not isinstance(section, dict):
        raise NoExport(_NO_EXPORT)
    return document, section


def found_in(body: Mapping[str, Any], secrets: Mapping[str, str]) -> Found:
    """Everything that the document has, with its secrets as far as they are there. Raises NoExport."""
    try:
        return _found_in(body, secrets)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NoExport(_NO_EXPORT) from None


def _found_in(body: Mapping[str, Any], secrets: Mapping[str, str]) -> Found:
    found = Found()
    for row in body["ssh_keys"]:
        name = _text(row, "name")
        private = secrets.get(place("ssh_keys", name, "private_key"), "")
        about = _text(row, "description")
        found.keys[name] = FoundKey(name, private, _text(row, "public_key"), missing=NOT_IN_IT, description=about)
    for row in body["servers"]:
        found.servers[_text(row, "name")] = _server(row)
    for row in body["registries"]:
        name = _text(row, "name")
        found.registries[name] = _registry(row, secrets.get(place("registries", name, "password"), ""))
        found.registry_servers[name] = _text(row, "server")
    for project in body["projects"]:
        name = _text(project, "name")
        found.projects[name] = FoundProject(name, _text(project, "description"))
        found.applications += [_application(row, name, secrets) for row in project["applications"]]
    return found


def _server(row: Mapping[str, Any]) -> FoundServer:
    fingerprint = _text(row, "host_key_fingerprint")
    return FoundServer(
        name=_text(row, "name"),
        host=_text(row, "host"),
        port=int(row["port"]),
        user=_text(row, "user"),
        key=_text(row, "ssh_key"),
        notes=(f"Its host key was {fingerprint}: compare.",) if fingerprint else (),
        description=_text(row, "description"),
    )


def _registry(row: Mapping[str, Any], password: str) -> FoundRegistry:
    ends_on = _text(row, "secret_ends_on")
    return FoundRegistry(
        name=_text(row, "name"),
        url=_text(row, "url"),
        username=_text(row, "username"),
        password=password,
        image_prefix=_text(row, "image_prefix"),
        kind=_text(row, "kind"),
        method=_text(row, "method"),
        account={name: _text(row["account"], name) for name in row["account"]},
        secret_ends_on=dt.date.fromisoformat(ends_on) if ends_on else None,
        missing=NOT_IN_IT,
    )


def _application(row: Mapping[str, Any], project: str, secrets: Mapping[str, str]) -> FoundApplication:
    name = _text(row, "name")
    environment = secrets.get(place("projects", project, name, "environment"), "")
    notes = []
    if row["environment_names"] and not environment:
        notes.append(f"Its environment is not in the file. Its variables are {', '.join(row['environment_names'])}.")
    return FoundApplication(
        name=name,
        project=project,
        server=_text(row, "server"),
        registry=_text(row, "registry"),
        settings=_settings(row),
        environment=environment,
        notes=tuple(notes),
    )


def _settings(row: Mapping[str, Any]) -> dict[str, str]:
    """As people type them; what is null is left empty."""
    typed = {name: str(row[name]) for name in (*SETTINGS, "cpus", "command") if row[name] is not None}
    return typed | {name: "\n".join(row[name]) for name in ("ports", "volumes")}


def _text(row: Mapping[str, Any], name: str) -> str:
    """The text of this name, "" for null. Raises KeyError, TypeError."""
    value = row[name]
    if not isinstance(value, str | None):
        raise TypeError(name)
    return value or ""
