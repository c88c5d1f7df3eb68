"""The server and SSH key procedures of the HTTP API. No answer carries a private key."""

from typing import Annotated, Any, Literal

from django.db import transaction
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema

from organisations.forms import as_posted
from organisations.procedures import (
    Caller,
    Code,
    Refusal,
    Schema,
    Timestamp,
    invalid,
    mutation,
    not_found,
    query,
    refused_form,
    revealed,
)
from servers import hosts, keys, testing, watching
from servers.forms import PASTE_AGAIN, ServerForm, SSHKeyForm
from servers.models import Server, ServerTest, SSHKey

DEADLINE_SECONDS = 70.0  # a little more than a test may take (servers.stages.TEST_DEADLINE)
TRUST = "servers.trust_server"
OWN_HOST = frozenset({"", "none"})
ON_THE_WIRE = {
    "name": "name",
    "host": "ipAddress",
    "port": "port",
    "user": "username",
    "ssh_key": "sshKeyId",
    "private_key": "privateKey",
    "source": "privateKey",
    "__all__": "",
}
EXAMPLE_ID, EXAMPLE_KEY_ID = "Zk3vQm8xWc2LrPz7NvYsB", "Hq5tRn1yXd6MsQw9PuZaC"
EXAMPLE = {
    "serverId": EXAMPLE_ID,
    "name": "web-1",
    "description": "",
    "ipAddress": "10.0.0.5",
    "port": 22,
    "username": "deploy",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "organizationId": "bT7kQm2xWc9LrPz4NvYsA",
    "serverStatus": "active",
    "serverType": "deploy",
    "sshKeyId": EXAMPLE_KEY_ID,
    "hostKeyState": "confirmed",
    "hostKeyFingerprint": "SHA256:7Y0Yd3dJq2n5bqYB3yWcVqg6cVtVYt4yq2v8E0m3h1c",
    "seenHostKeyFingerprint": None,
    "lastTest": {"state": "passed", "verdict": "", "finishedAt": "2026-01-01T00:00:00.000Z"},
}
EXAMPLE_INPUT = {
    "name": "web-1",
    "description": "",
    "ipAddress": "10.0.0.5",
    "port": 22,
    "username": "deploy",
    "sshKeyId": EXAMPLE_KEY_ID,
    "serverType": "deploy",
}
EXAMPLE_KEY = {
    "sshKeyId": EXAMPLE_KEY_ID,
    "name": "deploy key",
    "description": "",
    "publicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPq…",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "lastUsedAt": None,
    "organizationId": "bT7kQm2xWc9LrPz4NvYsA",
    "fingerprint": "SHA256:7Y0Yd3dJq2n5bqYB3yWcVqg6cVtVYt4yq2v8E0m3h1c",
}


def _no_builder(server_type: str) -> str:
    if server_type == "build":
        raise ValueError("dokreg builds no images: it has servers of the type deploy alone.")
    return server_type


def _named_key(key_id: Any) -> Any:
    if key_id is None or key_id == "":
        raise ValueError("Name the SSH key that opens the server.")
    return key_id


ServerType = Annotated[
    Literal["deploy", "build"], AfterValidator(_no_builder), WithJsonSchema({"type": "string", "enum": ["deploy"]})
]


class LastServerTest(Schema):
    """The last test of a server: `verdict` is the code of the cause, empty if all was well."""

    state: str
    verdict: str
    finished_at: Timestamp | None


class ServerRecord(Schema):
    server_id: str
    name: str
    description: str
    ip_address: str = Field(description="Host name or IP address.")
    port: int
    username: str
    created_at: Timestamp
    organization_id: str
    server_status: Literal["active"]
    server_type: Literal["deploy"]
    ssh_key_id: str
    host_key_state: Literal["confirmed", "unconfirmed", "changed"]
    host_key_fingerprint: str | None = Field(description="Of the pinned host key; null: none is pinned.")
    seen_host_key_fingerprint: str | None = Field(description="Of another key that it has shown since.")
    last_test: LastServerTest | None


