"""The OpenAPI document of every procedure, made from their schemas."""

import functools
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

import dokreg
from dokreg.api import links
from dokreg.api.links import JSON, resolved
from organisations import procedures
from organisations.members import in_words
from organisations.procedures import Code, Nothing, Procedure

SCHEMA = "#/components/schemas/{model}"
# What every procedure may answer, whatever it is about.
ALWAYS = (
    Code.BAD_REQUEST,
    Code.UNAUTHORIZED,
    Code.NOT_FOUND,
    Code.TOO_MANY_REQUESTS,
    Code.INTERNAL_SERVER_ERROR,
    Code.SERVICE_UNAVAILABLE,
)
WITH_BODY = (Code.PAYLOAD_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE, Code.FORBIDDEN)
WHY = {
    Code.BAD_REQUEST: "The input does not do, or what was tried failed: the message says why and what to do.",
    Code.UNAUTHORIZED: "No API key that works, or the permission is missing.",
    Code.FORBIDDEN: "A browser's session without its CSRF token.",
    Code.NOT_FOUND: "There is no such thing in this organisation.",
    Code.CONFLICT: "It is still used, or was changed meanwhile.",
    Code.PAYLOAD_TOO_LARGE: "The body is over 1 MB.",
    Code.UNSUPPORTED_MEDIA_TYPE: "The body is not said to be JSON.",
    Code.TOO_MANY_REQUESTS: "Too many requests; the header Retry-After says in how many seconds to try again.",
    Code.INTERNAL_SERVER_ERROR: "Something went wrong in dokreg.",
    Code.SERVICE_UNAVAILABLE: "dokreg's database is away; Retry-After says in how many seconds to try again.",
    Code.GATEWAY_TIMEOUT: "No verdict came in time; what was begun goes on.",
}
MESSAGES = {
    Code.BAD_REQUEST: "Input validation failed",
    Code.UNAUTHORIZED: "You need the permission “Registries: Add” for registry.create.",
    Code.NOT_FOUND: "Registry not found",
    Code.CONFLICT: "“Production images” is still used by application web. Give those another registry first.",
}
FIELD_ERRORS = {"formErrors": [], "fieldErrors": {"registryUrl": ["A host has no spaces."]}}
ZOD_ERROR = {
    "type": "object",
    "required": ["formErrors", "fieldErrors"],
    "properties": {
        "formErrors": {"type": "array", "items": {"type": "string"}},
        "fieldErrors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}
ERROR = {
    "type": "object",
    "description": "What went wrong. `zodError` and `issues` name every field that does not do.",
    "required": ["message"],
    "properties": {
        "message": {"type": "string"},
        "code": {"type": "string"},
        "data": {
            "type": "object",
            "required": ["code", "httpStatus", "zodError"],
            "properties": {
                "code": {"type": "string"},
                "httpStatus": {"type": "integer"},
                "path": {"type": "string"},
                "zodError": {"anyOf": [ZOD_ERROR, {"type": "null"}]},
            },
        },
        "issues": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "path", "message"],
                "properties": {
                    "code": {"type": "string"},
                    "path": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


@functools.cache
def document() -> dict[str, Any]:
    """The whole document, as JSON has it."""
    schemas: dict[str, Any] = {"Error": ERROR}
    paths = {f"/{procedure.name}": _path(procedure, schemas) for procedure in procedures.all_procedures()}
    links.add(paths, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dokreg",
            "version": dokreg.__version__,
            "description": "Registries, servers, applications, deployments of an organisation. No answer has a secret.",
        },
        "servers": [{"url": "/api"}],
        "security": [{"apiKey": []}],
        "tags": [{"name": name} for name in dict.fromkeys(found.router for found in procedures.all_procedures())],
        "paths": paths,
        "components": {
            "securitySchemes": {"apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _path(procedure: Procedure, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": procedure.name.replace(".", "-"),
        "tags": [procedure.router],
        "summary": procedure.summary,
        "description": _description(procedure),
    }
    if procedure.is_query:
        if parameters := _parameters(procedure, schemas):
            operation["parameters"] = parameters
    else:
        operation["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": _schema(procedure.takes, schemas, "validation")} | _example(procedure)},
        }
    operation["responses"] = _responses(procedure, schemas)
    return {"get" if procedure.is_query else "post": operation}


def _description(procedure: Procedure) -> str:
    needs = " or ".join(f"“{in_words([name])}”" for name in procedure.permissions)
    who = f"Needs the permission {needs}." if needs else "Every member may ask for it."
    return " ".join(filter(None, [procedure.description, who]))


def _example(procedure: Procedure) -> dict[str, Any]:
    return {"example": dict(procedure.example)} if procedure.example or procedure.takes is Nothing else {}


def _parameters(procedure: Procedure, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if procedure.takes is Nothing:
        return []
    own: dict[str, Any] = {}  # the object itself stands in parameters alone
    schema = resolved(_schema(procedure.takes, own, "validation"), own)
    _add(schemas, {name: found for name, found in own.items() if found is not schema})
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": {key: value for key, value in field.items() if key != "description"},
        }
        | ({"description": field["description"]} if "description" in field else {})
        | ({"example": procedure.example[name]} if name in procedure.example else {})
        for name, field in schema["properties"].items()
    ]


def _responses(procedure: Procedure, schemas: dict[str, Any]) -> dict[str, Any]:
    codes = {*ALWAYS, *procedure.refuses, *(() if procedure.is_query else WITH_BODY)}
    responses = {"200": _success(procedure, schemas)}
    for code in sorted(codes, key=lambda code: code.status):
        responses[str(code.status)] = _failure(code)
    return responses


def _success(procedure: Procedure, schemas: dict[str, Any]) -> dict[str, Any]:
    if procedure.answers is None:
        return {"description": "Done."}
    content: dict[str, Any] = {"schema": _schema(procedure.answers, schemas, "serialization")}
    if procedure.answer_example is not None:
        content["example"] = procedure.answer_example
    return {"description": "Done.", "content": {JSON: content}}


def _failure(code: Code) -> dict[str, Any]:
    message = MESSAGES.get(code, WHY[code])
    example: dict[str, Any] = {
        "message": message,
        "code": code.name,
        "data": {"code": code.name, "httpStatus": code.status, "path": "registry.create", "zodError": None},
    }
    content: dict[str, Any] = {JSON: {"schema": {"$ref": SCHEMA.format(model="Error")}, "example": example}}
    if code is Code.BAD_REQUEST:
        example["data"]["zodError"] = FIELD_ERRORS
        example["issues"] = [{"code": "custom", "path": ["registryUrl"], "message": "A host has no spaces."}]
        content["text/plain"] = {"schema": {"type": "string"}, "example": "Invalid JSON"}
    response: dict[str, Any] = {"description": WHY[code], "content": content}
    if code is Code.TOO_MANY_REQUESTS:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return response


def _schema(kind: Any, schemas: dict[str, Any], mode: Any) -> dict[str, Any]:
    """The schema of a type; what it refers to goes into `schemas`."""
    schema = TypeAdapter(kind).json_schema(ref_template=SCHEMA, mode=mode)
    _add(schemas, schema.pop("$defs", {}))
    if schema.get("type") == "object" and "title" in schema:
        _add(schemas, {schema["title"]: schema})
        return {"$ref": SCHEMA.format(model=schema["title"])}
    return schema


def _add(schemas: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, schema in more.items():
        if schemas.setdefault(name, schema) != schema:
            raise ValueError(f"Two schemas of the API are called {name}.")
