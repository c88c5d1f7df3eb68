"""What a Dokploy 0.30.2 knows: as rows of its PostgreSQL database, and behind a stand-in for its HTTP API."""

import base64
import hmac
import itertools
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import sql
from psycopg.types.json import Json

from tests.lab.clouds import Asked, Cloud
from tests.lab.impostors import Answer

TABLES = Path(__file__).with_name("dokploy.sql")
CREATED = "2026-08-21T15:14:50.000Z"
SERVICES = ("compose", "postgres", "mysql", "mariadb", "mongo", "redis", "libsql")
OF_AN_APPLICATION = {
    "ports": "port",
    "mounts": "mount",
    "domains": "domain",
    "redirects": "redirect",
    "security": "security",
}

Row = dict[str, Any]


def encrypted(text: str, secret: str) -> str:
    """As Dokploy stores an environment."""
    key = hmac.digest(secret.encode(), b"dokploy:db-encryption:v1", "sha256")
    nonce = secrets.token_bytes(12)
    sealed = AESGCM(key).encrypt(nonce, text.encode(), None)
    return "enc:v1:" + base64.b64encode(nonce + sealed[-16:] + sealed[:-16]).decode()


@dataclass
class Dokploy:
    """Rows by table, as a test adds them; a column that is not named is as Dokploy makes it."""

    organization_id: str = "org-1"
    rows: dict[str, list[Row]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.add_organization(self.organization_id, "Acme GmbH")

    def add_organization(self, organization_id: str, name: str) -> None:
        self.rows.setdefault("organization", []).append(
            {"id": organization_id, "name": name, "created_at": "2026-01-01", "owner_id": "user-1"}
        )

    def add(self, table: str, key: str, **columns: Any) -> str:
        """A row of a table; its id."""
        made = {} if table in {"port", "mount"} else {"createdAt": CREATED}
        row = {key: f"{table}-{next(self._numbers)}"} | made | columns
        self.rows.setdefault(table, []).append(row)
        return str(row[key])

    def _owned(self, columns: Row) -> Row:
        return {"organizationId": self.organization_id} | columns

    def add_key(self, name: str, private: str, public: str = "", **columns: Any) -> str:
        usual = {"description": None, "privateKey": private, "publicKey": public}
        return self.add("ssh-key", "sshKeyId", name=name, **usual | self._owned(columns))

    def add_server(self, name: str, key: str | None, **columns: Any) -> str:
        usual = {
            "description": None,
            "ipAddress": "10.0.0.5",
            "port": 22,
            "username": "root",
            "serverType": "deploy",
            "appName": f"server-{name}",
        }
        return self.add("server", "serverId", name=name, sshKeyId=key, **usual | self._owned(columns))

    def add_registry(self, name: str, url: str, username: str, password: str, **columns: Any) -> str:
        usual = {
            "registryName": name,
            "registryUrl": url,
            "username": username,
            "password": password,
            "imagePrefix": None,
        }
        return self.add("registry", "registryId", **usual | self._owned(columns))

    def add_project(self, name: str, **columns: Any) -> str:
        usual = {"name": name, "description": None, "env": ""}
        return self.add("project", "projectId", **usual | self._owned(columns))

    def add_environment(self, project: str, name: str = "production", **columns: Any) -> str:
        usual = {"name": name, "projectId": project, "env": "", "isDefault": name == "production"}
        return self.add("environment", "environmentId", **usual | columns)

    def add_application(self, environment: str, name: str, **columns: Any) -> str:
        """`ports`, `mounts`, `domains`, `redirects` and `security` are lists of rows of their own."""
        own = {table: columns.pop(names, []) for names, table in OF_AN_APPLICATION.items()}
        usual = {
            "name": name,
            "appName": f"app-{name.replace(' ', '-')}-x1y2z3",
            "environmentId": environment,
            "sourceType": "docker",
            "replicas": 1,
            "networkIds": [],
            "detachDokployNetwork": False,
        }
        application = self.add("application", "applicationId", **usual | columns)
        for table, rows in own.items():
            for row in rows:
                self.add(table, f"{table}Id", applicationId=application, **row)
        return application

    def add_service(self, kind: str, environment: str, name: str) -> None:
        self.add(kind, f"{kind}Id", name=name, appName=f"{kind}-{name}", environmentId=environment)

    def fill(self, connection: psycopg.Connection[Any]) -> None:
        """Make the tables in an empty database, with these rows in them."""
        connection.execute(TABLES.read_bytes())
        for table, rows in self.rows.items():
            for row in rows:
                _insert(connection, table, row)

    def of(self, table: str, **condition: str) -> list[Row]:
        return [row for row in self.rows.get(table, []) if condition.items() <= row.items()]


def _insert(connection: psycopg.Connection[Any], table: str, row: Row) -> None:
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )
    connection.execute(statement, [Json(value) if _is_json(name, value) else value for name, value in row.items()])