class ServerId(Schema):
    server_id: Annotated[str, Field(min_length=1)]


class NewServer(Schema):
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    ip_address: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    username: Annotated[str, Field(min_length=1)] = "root"
    ssh_key_id: Annotated[str, BeforeValidator(_named_key), Field(min_length=1, description="Which one opens it.")]
    server_type: ServerType = "deploy"
    host_key: str | None = Field(
        None, description="An OpenSSH public-key line to pin; left out, the one that it shows at first is pinned."
    )


class ChangedServer(ServerId):
    """What is left out stays as it is."""

    name: str | None = None
    description: str | None = None
    ip_address: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    username: str | None = None
    ssh_key_id: str | None = None
    server_type: ServerType | None = None
    host_key: str | None = None


class DockerFound(Schema):
    enabled: bool
    version: str | None


class Rung(Schema):
    """One step of the ladder: `milliseconds` is null where it was not reached."""

    name: str
    label: str
    state: str
    milliseconds: int | None
    cause: str
    fix: str
    words: str
    fact: str


class Validation(Schema):
    """What the test of a server found."""

    docker: DockerFound
    state: str
    verdict: str
    message: str = Field(description="Cause and fix in a sentence or two; empty if all is well.")
    rungs: list[Rung]


class SSHKeyRecord(Schema):
    """An SSH key. The private half is in no answer."""

    ssh_key_id: str
    name: str
    description: str
    public_key: str
    created_at: Timestamp
    last_used_at: None = None
    organization_id: str
    fingerprint: str


class SSHKeyId(Schema):
    ssh_key_id: Annotated[str, Field(min_length=1)]


class NewSSHKey(Schema):
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    private_key: SecretStr | None = Field(None, description="Left out or empty: an Ed25519 pair is made.")
    public_key: str | None = Field(None, description="If given, it must be that of the private key.")
    organization_id: str | None = None


@query("server.all", "servers.view_server", answers=list[ServerRecord], answer_example=[EXAMPLE])
def show_servers(caller: Caller, _values: Schema) -> list[ServerRecord]:
    """List the organisation's servers, by name."""
    return [_record(server) for server in _servers(caller)]


@query("server.one", "servers.view_server", takes=ServerId, answers=ServerRecord, example={"serverId": EXAMPLE_ID},
       answer_example=EXAMPLE)  # fmt: skip
def show_server(caller: Caller, values: ServerId) -> ServerRecord:
    """Show a server."""
    return _record(_server(caller, values.server_id))


@mutation("server.create", "servers.add_server", takes=NewServer, answers=ServerRecord, example=EXAMPLE_INPUT,
          answer_example=EXAMPLE)  # fmt: skip
def create_server(caller: Caller, values: NewServer) -> ServerRecord:
    """Add a server, pin its host key, and test it.

    With `hostKey` that key is pinned. Without, dokreg connects once and pins the key that it is shown, as far as the
    caller may confirm host keys; the audit trail says so. Compare `hostKeyFingerprint` with what the server says.
    """
    data = {
        "name": values.name,
        "description": values.description or "",
        "host": values.ip_address,
        "port": str(values.port),
        "user": values.username,
        "ssh_key": _key(caller, values.ssh_key_id).pk,
    }
    host_key = _pinned(caller, values.host_key)
    with watching.place(caller.organisation.pk):
        server, test = _save(caller, Server(), data, host_key)
        if test is not None and not host_key and TRUST in caller:
            watching.wait_until_over(test, seconds=DEADLINE_SECONDS)
            if caller.may_still(TRUST):
                hosts.pin_at_first_contact(server=server, by=caller.user)
    return _record(_server(caller, server.pk))


@mutation("server.update", "servers.change_server", takes=ChangedServer, answers=ServerRecord,
          example={"serverId": EXAMPLE_ID} | EXAMPLE_INPUT, answer_example=EXAMPLE)  # fmt: skip
