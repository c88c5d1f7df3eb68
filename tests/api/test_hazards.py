"""What others do while a call waits, what keys do to keys, and other ways to lose something or get too much."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest

from applications.models import Application
from organisations import api_keys
from organisations.api_key_models import ApiKey
from organisations.audit_words import lines_of
from organisations.models import AuditEntry, Membership, Organisation, User
from registries import proving
from registries.models import Registry, RegistryTest, Rotation
from registries.proving import Proof
from servers import docker, hosts, keys, watching
from servers.keys import BadKey
from servers.models import Server
from tests.api.calling import Answer, Api, key_of
from tests.applications.rows import make_application
from tests.people import allow, membership_of
from tests.registries.rows import make_registry
from tests.servers.rows import HOST_KEY, make_server

Meanwhile = Callable[[Callable[[], object]], None]
NEW = {"registryName": "New", "username": "robot", "password": "pw", "registryUrl": "registry.example.com:5000"}
VIEW = "registries.view_registry"
IN_AN_ENVELOPE = '{"json":{"marked\\ud800":"\\u0000","password":["marked\\u0000"]}}'
HOST_KEY_WORDS = HOST_KEY.split()


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Lets every test pass, after something else has happened in the meantime."""

    def happens(what: Callable[[], object]) -> None:
        def prove(*_: Any) -> Proof:
            what()
            return Proof()

        monkeypatch.setattr(proving, "_prove", prove)

    return happens


@pytest.fixture
def registry(organisation: Organisation, alice: User) -> Registry:
    return make_registry(organisation, alice, "Images", password="old")


def row(registry: Registry) -> Registry:
    return Registry.objects.get(pk=registry.pk)


def application_of(organisation: Organisation, registry: Registry | None = None) -> Application:
    server = make_server(organisation, "its-server")
    return make_application(organisation, server=server, registry=registry, image="web:1")


# While a call waits for the verdict


def test_what_others_change_meanwhile_stays(api: Api, registry: Registry, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: Registry.objects.update(name="Renamed", image_prefix="acme"))
    assert api.post("registry.update", registryId=registry.pk, password="new").value is True
    found = row(registry)
    assert (found.name, found.image_prefix, found.open_password()) == ("Renamed", "acme", "new")


@pytest.mark.parametrize(
    "change", [{"username": "somebody"}, {"url": "elsewhere.example.com"}, {"credentials_mark": "other"}], ids=str
)
def test_credentials_that_changed_meanwhile_are_not_mixed(
    api: Api, registry: Registry, meanwhile: Meanwhile, change: dict[str, str]
) -> None:
    meanwhile(lambda: Registry.objects.update(**change))
    answer = api.post("registry.update", registryId=registry.pk, password="new", registryName="Mine")
    assert (answer.status, answer.value["code"]) == (409, "CONFLICT")
    assert "changed by somebody else" in answer.message
    assert (row(registry).open_password(), row(registry).name) == ("old", "Images")


def test_a_registry_that_is_gone_meanwhile_is_a_conflict(api: Api, registry: Registry, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: Registry.objects.all().delete())
    answer = api.post("registry.update", registryId=registry.pk, password="new")
    assert (answer.status, "deleted by somebody else" in answer.message) == (409, True)


def test_a_name_that_is_taken_meanwhile_is_a_conflict(
    api: Api, organisation: Organisation, alice: User, meanwhile: Meanwhile
) -> None:
    meanwhile(lambda: make_registry(organisation, alice, "New"))
    answer = api.post("registry.create", **NEW)
    assert (answer.status, answer.message) == (409, "Another registry is called “New” by now.")
    assert Registry.objects.count() == 1


def test_a_server_that_is_gone_meanwhile_is_a_conflict(
    api: Api, organisation: Organisation, meanwhile: Meanwhile
) -> None:
    server = make_server(organisation)
    meanwhile(lambda: Server.objects.all().delete())
    answer = api.post("registry.create", **NEW, serverId=server.pk)
    assert (answer.status, "deleted by somebody else" in answer.message) == (409, True)
    assert not Registry.objects.exists()