def _is_json(name: str, value: Any) -> bool:
    return name.endswith("Swarm") and isinstance(value, dict | list)


@dataclass
class DokployApi(Cloud):
    """Stands in for Dokploy's REST surface, as far as an import asks it: its server and its database are not here.

    It answers for the one organisation that its key belongs to, with the passwords and keys that the real one answers
    with as well.
    """

    username: ClassVar[str] = ""

    dokploy: Dokploy = field(default_factory=Dokploy)
    key: str = "k" * 64
    asked: list[str] = field(default_factory=list)

    def respond(self, asked: Asked) -> Answer:
        procedure = asked.path.removeprefix("/api/")
        self.asked.append(procedure)
        if asked.header("x-api-key") != self.key:
            return Answer(401, json.dumps({"message": "Unauthorized"}))
        query = {name: values[0] for name, values in parse_qs(str(asked.environ["QUERY_STRING"])).items()}
        try:
            answer = self._answer(procedure, query)
        except LookupError:
            return Answer(404, json.dumps({"message": "Not found", "code": "NOT_FOUND"}))
        return Answer(200, json.dumps(answer))

    def throttled(self) -> Answer:
        return Answer(429, json.dumps({"message": "Too many requests"}))

    def _answer(self, procedure: str, query: dict[str, str]) -> Any:
        own = {"organizationId": self.dokploy.organization_id}
        match procedure:
            case "registry.all":
                return self.dokploy.of("registry", **own)
            case "server.all":
                return self.dokploy.of("server", **own)
            case "sshKey.all":
                return self.dokploy.of("ssh-key", **own)
            case "project.all":
                return self.dokploy.of("project", **own)
            case "organization.all":
                return self.dokploy.rows["organization"]
            case "project.one":
                return self._project(query["projectId"])
            case "application.one":
                return self._application(query["applicationId"])
        raise LookupError(procedure)

    def _project(self, project_id: str) -> Row:
        (project,) = self.dokploy.of("project", projectId=project_id)
        return project | {
            "environments": [
                environment | self._services(str(environment["environmentId"]))
                for environment in self.dokploy.of("environment", projectId=project_id)
            ]
        }

    def _services(self, environment_id: str) -> Row:
        applications = self.dokploy.of("application", environmentId=environment_id)
        services = {kind: self.dokploy.of(kind, environmentId=environment_id) for kind in SERVICES}
        shown = ("applicationId", "name", "appName")
        return {"applications": [{name: row[name] for name in shown} for row in applications]} | services

    def _application(self, application_id: str) -> Row:
        (row,) = self.dokploy.of("application", applicationId=application_id)
        inner = {
            names: self.dokploy.of(table, applicationId=application_id) for names, table in OF_AN_APPLICATION.items()
        }
        return dict.fromkeys(NULLABLE) | row | inner


# Columns of an application that are NULL unless something was set.
NULLABLE = (
    "command", "args", "memoryLimit", "memoryReservation", "cpuLimit", "cpuReservation", "healthCheckSwarm",
    "restartPolicySwarm", "placementSwarm", "updateConfigSwarm", "rollbackConfigSwarm", "modeSwarm", "labelsSwarm",
    "networkSwarm", "stopGracePeriodSwarm", "endpointSpecSwarm", "ulimitsSwarm", "serverId", "registryId",
    "dockerImage", "username", "password", "registryUrl", "env",
)  # fmt: skip
