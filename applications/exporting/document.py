"""An organisation as a document: what one reads of it, and what another dokreg can make it of again.

It is stable: the same rows make the same text. Things name each other by their names, which are unique. Secrets are not
in it; where they are wanted they stand beside it, each under its place, such as `registries/GHCR/password`.

Not in it: members, notifications, webhooks, the pinned host keys of servers, what was tested and deployed.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from applications.container_settings import as_command, ports_of, volumes_of
from applications.forms import ApplicationForm
from applications.models import Application, Project
from organisations.models import Organisation
from registries.models import Registry
from servers.models import Server, SSHKey

FORMAT = 1
PRODUCT = "dokreg"
# Fields that are written otherwise than they are stored.
_SPECIAL = frozenset({"registry", "server", "ports", "volumes", "command", "cpus"})
SETTINGS = tuple(name for name in ApplicationForm.Meta.fields if name not in _SPECIAL)


def body_of(organisation: Organisation) -> dict[str, Any]:
    """Everything in clear that an export has of the organisation."""
    return {
        "product": PRODUCT,
        "format": FORMAT,
        "organisation": {"name": organisation.name, "slug": organisation.slug},
        "ssh_keys": [_key(key) for key in _keys(organisation)],
        "servers": [_server(server) for server in Server.objects.of(organisation).select_related("ssh_key")],
        "registries": [_registry(registry) for registry in _registries(organisation)],
        "projects": [_project(project) for project in Project.objects.of(organisation)],
    }


def secrets_of(organisation: Organisation) -> dict[str, str]:
    """Place → secret in clear. Raises SecretUnreadable."""
    found = {place("ssh_keys", key.name, "private_key"): key.private_key.reveal() for key in _keys(organisation)}
    for registry in _registries(organisation):
        if registry.password is not None:
            found[place("registries", registry.name, "password")] = registry.open_password()
    for application in Application.objects.of(organisation).select_related("project"):
        if application.environment is not None:
            path = place("projects", application.project.name, application.name, "environment")
            found[path] = application.environment.reveal()
    return found


def place(*names: str) -> str:
    """Where a secret belongs: names in this order, with slashes between them alone."""
    return "/".join(quote(name, safe=" ()") for name in names)


def _keys(organisation: Organisation) -> Iterable[SSHKey]:
    return SSHKey.objects.of(organisation)


def _registries(organisation: Organisation) -> Iterable[Registry]:
    return Registry.objects.of(organisation).select_related("server")


def _key(key: SSHKey) -> dict[str, Any]:
    return {"name": key.name, "description": key.description, "public_key": key.public_key}


def _server(server: Server) -> dict[str, Any]:
    return {
        "name": server.name,
        "description": server.description,
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "ssh_key": server.ssh_key.name,
        "host_key_fingerprint": server.host_key_fingerprint,
    }


def _registry(registry: Registry) -> dict[str, Any]:
    return {
        "name": registry.name,
        "kind": registry.kind,
        "url": registry.url,
        "username": registry.username,
        "method": registry.method,
        "account": registry.account,
        "image_prefix": registry.image_prefix,
        "server": registry.server.name if registry.server is not None else None,
        "secret_ends_on": registry.secret_ends_on.isoformat() if registry.secret_ends_on is not None else None,
    }


def _project(project: Project) -> dict[str, Any]:
    applications = project.applications.select_related("server", "registry")
    return {
        "name": project.name,
        "description": project.description,
        "applications": [_application(application) for application in applications],
    }


def _application(application: Application) -> dict[str, Any]:
    settings = {name: getattr(application, name) for name in SETTINGS}
    return settings | {
        "server": application.server.name,
        "registry": application.registry.name if application.registry is not None else None,
        "ports": [str(port) for port in ports_of(application.ports)],
        "volumes": [str(volume) for volume in volumes_of(application.volumes)],
        "command": as_command(application.command),
        "cpus": str(application.cpus) if application.cpus is not None else None,
        "environment_names": application.environment_names,
    }