def update_server(caller: Caller, values: ChangedServer) -> ServerRecord:
    """Change a server. For another host or port no host key is pinned, unless `hostKey` names it."""
    host_key = _pinned(caller, values.host_key)
    with transaction.atomic():  # what others change at the same moment is not changed back
        server = _server(caller, values.server_id, locked=True)
        data = {
            "name": values.name if values.name is not None else server.name,
            "description": (values.description or "") if "description" in values.given else server.description,
            "host": values.ip_address if values.ip_address is not None else server.host,
            "port": str(values.port if values.port is not None else server.port),
            "user": values.username if values.username is not None else server.user,
            "ssh_key": _key(caller, values.ssh_key_id).pk if values.ssh_key_id else server.ssh_key_id,
        }
        _save(caller, server, data, host_key)
    return _record(_server(caller, values.server_id))


@mutation("server.remove", "servers.delete_server", takes=ServerId, answers=ServerRecord,
          example={"serverId": EXAMPLE_ID}, answer_example=EXAMPLE, refuses=[Code.CONFLICT])  # fmt: skip
def remove_server(caller: Caller, values: ServerId) -> ServerRecord:
    """Delete a server; refused while something uses it."""
    server = _server(caller, values.server_id)
    record = _record(server)
    hosts.delete_server(server=server)
    return record


@query("server.validate", "servers.view_server", takes=ServerId, answers=Validation, example={"serverId": EXAMPLE_ID},
       refuses=[Code.GATEWAY_TIMEOUT], answer_example={
           "docker": {"enabled": True, "version": "28.2.2"},
           "state": "passed", "verdict": "", "message": "", "rungs": [],
       })  # fmt: skip
def validate_server(caller: Caller, values: ServerId) -> Validation:
    """Test a server: SSH, Docker CLI, daemon, disk."""
    server = _server(caller, values.server_id)
    with watching.place(caller.organisation.pk):
        test = testing.ask_unless_running(server=server, asked_by=caller.user)
        _wait_for(test)
    return Validation(
        docker=DockerFound(enabled=bool(test.daemon_version), version=test.daemon_version or None),
        state=test.state,
        verdict=test.verdict,
        message=test.explanation,
        rungs=[Rung(**rung) for rung in test.rungs],
    )


@query("sshKey.all", "servers.view_sshkey", answers=list[SSHKeyRecord], answer_example=[EXAMPLE_KEY])
def show_keys(caller: Caller, _values: Schema) -> list[SSHKeyRecord]:
    """List the organisation's SSH keys, by name."""
    return [_key_record(key) for key in _keys(caller)]


@query("sshKey.one", "servers.view_sshkey", takes=SSHKeyId, answers=SSHKeyRecord,
       example={"sshKeyId": EXAMPLE_KEY_ID}, answer_example=EXAMPLE_KEY)  # fmt: skip
def show_key(caller: Caller, values: SSHKeyId) -> SSHKeyRecord:
    """Show an SSH key."""
    return _key_record(_key(caller, values.ssh_key_id))


@mutation("sshKey.create", "servers.add_sshkey", takes=NewSSHKey, answers=SSHKeyRecord,
          example={"name": "deploy key", "privateKey": "", "publicKey": "", "organizationId": ""},
          answer_example=EXAMPLE_KEY)  # fmt: skip
def create_key(caller: Caller, values: NewSSHKey) -> SSHKeyRecord:
    """Add an SSH key: the one that is sent, or a new one that never exists outside dokreg."""
    if values.organization_id not in {None, "", caller.organisation.pk}:
        raise not_found("Organization")
    private = revealed(values.private_key)
    source = SSHKeyForm.Source.PASTE if private.strip() else SSHKeyForm.Source.GENERATE
    data = as_posted(
        {"name": values.name, "description": values.description or "", "source": source, "private_key": private}
    )
    form = SSHKeyForm(data, organisation=caller.organisation)
    if not form.is_valid():
        raise refused_form(form, ON_THE_WIRE, but=PASTE_AGAIN)
    if values.public_key and values.public_key.split()[:2] != form.pair.public.split()[:2]:
        raise invalid({"publicKey": ["This is not the public half of the private key. Leave it out, or send its own."]})
    return _key_record(hosts.create_key(key=form.instance, pair=form.pair))


