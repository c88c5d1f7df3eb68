"""What Dokploy 0.30 knows, as far as dokreg can use it.

Its database's columns and its API's fields have the same names, so that both are read here, from the same rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

DOCKER = "docker"  # the source of an application that is an image
BUILD = "build"  # the type of a server that only builds
Row = Mapping[str, Any]

# The services that dokreg has no counterpart of: their table, or their field in the API, and their name.
OTHER_SERVICES = {
    "compose": "compose stack",
    "postgres": "PostgreSQL database",
    "mysql": "MySQL database",
    "mariadb": "MariaDB database",
    "mongo": "MongoDB database",
    "redis": "Redis database",
    "libsql": "libSQL database",
}


class SourceFailed(Exception):
    """Dokploy cannot be read; `str()` is a sentence for people, without any secret."""


class UnknownShape(SourceFailed):
    """What was read is not what Dokploy 0.30 has."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"This is not what Dokploy 0.30 has: “{name}” is missing, or of another kind. dokreg reads Dokploy 0.30; "
            "bring Dokploy to that version first."
        )


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    name: str
    private_key: str = field(repr=False)
    public_key: str
    description: str = ""

    @classmethod
    def of(cls, row: Row) -> Self:
        return cls(
            id=text(row, "sshKeyId"),
            name=text(row, "name"),
            private_key=text(row, "privateKey"),
            public_key=text(row, "publicKey"),
            description=optional(row, "description"),
        )


@dataclass(frozen=True, slots=True)
class Server:
    id: str
    name: str
    host: str
    port: int
    user: str
    type: str
    key_id: str
    description: str = ""

    @classmethod
    def of(cls, row: Row) -> Self:
        return cls(
            id=text(row, "serverId"),
            name=text(row, "name"),
            host=text(row, "ipAddress"),
            port=number(row, "port"),
            user=text(row, "username"),
            type=text(row, "serverType"),
            key_id=optional(row, "sshKeyId"),
            description=optional(row, "description"),
        )


@dataclass(frozen=True, slots=True)
class Registry:
    id: str
    name: str
    url: str
    username: str
    password: str = field(repr=False)
    image_prefix: str

    @classmethod
    def of(cls, row: Row) -> Self:
        return cls(
            id=text(row, "registryId"),
            name=text(row, "registryName"),
            url=text(row, "registryUrl"),
            username=text(row, "username"),
            password=text(row, "password"),
            image_prefix=optional(row, "imagePrefix"),
        )


@dataclass(frozen=True, slots=True)
class Project:
    """`env`: shared by its applications; encrypted, or not, as all of Dokploy's environments."""

    id: str
    name: str
    description: str
    env: str = field(repr=False)

    @classmethod
    def of(cls, row: Row) -> Self:
        return cls(text(row, "projectId"), text(row, "name"), optional(row, "description"), optional(row, "env"))


@dataclass(frozen=True, slots=True)
class Environment:
    """A part of a project, such as production or staging."""

    id: str
    name: str
    project_id: str
    is_default: bool
    env: str = field(repr=False)

    @classmethod
    def of(cls, row: Row) -> Self:
        return cls(
            id=text(row, "environmentId"),
            name=text(row, "name"),
            project_id=text(row, "projectId"),
            is_default=row.get("isDefault") is True,
            env=optional(row, "env"),
        )


@dataclass(frozen=True, slots=True)
class Application:
    """`settings` are the columns about its container, as they are; `username`, `password` and `registry_url` those
    of the image itself, beside a registry."""

    id: str
    name: str
    app_name: str
    source: str
    environment_id: str
    server_id: str
    registry_id: str
    image: str
    username: str
    password: str = field(repr=False)
    registry_url: str
    env: str = field(repr=False)
    settings: Row = field(repr=False)
    ports: list[Row]
    mounts: list[Row] = field(repr=False)
    domains: list[str]
    redirects: int
    logins: int

    @classmethod
    def of(
        cls, row: Row, *, ports: list[Row], mounts: list[Row], domains: list[Row], redirects: int, logins: int
    ) -> Self:
        return cls(
            id=text(row, "applicationId"),
            name=text(row, "name"),
            app_name=text(row, "appName"),
            source=text(row, "sourceType"),
            environment_id=text(row, "environmentId"),
            server_id=optional(row, "serverId"),
            registry_id=optional(row, "registryId"),
            image=optional(row, "dockerImage"),
            username=optional(row, "username"),
            password=optional(row, "password"),
            registry_url=optional(row, "registryUrl"),
            env=optional(row, "env"),
            settings={name: row.get(name) for name in SETTINGS},
            ports=ports,
            mounts=mounts,
            domains=[text(domain, "host") for domain in domains],
            redirects=redirects,
            logins=logins,
        )


@dataclass(frozen=True, slots=True)
class OtherService:
    """`kind` in words."""

    kind: str
    name: str
    environment_id: str


@dataclass(slots=True)
class Dokploy:
    """One organisation of a Dokploy."""

    organization: str
    keys: list[Key] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)
    registries: list[Registry] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)
    environments: list[Environment] = field(default_factory=list)
    applications: list[Application] = field(default_factory=list)
    others: list[OtherService] = field(default_factory=list)


# The columns of an application that are about its container.
SETTINGS = (
    "description", "command", "args", "replicas", "memoryLimit", "memoryReservation", "cpuLimit", "cpuReservation",
    "healthCheckSwarm", "restartPolicySwarm", "placementSwarm", "updateConfigSwarm", "rollbackConfigSwarm",
    "modeSwarm", "labelsSwarm", "networkSwarm", "stopGracePeriodSwarm", "endpointSpecSwarm", "ulimitsSwarm",
    "networkIds", "detachDokployNetwork",
)  # fmt: skip
# All that is read of it.
APPLICATION = (
    "applicationId", "name", "appName", "sourceType", "environmentId", "serverId", "registryId", "dockerImage",
    "username", "password", "registryUrl", "env", *SETTINGS,
)  # fmt: skip


def text(row: Row, name: str) -> str:
    """Raises UnknownShape unless there is a text of this name."""
    value = row.get(name)
    if not isinstance(value, str):
        raise UnknownShape(name)
    return value


def optional(row: Row, name: str) -> str:
    """The text, "" for NULL. Raises UnknownShape for what is missing, or something else."""
    if name not in row or not isinstance(row[name], str | None):
        raise UnknownShape(name)
    return row[name] or ""


def number(row: Row, name: str) -> int:
    """Raises UnknownShape unless there is a whole number of this name."""
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise UnknownShape(name)
    return value


def rows(value: Any, name: str) -> list[Row]:
    """Raises UnknownShape unless it is a list of rows; `name` is what it was asked for."""
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise UnknownShape(name)
    return value
