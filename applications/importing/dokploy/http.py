"""Reads an organisation of Dokploy through its HTTP API, with a key that belongs to a member of it."""

import json
import time
from collections.abc import Iterable
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from applications.importing.dokploy.records import (
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
    UnknownShape,
    optional,
    rows,
    text,
)
from dokreg.addresses import is_loopback_name

SECONDS = 30.0  # for one answer, from the first byte asked to the last one read
LONGEST_ANSWER = 64 * 1024 * 1024

_NOT_AN_ADDRESS = "This is no address of a Dokploy. It looks like https://dokploy.example.com"
_NO_TLS = (
    "The key and every secret would go over the network in clear. Give an address with https://, or go through SSH: "
    "ssh -L 3000:127.0.0.1:3000 USER@HOST, and then --api http://127.0.0.1:3000"
)
_REFUSED = "Dokploy refuses the key: it is wrong, has expired, asks too often, or its member may not read this."


def read(address: str, key: str, *, organization: str) -> Dokploy:
    """Read the key's organisation; `organization`, an id or a name, has to be that one unless it is "".

    Raises SourceFailed, in which is no secret.
    """
    with _Api(address, key) as api:
        found = _read_all(api)
        found.organization = _name_of(api, organization, found.organization)
    return found


class _Api:
    """The REST surface: `GET /api/<router>.<procedure>?…`, the answer is the bare JSON value."""

    def __init__(self, address: str, key: str) -> None:
        base = checked(address)
        # A proxy of the environment would see what goes to this machine's own loopback in clear.
        self._client = httpx.Client(
            base_url=base,
            headers={"x-api-key": key, "accept": "application/json"},
            timeout=SECONDS,
            trust_env=base.startswith("https://"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, procedure: str, **parameters: str) -> Any:
        """Raises SourceFailed. No redirect is followed: the key goes nowhere else."""
        try:
            status, body = self._answer(procedure, parameters)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceFailed(f"Dokploy does not answer {procedure}: {type(error).__name__}.") from None
        if status in {401, 403}:
            raise SourceFailed(f"{_REFUSED} It was asked for {procedure}.")
        if status != 200:
            raise SourceFailed(f"Dokploy answers {procedure} with the status {status}. Is this its address?")
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise SourceFailed(
                f"What answers {procedure} is no Dokploy: it sends no JSON. Is this its address?"
            ) from None

    def _answer(self, procedure: str, parameters: dict[str, str]) -> tuple[int, bytes]:
        end = time.monotonic() + SECONDS
        with self._client.stream("GET", f"/api/{procedure}", params=parameters) as response:
            body = bytearray()
            for part in response.iter_bytes():
                body += part
                if len(body) > LONGEST_ANSWER:
                    raise SourceFailed(f"Dokploy's answer to {procedure} is longer than 64 MiB.")
                if time.monotonic() > end:
                    raise SourceFailed(f"Dokploy took longer than {SECONDS:.0f} s for {procedure}.")
            return response.status_code, bytes(body)


def checked(address: str) -> str:
    """The address without what follows the host, unless it would carry secrets in clear. Raises SourceFailed."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SourceFailed(_NOT_AN_ADDRESS) from None
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise SourceFailed(_NOT_AN_ADDRESS)
    if parts.path.rstrip("/") not in {"", "/api"}:
        raise SourceFailed(_NOT_AN_ADDRESS)
    if parts.scheme == "http" and not is_loopback_name(host):
        raise SourceFailed(_NO_TLS)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}"


def _read_all(api: _Api) -> Dokploy:
    keys, servers, registries = (_all(api, f"{router}.all") for router in ("sshKey", "server", "registry"))
    projects = [_object(api, "project.one", projectId=text(row, "projectId")) for row in _all(api, "project.all")]
    environments = [(project, part) for project in projects for part in _inner(project, "environments")]
    found = Dokploy(
        organization=_organization_of([*keys, *servers, *registries, *projects]),
        keys=[Key.of(row) for row in keys],
        servers=[Server.of(row) for row in servers],
        registries=[Registry.of(row) for row in registries],
        projects=[Project.of(row) for row in projects],
        environments=[Environment.of({"projectId": project["projectId"], **part}) for project, part in environments],
    )
    for _project, part in environments:
        found.others += _others(part)
        found.applications += [_application(api, text(row, "applicationId")) for row in _inner(part, "applications")]
    return found


def _application(api: _Api, application_id: str) -> Application:
    row = _object(api, "application.one", applicationId=application_id)
    return Application.of(
        row,
        ports=_inner(row, "ports"),
        mounts=_inner(row, "mounts"),
        domains=_inner(row, "domains"),
        redirects=len(_inner(row, "redirects")),
        logins=len(_inner(row, "security")),
    )


def _others(environment: Row) -> Iterable[OtherService]:
    for name, kind in OTHER_SERVICES.items():
        for row in _inner(environment, name):
            yield OtherService(kind, text(row, "name"), text(environment, "environmentId"))


def _all(api: _Api, procedure: str) -> list[Row]:
    return rows(api.get(procedure), procedure)


def _object(api: _Api, procedure: str, **parameters: str) -> Row:
    answer = api.get(procedure, **parameters)
    if not isinstance(answer, dict):
        raise UnknownShape(procedure)
    return answer


def _inner(row: Row, name: str) -> list[Row]:
    return rows(row.get(name), name)


def _organization_of(found: list[Row]) -> str:
    """The id of the organisation that everything belongs to; "" if there is nothing."""
    return next((optional(row, "organizationId") for row in found), "")


def _name_of(api: _Api, wanted: str, own: str) -> str:
    """The name of the key's organisation. Raises SourceFailed if another one is wanted."""
    every = {text(row, "id"): text(row, "name") for row in _all(api, "organization.all")}
    if wanted and own and wanted not in {own, every.get(own)}:
        raise SourceFailed(
            f"The key belongs to the organisation “{every.get(own, own)}”, not to “{wanted}”. Make a key in that one: "
            "a key reads its own organisation alone."
        )
    return every.get(own, wanted or "an organisation without anything in it")
