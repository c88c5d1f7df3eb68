"""The OpenAPI document: valid, whole, and true of what is really answered."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from django.db import connection

import dokreg
from applications.models import Application
from dokreg.api import openapi
from dokreg.encryption import secret_fields
from organisations.procedures import Code, Procedure
from registries.models import Registry
from servers.models import Server
from tests.api.calling import Api, rest
from tests.api.documented import IDS, PROCEDURES
from tests.api.verdicts import Verdicts

DOCUMENT = openapi.document()
JSON = "application/json"
# What has to go before the example's own row can: it is refused while that is used.
USERS: dict[str, list[Any]] = {
    "project.remove": [Application],
    "registry.remove": [Application],
    "server.remove": [Application],
    "sshKey.remove": [Application, Server],
}
each = pytest.mark.parametrize("procedure", PROCEDURES.values(), ids=lambda procedure: procedure.name)


def operation_of(procedure: Procedure) -> Any:
    return DOCUMENT["paths"][f"/{procedure.name}"]["get" if procedure.is_query else "post"]


def check(value: Any, schema: Mapping[str, Any]) -> None:
    """Raise ValidationError unless the value has the schema, and no keys that it does not know."""
    whole = _closed(schema) | {"components": _closed(DOCUMENT["components"])}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(value)


def _closed(schema: Any) -> Any:
    """The schema, without room for keys that it does not name."""
    if isinstance(schema, list):
        return [_closed(inner) for inner in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {name: _closed(inner) for name, inner in schema.items()}
    return closed | {"additionalProperties": False} if isinstance(schema.get("properties"), Mapping) else closed


def test_it_is_valid() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    assert DOCUMENT["openapi"].startswith("3.1")


def test_it_is_what_is_answered(api: Api) -> None:
    assert api.get("settings.getOpenApiDocument").value == DOCUMENT


def test_every_procedure_is_in_it_under_its_name() -> None:
    assert set(DOCUMENT["paths"]) == {f"/{name}" for name in PROCEDURES}
    assert all(re.fullmatch(r"/[a-zA-Z]+\.[a-zA-Z]+", path) for path in DOCUMENT["paths"])
    ids = [operation_of(procedure)["operationId"] for procedure in PROCEDURES.values()]
    assert len(set(ids)) == len(ids)


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert dokreg.__version__ == DOCUMENT["info"]["version"] == project["version"]


@each
def test_each_is_explained(procedure: Procedure) -> None:
    operation = operation_of(procedure)
    assert len(operation["summary"]) > 10
    assert not operation["summary"].endswith(".")
    assert operation["description"]
    assert ("Needs the permission" in operation["description"]) == bool(procedure.permissions)


@each
def test_each_says_how_it_can_fail(procedure: Procedure) -> None:
    responses = operation_of(procedure)["responses"]
    always = {"200", "400", "401", "404", "429", "500", "503"} | (
        set() if procedure.is_query else {"403", "413", "415"}
    )
    assert set(responses) == always | {str(code.status) for code in procedure.refuses}
    for status, response in responses.items():
        if status == "200":
            continue
        example = response["content"][JSON]["example"]
        check(example, response["content"][JSON]["schema"])
        assert example["data"]["httpStatus"] == int(status)
        assert Code[example["code"]].status == int(status)
        assert response["description"]


@each
def test_the_examples_are_of_their_schemas(procedure: Procedure) -> None:
    operation = operation_of(procedure)
    if "requestBody" in operation:
        content = operation["requestBody"]["content"][JSON]
        check(content["example"], content["schema"])
    for parameter in operation.get("parameters", []):
        check(parameter["example"], parameter["schema"])
    assert operation["responses"]["200"]["content"][JSON]["example"] == procedure.answer_example
    if procedure.name != "settings.getOpenApiDocument":  # whose example is its beginning
        check(procedure.answer_example, operation["responses"]["200"]["content"][JSON]["schema"])


@each
def test_what_is_answered_is_of_its_schema(
    procedure: Procedure, api: Api, documented: None, verdicts: Verdicts
) -> None:
    Registry.objects.update(server=None)
    for model in USERS.get(procedure.name, []):
        model.objects.all().delete()
    answer = rest(api, procedure, procedure.example)
    if procedure.name == "environment.create":  # which is always refused
        assert answer.status == 400
        return
    assert answer.status == 200, answer.value
    check(answer.value, operation_of(procedure)["responses"]["200"]["content"][JSON]["schema"])
    if isinstance(answer.value, dict) and procedure.name != "settings.getOpenApiDocument":
        assert list(answer.value) == list(procedure.answer_example)


def links() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Who answers an id, who takes it, and the link between."""
    for procedure in PROCEDURES.values():
        for link in operation_of(procedure)["responses"]["200"].get("links", {}).values():
            yield procedure.name, link["operationId"].replace("-", "."), link


@pytest.mark.parametrize(
    ("giver", "taker", "link"), list(links()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_link_leads_from_an_id_to_where_it_is_taken(giver: str, taker: str, link: Mapping[str, Any]) -> None:
    taken = {str(field.alias) for field in PROCEDURES[taker].takes.model_fields.values()}
    values = link["parameters"] if PROCEDURES[taker].is_query else link["requestBody"]
    assert taken >= values.keys()
    for name, expression in values.items():
        found = PROCEDURES[giver].answer_example
        for part in expression.removeprefix("$response.body#/").split("/"):
            found = found[int(part)] if isinstance(found, list) else found[part]
        assert found == IDS[name]


def test_what_belongs_together_is_linked() -> None:
    linked = {(giver, taker) for giver, taker, _ in links()}
    for router in ("registry", "server", "sshKey", "project"):
        for action in ("one", "remove"):
            assert (f"{router}.create", f"{router}.{action}") in linked
            assert (f"{router}.all", f"{router}.{action}") in linked
    assert linked >= {
        ("project.create", "application.create"),
        ("sshKey.create", "server.create"),
        ("server.create", "registry.testRegistry"),
        ("application.create", "application.deploy"),
        ("application.deploy", "deployment.readLogs"),
        ("user.createApiKey", "user.deleteApiKey"),
    }


@each
def test_secrets_that_cannot_be_opened_any_more_are_no_reason_to_break(
    procedure: Procedure, api: Api, documented: None, verdicts: Verdicts
) -> None:
    with connection.cursor() as cursor:
        for field in secret_fields():
            column = (
                f'UPDATE "{field.model._meta.db_table}" SET "{field.column}" = %s WHERE "{field.column}" IS NOT NULL'
            )
            cursor.execute(column, [b"closed for ever"])
    answer = rest(api, procedure, procedure.example)
    assert answer.status != 500
    assert str(answer.status) in operation_of(procedure)["responses"]
