"""The page about the API for people, made from the same schemas as the OpenAPI document."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dokreg.api import load, openapi
from organisations import procedures
from organisations.members import in_words
from organisations.procedures import Procedure

# A header in a file that only its owner reads: on the command line everybody on that machine could read the key.
CURL = "curl --header @dokreg-key"
DEEPEST = 4
MOST_CHOICES = 12  # that are worth their room; of more than that the type alone is shown
ORDER = (
    "registry", "server", "sshKey", "project", "environment", "application", "deployment", "user", "organization",
    "settings", "gitProvider", "destination",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an input or an answer. `name` is its path, such as `lastTest.state`."""

    name: str
    type: str
    is_required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A procedure as the page shows it."""

    procedure: Procedure
    method: str
    permissions: list[str]
    takes: list[Field]
    answers: list[Field]
    answer_type: str
    request: str
    answer: str
    failures: list[tuple[str, str]]

    @property
    def anchor(self) -> str:
        return self.procedure.name.replace(".", "-")


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """Every procedure: what it takes, answers and refuses, with an example."""
    load()
    sections: dict[str, list[Entry]] = {router: [] for router in ORDER}
    document = openapi.document()
    for procedure in procedures.all_procedures():
        sections[procedure.router].append(_entry(procedure, document))
    return render(request, "api/docs.html", {"sections": sections, "section": "api", "url": settings.DOKREG_URL})


def _entry(procedure: Procedure, document: Mapping[str, Any]) -> Entry:
    method = "get" if procedure.is_query else "post"
    operation = document["paths"][f"/{procedure.name}"][method]
    schemas = document["components"]["schemas"]
    success = operation["responses"]["200"].get("content", {}).get("application/json", {})
    answer = success.get("schema", {})
    return Entry(
        procedure=procedure,
        method=method.upper(),
        permissions=[in_words([name]) for name in procedure.permissions],
        takes=_taken(operation, schemas),
        answers=list(_fields(answer, schemas)),
        answer_type=_type(answer, schemas),
        request=_request(procedure),
        answer=_pretty(success["example"]) if "example" in success else "",
        failures=[
            (status, response["description"]) for status, response in operation["responses"].items() if status != "200"
        ],
    )


def _taken(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[Field]:
    if "requestBody" in operation:
        return list(_fields(operation["requestBody"]["content"]["application/json"]["schema"], schemas))
    return [
        Field(found["name"], _type(found["schema"], schemas), found["required"], found.get("description", ""))
        for found in operation.get("parameters", [])
    ]


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any], before: str = "", depth: int = 1) -> Iterator[Field]:
    """The fields of an object, of the objects in a list, and of the objects in them."""
    schema = _object_in(schema, schemas)
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        yield Field(f"{before}{name}", _type(field, schemas), name in required, field.get("description", ""))
        if depth < DEEPEST:
            yield from _fields(field, schemas, f"{before}{name}.", depth + 1)


def _object_in(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that a schema is about, if it is about one: itself, what it refers to, what its list has."""
    if "$ref" in schema:
        return _object_in(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "items" in schema:
        return _object_in(schema["items"], schemas)
    inner = [_object_in(option, schemas) for option in schema.get("anyOf", [])]
    return next((option for option in inner if "properties" in option), schema if "properties" in schema else {})


def _type(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """A type in words: `text`, `number or null`, `list of objects`."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(option, schemas) for option in schema["anyOf"]))
    if "$ref" in schema:
        return _type(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "const" in schema:
        return json.dumps(schema["const"])
    if len(schema.get("enum", ())) in range(1, MOST_CHOICES):
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if schema.get("type") == "array":
        inner = _type(schema.get("items", {}), schemas)
        return f"list of {inner}{'s' if inner in {'object', 'text'} else ''}"
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    kind = str(schema.get("type", "anything"))
    if schema.get("format") == "date-time":
        return "time"
    return "secret" if schema.get("format") == "password" else names.get(kind, kind)


def _request(procedure: Procedure) -> str:
    """A line of curl; the body comes from its standard input, where nobody else reads a password in it."""
    address = f"{settings.DOKREG_URL}/api/{procedure.name}"
    if procedure.is_query:
        query = urlencode({name: value for name, value in procedure.example.items() if value not in {"", None}})
        return f"{CURL} '{address}{f'?{query}' if query else ''}'"
    body = json.dumps(dict(procedure.example), ensure_ascii=False, indent=2)
    return f"{CURL} --header 'Content-Type: application/json' --data @- {address} <<'END'\n{body}\nEND"


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
