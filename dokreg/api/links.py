"""OpenAPI links: which procedures take an id that another one answers.

Nothing is listed by hand: a name such as `registryId` means the same in every answer and in every input. A field that
is called otherwise says so with `"x-id": "apiKeyId"` in its schema.
"""

from collections.abc import Iterator, Mapping
from typing import Any

JSON = "application/json"
IN_EVERY_ANSWER = frozenset({"organizationId"})  # the caller's own: it leads nowhere new

Operation = Mapping[str, Any]
Schema = Mapping[str, Any]
Schemas = Mapping[str, Schema]


def add(paths: Mapping[str, Mapping[str, Operation]], schemas: Schemas) -> None:
    """Write the links into the operations of an OpenAPI document, at the answers that give the ids."""
    operations = [operation for path in paths.values() for operation in path.values()]
    fields = {taker["operationId"]: dict(_fields_of(taker, schemas)) for taker in operations}
    for giver in operations:
        named = {name for name, is_required in fields[giver["operationId"]].items() if is_required}
        given = {name: pointer for name, pointer in _ids_of(giver, schemas) if name not in named}
        links = {
            taker["operationId"]: _link(taker, given.keys() & fields[taker["operationId"]].keys(), given)
            for taker in operations
            if given.keys() & fields[taker["operationId"]].keys()
        }
        if links:
            giver["responses"]["200"]["links"] = links


def _link(taker: Operation, names: set[str], given: Mapping[str, str]) -> dict[str, Any]:
    place = "requestBody" if "requestBody" in taker else "parameters"
    values = {name: f"$response.body#{given[name]}" for name in sorted(names)}
    return {"operationId": taker["operationId"], place: values}


def _fields_of(operation: Operation, schemas: Schemas) -> Iterator[tuple[str, bool]]:
    """The fields of an operation's input, and whether it cannot do without."""
    for parameter in operation.get("parameters", []):
        yield parameter["name"], parameter["required"]
    if "requestBody" in operation:
        schema = resolved(operation["requestBody"]["content"][JSON]["schema"], schemas)
        for name in schema.get("properties", {}):
            yield name, name in schema.get("required", [])


def _ids_of(operation: Operation, schemas: Schemas) -> Iterator[tuple[str, str]]:
    """The ids in what an operation answers, with a JSON pointer to each; of a list, those of its first row."""
    content = operation["responses"]["200"].get("content", {})
    schema = resolved(content.get(JSON, {}).get("schema", {}), schemas)
    if schema.get("type") == "array":
        return _ids_in(resolved(schema["items"], schemas), schemas, "/0")
    return _ids_in(schema, schemas, "")


def _ids_in(schema: Schema, schemas: Schemas, pointer: str) -> Iterator[tuple[str, str]]:
    for wire_name, field in schema.get("properties", {}).items():
        found, place = resolved(field, schemas), f"{pointer}/{wire_name}"
        name = found.get("x-id", wire_name)
        # One that may be null hands nothing on.
        if name.endswith("Id") and wire_name not in IN_EVERY_ANSWER and found.get("type") == "string":
            yield name, place
        yield from _ids_in(found, schemas, place)


def resolved(schema: Schema, schemas: Schemas) -> Schema:
    """The schema itself, of one that may only refer to it."""
    reference = schema.get("$ref", "")
    return schemas[reference.rpartition("/")[2]] if reference else schema
