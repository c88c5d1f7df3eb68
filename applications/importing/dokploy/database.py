"""Reads an organisation of Dokploy out of its PostgreSQL database: one snapshot, and nothing but reading."""

from collections import defaultdict
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from applications.importing.dokploy.records import (
    APPLICATION,
    OTHER_SERVICES,
    Application,
    Dokploy,
    Environment,
    Key,
    OtherService,
    Project,
    Registry,
    Row,
    Server,
    SourceFailed,
)
from dokreg.scrub import scrub

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 30
_Cursor = psycopg.Cursor[dict[str, Any]]

_NOT_AN_ADDRESS = "This is no address of a PostgreSQL database. It looks like postgresql://USER@HOST:5432/dokploy"
_WRONG_SCHEMA = (
    "This database is not one of Dokploy 0.30: a table or column is missing. dokreg reads Dokploy 0.30; bring Dokploy "
    "to that version first, or name its own database."
)


def has_password(address: str) -> bool:
    """Whether the address carries a password, however it is written. Raises SourceFailed if it is no address."""
    return bool(_parts(address).get("password"))


def read(address: str, *, organization: str) -> Dokploy:
    """Read the organisation with this id or name; "" for the only one. Raises SourceFailed, in which is no secret."""
    parts = _parts(address)
    limits = f"-c default_transaction_read_only=on -c statement_timeout={STATEMENT_SECONDS * 1000}"
    parts |= {
        "application_name": "dokreg import",
        "connect_timeout": min(int(parts.get("connect_timeout", CONNECT_SECONDS)), CONNECT_SECONDS),
        "options": f"{parts.get('options', '')} {limits}".strip(),
    }
    try:
        with psycopg.connect(**parts, row_factory=dict_row) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.cursor() as cursor:
                return _read_all(cursor, organization)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        raise SourceFailed(_WRONG_SCHEMA) from None
    except psycopg.errors.QueryCanceled:
        raise SourceFailed(f"Dokploy's database took longer than {STATEMENT_SECONDS} s for an answer.") from None
    except psycopg.Error as error:
        words = scrub(" ".join(str(error).split()), [str(parts.get("password", ""))])
        raise SourceFailed(f"Dokploy's database cannot be read. PostgreSQL says: {words}") from None


def _parts(address: str) -> dict[str, Any]:
    try:
        parts = conninfo_to_dict(address)
        int(parts.get("connect_timeout") or 0)
    except (psycopg.Error, ValueError):
        raise SourceFailed(_NOT_AN_ADDRESS) from None  # what is said of it quotes it
    return {name: value for name, value in parts.items() if value is not None}


def _read_all(cursor: _Cursor, wanted: str) -> Dokploy:
    found = _organization(cursor, wanted)
    own = {"organizationId": found["id"]}
    projects = [Project.of(row) for row in _rows(cursor, "project", ("projectId", "name", "description", "env"), own)]
    in_projects = {"projectId": [project.id for project in projects]}
    columns = ("environmentId", "name", "projectId", "isDefault", "env")
    environments = [Environment.of(row) for row in _rows(cursor, "environment", columns, in_projects)]
    here = {"environmentId": [environment.id for environment in environments]}
    return Dokploy(
        organization=str(found["name"]),
        keys=[Key.of(row) for row in _rows(cursor, "ssh-key", _KEY, own)],
        servers=[Server.of(row) for row in _rows(cursor, "server", _SERVER, own)],
        registries=[Registry.of(row) for row in _rows(cursor, "registry", _REGISTRY, own)],
        projects=projects,
        environments=environments,
        applications=_applications(cursor, here),
        others=[
            OtherService(kind, str(row["name"]), str(row["environmentId"]))
            for table, kind in OTHER_SERVICES.items()
            for row in _rows(cursor, table, ("name", "environmentId"), here)
        ],
    )


_KEY = ("sshKeyId", "name", "description", "privateKey", "publicKey")
_SERVER = ("serverId", "name", "description", "ipAddress", "port", "username", "serverType", "sshKeyId")
_REGISTRY = ("registryId", "registryName", "registryUrl", "username", "password", "imagePrefix")


def _organization(cursor: _Cursor, wanted: str) -> Row:
    cursor.execute('SELECT "id", "name" FROM "organization" ORDER BY "name", "id"')
    every = cursor.fetchall()
    found = [row for row in every if row["id"] == wanted] or [row for row in every if wanted in {"", row["name"]}]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"“{row['name']}” ({row['id']})" for row in found or every)
    if not every:
        raise SourceFailed("There is no organisation in this Dokploy.")
    what = "There are several" if found else f"There is no organisation “{wanted}”; there are"
    raise SourceFailed(f"{what}: name one of them in --dokploy-organization: {names}.")


def _applications(cursor: _Cursor, here: Row) -> list[Application]:
    found = _rows(cursor, "application", APPLICATION, here)
    theirs = {"applicationId": [row["applicationId"] for row in found]}
    ports = _by_application(cursor, "port", ("publishedPort", "targetPort", "protocol"), theirs)
    mounts = _by_application(cursor, "mount", ("type", "hostPath", "volumeName", "filePath", "mountPath"), theirs)
    domains = _by_application(cursor, "domain", ("host",), theirs)
    redirects = _by_application(cursor, "redirect", (), theirs)
    logins = _by_application(cursor, "security", (), theirs)
    return [
        Application.of(
            row,
            ports=ports[row["applicationId"]],
            mounts=mounts[row["applicationId"]],
            domains=domains[row["applicationId"]],
            redirects=len(redirects[row["applicationId"]]),
            logins=len(logins[row["applicationId"]]),
        )
        for row in found
    ]


def _by_application(cursor: _Cursor, table: str, columns: tuple[str, ...], theirs: Row) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in _rows(cursor, table, ("applicationId", *columns), theirs):
        found[row["applicationId"]].append(row)
    return found


def _rows(cursor: _Cursor, table: str, columns: tuple[str, ...], condition: Row) -> list[Row]:
    """Columns of the rows whose one column has the value, or one of the values."""
    ((name, value),) = condition.items()
    query = sql.SQL("SELECT {} FROM {} WHERE {} = ANY(%s)").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table), sql.Identifier(name)
    )
    cursor.execute(query, [value if isinstance(value, list) else [value]])
    return list(cursor.fetchall())