@pytest.mark.parametrize(
    "end",
    [
        lambda: [api_keys.revoke(key) for key in ApiKey.objects.select_related("membership")],
        lambda: Membership.objects.all().delete(),
        lambda: User.objects.update(is_active=False),
        lambda: Membership.objects.update(role="viewer", permissions=None),
    ],
    ids=["key revoked", "member removed", "account switched off", "permission lost"],
)
def test_who_may_not_any_more_saves_nothing(
    api: Api, registry: Registry, meanwhile: Meanwhile, end: Callable[[], object]
) -> None:
    meanwhile(end)
    assert api.post("registry.create", **NEW).status == 401
    assert not Registry.objects.filter(name="New").exists()


def test_without_a_place_nothing_is_begun(
    api: Api, organisation: Organisation, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_WAITING", 0)
    server = make_server(organisation)
    for answer in (
        api.post("registry.testRegistryById", registryId=registry.pk, serverId=server.pk),
        api.post("registry.create", **NEW, serverId=server.pk),
        api.get("server.validate", serverId=server.pk),
        api.post("server.create", name="new", description="", ipAddress="10.0.0.9", sshKeyId=server.ssh_key_id),
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (429, "5")
    assert not RegistryTest.objects.exists()
    assert (Server.objects.count(), Registry.objects.count()) == (1, 1)


# Saved is what was tested


def test_what_cannot_be_tested_replaces_nothing(api: Api, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "own_host_has_docker", lambda: False)
    answer = api.post("registry.update", registryId=registry.pk, password="certainly wrong")
    assert answer.status == 400
    assert "Name the server that will pull (serverId)" in answer.message
    assert row(registry).open_password() == "old"
    created = api.post("registry.create", **NEW)
    assert created.status == 200
    assert created.value["notices"][0].startswith("It is saved untested. ")


def test_another_server_alone_is_tested_as_well(
    api: Api, organisation: Organisation, registry: Registry, meanwhile: Meanwhile
) -> None:
    tested: list[int] = []
    meanwhile(lambda: tested.append(1))
    server = make_server(organisation)
    assert api.post("registry.update", registryId=registry.pk, registryName="Renamed").value is True
    assert tested == []
    assert api.post("registry.update", registryId=registry.pk, serverId=server.pk).value is True
    assert tested == [1]
    assert api.post("registry.update", registryId=registry.pk, serverId=None, imagePrefix="a").value is True
    assert row(registry).server == server


def test_what_changes_with_credentials_waits_with_them(
    api: Api, organisation: Organisation, alice: User, registry: Registry, meanwhile: Meanwhile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    application_of(organisation, registry)
    monkeypatch.setattr(proving, "DEADLINE_SECONDS", 0)
    meanwhile(lambda: None)
    answer = api.post(
        "registry.update", registryId=registry.pk, password="new", registryName="Renamed", registryUrl="ghcr.io"
    )
    assert answer.status == 504
    assert (row(registry).name, row(registry).kind, row(registry).url) == ("Images", "generic", "registry.example.com")
    rotation = Rotation.objects.get()
    assert (rotation.also, rotation.kind, rotation.url) == ({"name": "Renamed"}, "ghcr", "ghcr.io")


def test_a_provider_stays_with_another_port_and_its_end_goes_with_the_secret(
    api: Api, organisation: Organisation, alice: User, meanwhile: Meanwhile
) -> None:
    meanwhile(lambda: None)
    harbor = make_registry(
        organisation,
        alice,
        kind="harbor",
        url="images.acme.com",
        username="robot$x",
        secret_ends_on=dt.date(2027, 1, 31),
    )
    changed = api.post("registry.update", registryId=harbor.pk, registryUrl="images.acme.com:8443", password="new")
    assert changed.value is True
    assert (row(harbor).kind, row(harbor).secret_ends_on) == ("harbor", None)


def test_force_needs_the_right_to_change_what_is_let_go(
    organisation: Organisation, bob: User, registry: Registry
) -> None:
    application = application_of(organisation, registry)
    allow(bob, "registries.delete_registry")
    refused = Api(key_of(bob)).post("registry.remove", registryId=registry.pk, force=True)
    assert (refused.status, "Applications: Change" in refused.message) == (401, True)
    allow(bob, "registries.delete_registry", "applications.change_application")
    assert Api(key_of(bob)).post("registry.remove", registryId=registry.pk, force=True).status == 200
    application.refresh_from_db()
    assert (application.registry, application.image) == (None, "registry.example.com/web:1")


# Keys


def test_a_key_ends_with_the_one_that_it_was_made_with(api: Api, alice: User) -> None:
    child = api.post("user.createApiKey", name="child").value
    grandchild = Api(child["key"]).post("user.createApiKey", name="grandchild").value
    other = key_of(alice)
    assert Api(other).post("user.deleteApiKey", apiKeyId=child["id"]).value is True
    assert [Api(key).get("user.get").status for key in (child["key"], grandchild["key"], other)] == [401, 401, 200]


def test_a_limited_key_reaches_itself_alone(alice: User) -> None:
    full = api_keys.make(membership=membership_of(alice), name="full")[0]
    limited = Api(key_of(alice, limits=frozenset({VIEW})))
    assert [key["name"] for key in limited.get("user.get").value["user"]["apiKeys"]] == ["key"]
    assert limited.post("user.deleteApiKey", apiKeyId=full.pk).status == 404
    own = limited.get("user.get").value["user"]["apiKeys"][0]["id"]
    assert limited.post("user.deleteApiKey", apiKeyId=own).value is True
    assert limited.get("user.get").status == 401


def test_a_key_that_is_revoked_in_a_batch_makes_no_other(api: Api) -> None:
    own = api.get("user.get").value["user"]["apiKeys"][0]["id"]
    body = {"0": {"json": {"apiKeyId": own}}, "1": {"json": {"name": "after"}}}
    answer = api.send("POST", "/api/trpc/user.deleteApiKey,user.createApiKey?batch=1", json.dumps(body))
    assert answer.status == 207
    assert "error" in answer.value[1]
    assert not ApiKey.objects.filter(name="after").exists()


def test_passwords_are_not_guessed_by_the_dozen(api: Api, organisation: Organisation, registry: Registry) -> None:
    application = application_of(organisation)

    def guess(password: str) -> Answer:
        return api.post(
            "application.saveDockerProvider", applicationId=application.pk, dockerImage="web:1",
            username=registry.username, password=password, registryUrl=registry.url,
        )  # fmt: skip

    assert [guess(str(number)).status for number in range(12)] == [400] * 10 + [429] * 2
    assert guess("old").value is True


def test_the_audit_trail_tells_keys_of_one_member_apart(alice: User, organisation: Organisation) -> None:
    first, second = Api(key_of(alice)), Api(key_of(alice))
    first.post("project.create", name="One")
    second.post("project.create", name="Two")
    make_registry(organisation, alice)
    entries = AuditEntry.objects.filter(organisation=organisation).order_by("timestamp")
    who = {line.thing: line.who for line in lines_of(entries)}
    assert who["One"] == f"alice (API key {first.key[:6]}…)"
    assert who["Two"] == f"alice (API key {second.key[:6]}…)"
    assert "API key" not in who["Images"]


# Host keys


@pytest.mark.parametrize(
    "line",
    [
        f"@revoked web-1 {HOST_KEY}",
        f"@cert-authority * {HOST_KEY}",
        f"ssh-ed25519-cert-v01@openssh.com {HOST_KEY_WORDS[1]}",
        "ssh-ed25519 AAAA",
        "",
        "web-1",
        "a b c ssh-ed25519 AAAA",
    ],
)
def test_what_is_no_host_key_is_pinned_nowhere(line: str) -> None:
    with pytest.raises(BadKey):
        keys.read_host_key(line)


@pytest.mark.parametrize("line", [HOST_KEY, f"web-1 {HOST_KEY}", f"  {HOST_KEY} root@web-1\n"])
def test_a_host_key_is_read_from_lines_of_openssh(line: str) -> None:
    assert keys.read_host_key(line) == " ".join(HOST_KEY_WORDS[:2])


def test_the_key_of_another_place_is_not_pinned(organisation: Organisation, alice: User) -> None:
    server = make_server(organisation)
    Server.objects.update(host="10.6.6.6", seen_host_key=HOST_KEY)
    assert hosts.pin_at_first_contact(server=server, by=alice) is None
    assert Server.objects.get().host_key == ""


def test_another_host_is_not_trusted_by_itself(api: Api, organisation: Organisation) -> None:
    server = make_server(organisation, host_key=HOST_KEY)
    assert api.post("server.update", serverId=server.pk, ipAddress="10.0.0.6").value["hostKeyState"] == "unconfirmed"
    changed = api.post("server.update", serverId=server.pk, ipAddress="10.0.0.7", hostKey=HOST_KEY)
    assert changed.value["hostKeyState"] == "confirmed"


# Null, and what is wrong


def test_null_empties_no_environment_and_no_command(api: Api, organisation: Organisation) -> None:
    application = application_of(organisation)
    values = {"applicationId": application.pk, "env": "A=1", "command": "serve --port 80"}
    assert api.post("application.update", **values, args=None).value is True
    assert api.post("application.update", applicationId=application.pk, env=None, command=None).value is True
    found = Application.objects.get()
    assert (found.environment_names, found.command) == (["A"], [])
    assert api.post("application.update", applicationId=application.pk, env="").value is True
    assert Application.objects.get().environment_names == []


def test_polling_is_for_those_who_may_deploy(organisation: Organisation, bob: User) -> None:
    application = application_of(organisation)
    allow(bob, "applications.change_application")
    refused = Api(key_of(bob)).post("application.update", applicationId=application.pk, pollMinutes=5)
    assert (refused.status, "Applications: Deploy" in refused.message) == (401, True)


def test_nothing_that_was_sent_is_quoted(api: Api) -> None:
    values = {"registryName": "x", "username": "x", "registryUrl": "", "password": {"marked-secret": "a\0"}}
    for answer in (
        api.post("registry.create", **values),
        api.post("registry.create", **values | {"password": {"\ud800marked": "\0"}}),
        api.send(
            "POST", "/api/trpc/registry.create", '{"json":{"marked\\ud800":"\\u0000","password":["marked\\u0000"]}}'
        ),
    ):
        assert answer.status == 400
        assert "marked" not in json.dumps(answer.value)


def test_a_flood_of_mistakes_is_answered_in_short(api: Api) -> None:
    answer = api.post("registry.create", **NEW | {"password": ["\0"] * 100_000})
    assert answer.status == 400
    assert len(json.dumps(answer.value)) < 2_000


def test_whatever_comes_the_answer_is_json(api: Api) -> None:
    many = "&".join(f"a{number}=1" for number in range(1100))
    assert api.send("GET", f"/api/registry.all?{many}").value["code"] == "BAD_REQUEST"
    assert api.send("GET", f"/api/trpc/registry.all?{many}").value["error"]["json"]["code"] == -32600
    multipart = "multipart/form-data; boundary=x"
    assert api.send("POST", "/api/trpc/project.create", "--x--", content_type=multipart).status == 415


def test_a_mutation_takes_nothing_from_the_address(api: Api) -> None:
    answer = api.send("POST", '/api/trpc/project.create?input={"json":{"name":"Shop"}}', "")
    assert answer.status == 400
