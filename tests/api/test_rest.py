"""REST: methods, paths, bodies, and what is said of each thing that is wrong."""

import datetime as dt
import json
import logging
from typing import Any

import pytest
from django.test import Client

from dokreg.api.views import OTHER_HOST
from organisations.models import Organisation, User
from organisations.procedures import Caller, Schema
from organisations.procedures import _procedures as declared
from registries.api import RegistryRecord
from registries.models import Registry, RegistryTest
from tests.api.calling import Api, key_of
from tests.api.documented import IDS
from tests.registries.rows import make_registry

RECORD_KEYS = (
    "registryId", "registryName", "imagePrefix", "username", "registryUrl", "createdAt", "registryType",
    "organizationId",
)  # fmt: skip
NO_HOST = "registry.example.com/path"


def test_a_record_has_the_keys_of_the_wire_first_and_no_secret(
    api: Api, organisation: Organisation, alice: User
) -> None:
    registry = make_registry(organisation, alice, password="marked-s3cret", image_prefix="acme")
    answer = api.get("registry.one", registryId=registry.pk)
    assert tuple(answer.value)[: len(RECORD_KEYS)] == RECORD_KEYS
    assert answer.value["registryId"] == registry.pk
    assert len(registry.pk) == 21
    assert answer.value["createdAt"] == registry.created_at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    assert "marked-s3cret" not in json.dumps(answer.value)
    assert not {"password", "token"} & answer.value.keys()
    assert api.get("registry.all").value == [answer.value]


@pytest.mark.parametrize(
    ("microsecond", "written"), [(0, "000"), (999, "000"), (1000, "001"), (500_600, "500"), (999_999, "999")]
)
def test_a_list_is_written_as_its_schema_says(
    api: Api, organisation: Organisation, alice: User, microsecond: int, written: str
) -> None:
    """The list is put together without the schema, which the single record goes through."""
    at = dt.datetime(2026, 2, 3, 4, 5, 59, microsecond, tzinfo=dt.UTC)
    registry = make_registry(organisation, alice, name='Ü "quoted" \\ \u2028')
    test = RegistryTest.objects.create(
        organisation=organisation, registry=registry, url=registry.url, username="robot", state="failed",
        verdict="denied", finished_at=at,
    )  # fmt: skip
    Registry.objects.filter(pk=registry.pk).update(created_at=at, token_expires_at=at, last_test=test)
    (listed,) = api.get("registry.all").value
    RegistryRecord.model_validate_json(json.dumps(listed), strict=True)
    assert listed == api.get("registry.one", registryId=registry.pk).value
    moment = f"2026-02-03T04:05:59.{written}Z"
    assert (listed["createdAt"], listed["tokenExpiresAt"], listed["lastTest"]["finishedAt"]) == (moment,) * 3


def test_docker_hub_is_an_empty_host_and_no_prefix_is_null(api: Api, organisation: Organisation, alice: User) -> None:
    registry = make_registry(organisation, alice, kind="docker_hub", url="docker.io")
    record = api.get("registry.one", registryId=registry.pk).value
    assert (record["registryUrl"], record["imagePrefix"]) == ("", None)


@pytest.mark.parametrize(
    "path", ["/api/registry.all", "/api//registry.all", "/api/nothing", "/api/trpc/user.get", "/api/"]
)
def test_without_a_key_every_path_is_unauthorized(db: None, path: str) -> None:
    answer = Api("").send("GET", path)
    assert answer.status == 401
    assert (answer.value if "trpc" not in path else answer.value["error"]["json"])["message"] == "Unauthorized"


def test_unknown_paths_and_wrong_methods_are_not_found(api: Api) -> None:
    for method, path in (("GET", "/api/nothing"), ("POST", "/api/registry.all"), ("GET", "/api/registry.create"),
                         ("PUT", "/api/registry.all"), ("OPTIONS", "/api/registry.all")):  # fmt: skip
        answer = api.send(method, path)
        assert answer.status == 404, path
        assert answer.value["code"] == "NOT_FOUND"
        assert "path" not in answer.value["data"]


def test_a_path_with_a_line_break_in_it_is_unknown(api: Api) -> None:
    for path in ("/api/%0Aregistry.all", "/api/registry.all%0A"):
        assert (api.send("GET", path).status, api.send("GET", path).value["code"]) == (404, "NOT_FOUND")
        assert Api("").send("GET", path).status == 401


def test_a_query_with_too_many_fields_is_refused(api: Api) -> None:
    answer = api.get("registry.all", **{f"field{number}": "1" for number in range(1001)})
    assert (answer.status, answer.message) == (400, "The query string has too many fields.")