@mutation("sshKey.remove", "servers.delete_sshkey", takes=SSHKeyId, answers=SSHKeyRecord,
          example={"sshKeyId": EXAMPLE_KEY_ID}, answer_example=EXAMPLE_KEY, refuses=[Code.CONFLICT])  # fmt: skip
def remove_key(caller: Caller, values: SSHKeyId) -> SSHKeyRecord:
    """Delete an SSH key; refused while servers are reached with it."""
    key = _key(caller, values.ssh_key_id)
    record = _key_record(key)
    hosts.delete_key(key=key)
    return record


def server_named(caller: Caller, server_id: str | None) -> Server | None:
    """The organisation's server of this id; None (dokreg's own host) for nothing, for "" and for "none".

    Raises Refusal for any other.
    """
    return None if (server_id or "") in OWN_HOST else _server(caller, server_id or "")


def _servers(caller: Caller) -> Any:
    return Server.objects.of(caller.organisation).select_related("organisation", "last_test").order_by("name")


def _server(caller: Caller, server_id: str, *, locked: bool = False) -> Server:
    rows = _servers(caller).select_related("ssh_key")
    server: Server | None = (rows.select_for_update(of=("self",)) if locked else rows).filter(pk=server_id).first()
    if server is None:
        raise not_found("Server")
    return server


def _record(server: Server) -> ServerRecord:
    last = server.last_test
    return ServerRecord.model_construct(
        server_id=server.pk,
        name=server.name,
        description=server.description,
        ip_address=server.host,
        port=server.port,
        username=server.user,
        created_at=server.created_at,
        organization_id=server.organisation_id,
        server_status="active",
        server_type="deploy",
        ssh_key_id=server.ssh_key_id,
        host_key_state=server.host_key_state,
        host_key_fingerprint=server.host_key_fingerprint or None,
        seen_host_key_fingerprint=server.seen_fingerprint or None,
        last_test=last
        and LastServerTest.model_construct(state=last.state, verdict=last.verdict, finished_at=last.finished_at),
    )


def _save(caller: Caller, server: Server, data: dict[str, str], host_key: str) -> tuple[Server, ServerTest | None]:
    """Save a server with the page's own form; the test that was asked for, if how to reach it is new."""
    form = ServerForm(as_posted(data), instance=server, organisation=caller.organisation)
    _check(form)
    changed = server._state.adding or form.connection_changed or bool(host_key)
    test = hosts.save_server(server=form.instance, by=caller.user, connection_changed=changed, host_key=host_key)
    return form.instance, test


def _pinned(caller: Caller, line: str | None) -> str:
    """The key to pin, as it is stored, "" for none; raises Refusal."""
    if not line:
        return ""
    caller.check(TRUST, purpose="to pin a host key")
    try:
        return keys.read_host_key(line)
    except keys.BadKey as error:
        raise invalid({"hostKey": [str(error)]}) from error


def _wait_for(test: ServerTest) -> None:
    if not watching.wait_until_over(test, seconds=DEADLINE_SECONDS):
        raise Refusal(Code.GATEWAY_TIMEOUT, f"The test of the server has not ended in {DEADLINE_SECONDS:.0f} s.")


def _keys(caller: Caller) -> Any:
    return SSHKey.objects.of(caller.organisation).defer("private_key").order_by("name")


def _key(caller: Caller, key_id: str) -> SSHKey:
    key: SSHKey | None = _keys(caller).filter(pk=key_id).first()
    if key is None:
        raise not_found("SSH key")
    return key


def _key_record(key: SSHKey) -> SSHKeyRecord:
    return SSHKeyRecord.model_construct(
        ssh_key_id=key.pk,
        name=key.name,
        description=key.description,
        public_key=key.public_key,
        created_at=key.created_at,
        last_used_at=None,
        organization_id=key.organisation_id,
        fingerprint=key.fingerprint,
    )


def _check(form: Any) -> None:
    if not form.is_valid():
        raise refused_form(form, ON_THE_WIRE)