@pytest.mark.parametrize("host", ["", "other.example", "a b"])
def test_a_host_that_dokreg_does_not_have_is_said_as_json(api: Api, host: str) -> None:
    api.client.defaults["HTTP_HOST"] = host
    over_rest, over_trpc = api.get("registry.all"), api.query("registry.all")
    for answer, error in ((over_rest, over_rest.value), (over_trpc, over_trpc.value)):
        assert (answer.status, answer.headers["Content-Type"]) == (400, "application/json")
        assert error["message"] == OTHER_HOST
    page = api.client.get("/nowhere/")
    assert (page.status_code, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")


def test_a_path_is_never_redirected(api: Api) -> None:
    assert api.send("POST", "/api/registry.create/", "{}").status == 404


def test_an_id_of_another_organisation_is_as_unknown_as_any(api: Api, charlie: User) -> None:
    theirs = make_registry(charlie.organisations.get(), charlie)
    unknown, foreign = (api.get("registry.one", registryId=name) for name in ("nope", theirs.pk))
    assert unknown.value == foreign.value
    assert (unknown.status, unknown.message) == (404, "Registry not found")


def test_head_is_answered_with_nothing(api: Api) -> None:
    assert api.send("HEAD", "/api/registry.all").status == 204


def test_bodies_that_are_no_json(api: Api) -> None:
    for body in ("{", "NaN", "[" * 100_000, b"\xff", "1" * 5000):
        answer = api.send("POST", "/api/registry.create", body)
        assert (answer.status, answer.value) == (400, "Invalid JSON"), body[:10]
        assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_that_is_not_said_to_be_json_is_refused(api: Api, content_type: str) -> None:
    assert api.send("POST", "/api/registry.create", "{}", content_type=content_type).status == 415


def test_a_body_over_a_megabyte_is_refused(api: Api) -> None:
    assert api.send("POST", "/api/registry.create", "x" * (1024 * 1024 + 1)).status == 413


def test_an_empty_value_in_the_query_counts_as_missing(api: Api) -> None:
    answer = api.get("registry.one", registryId="")
    assert answer.status == 400
    assert answer.fields == {"registryId": ["This is required."]}


def test_every_bad_field_is_named_and_nothing_is_quoted(api: Api) -> None:
    answer = api.post(
        "registry.create", registryName="", username=7, password="", registryUrl=NO_HOST, registryType="marked-type"
    )
    assert (answer.status, answer.message) == (400, "Input validation failed")
    assert answer.fields.keys() == {"registryName", "username", "password", "registryUrl", "registryType"}
    assert {tuple(issue["path"]) for issue in answer.value["issues"]} == {(name,) for name in answer.fields}
    assert "image prefix" in answer.fields["registryUrl"][0].lower()
    assert "marked" not in json.dumps(answer.value)


def test_a_validation_error_does_not_echo_the_password(api: Api) -> None:
    for password in ("marked-\0", "marked-\ud800", ["marked-list"], {"marked": "marked-object"}):
        answer = api.post("registry.create", registryName="x", username="x", password=password, registryUrl="")
        assert (answer.status, list(answer.fields)) == (400, ["password"])
        assert "marked" not in json.dumps(answer.value)


def test_what_no_database_takes_is_named(api: Api) -> None:
    answer = api.post("project.create", name="a\0b", description="\ud800")
    assert answer.fields.keys() == {"name", "description"}
    assert api.get("registry.one", registryId="a\0").status == 400


def test_unknown_keys_are_ignored(api: Api) -> None:
    nested: Any = "deep"
    for _ in range(100):
        nested = [nested]
    assert api.post("project.create", name="Shop", whatever={"a": "\0"}, other="\ud800", more=nested).status == 200


def test_a_number_is_no_text_and_no_yes_in_a_body(api: Api, documented: None) -> None:
    """In a query string it has to be a text; 22.0 is how some write 22."""
    for port in ("22", True, 22.5):
        answer = api.post("server.update", serverId=IDS["serverId"], port=port)
        assert (answer.status, list(answer.fields)) == (400, ["port"])
    assert api.send("POST", "/api/server.update", f'{{"serverId": "{IDS["serverId"]}", "port": 22.0}}').status == 200
    assert api.get("deployment.readLogs", deploymentId=IDS["deploymentId"], tail="1").status == 200


def test_a_procedure_that_breaks_says_nothing_of_why(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(_caller: Caller, _values: Schema) -> None:
        raise RuntimeError("marked-text")

    assert api.get("registry.all").status == 200  # everything is declared by now
    found = declared["registry.all"]
    monkeypatch.setitem(declared, "registry.all", type(found)(**{
        name: getattr(found, name) for name in found.__slots__
    } | {"run": breaks}))  # fmt: skip
    with caplog.at_level(logging.ERROR):
        answer = api.get("registry.all")
    assert (answer.status, answer.value["code"]) == (500, "INTERNAL_SERVER_ERROR")
    assert "marked-text" not in json.dumps(answer.value) + caplog.text
    assert "RuntimeError" in caplog.text


def test_answers_are_not_kept_by_anybody_between(api: Api) -> None:
    assert api.get("registry.all").headers["Cache-Control"] == "no-store"


def test_a_session_reads_and_needs_its_csrf_token_to_change_something(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    session = Api("", client)
    assert session.get("registry.all").status == 200
    refused = session.post("project.create", name="Shop")
    assert (refused.status, refused.value["code"]) == (403, "FORBIDDEN")
    client.get("/account/")
    token = client.cookies["dokreg_csrf"].value
    answer = client.post(
        "/api/project.create", '{"name": "Shop"}', content_type="application/json", headers={"X-CSRFToken": token}
    )
    assert answer.status_code == 200


def test_a_key_counts_for_more_than_the_session_beside_it(alice: User, charlie: User) -> None:
    client = Client()
    client.force_login(alice)
    assert Api(key_of(charlie), client).get("organization.all").value[0]["slug"] == "elsewhere"
    assert Api("wrong", client).get("registry.all").status == 401
