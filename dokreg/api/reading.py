"""What a request brings: JSON, within bounds, and made into a procedure's input."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn, get_args

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, QueryDict
from pydantic import ValidationError

from organisations.procedures import Code, Issue, Refusal, Schema

MOST_DEPTH = 32
MOST_ISSUES = 20
SENTENCES = {"missing": "This is required.", "string_too_short": "This must not be empty."}
HALF_A_CHARACTER = range(0xD800, 0xE000)


class NotJson(Exception):
    """The body is no JSON."""


def body_of(request: HttpRequest) -> bytes:
    """The raw body; Refusal if it is too long."""
    try:
        return request.body
    except RequestDataTooBig:
        raise Refusal(Code.PAYLOAD_TOO_LARGE, "The request is longer than 1 MB.") from None


def query_of(request: HttpRequest) -> QueryDict:
    """The fields of the query string; Refusal if they are too many."""
    try:
        return request.GET
    except TooManyFieldsSent:
        raise Refusal(Code.BAD_REQUEST, "The query string has too many fields.") from None


def check_content_type(request: HttpRequest) -> None:
    """Raise Refusal for a body that is not said to be JSON."""
    if request.content_type != "application/json":
        raise Refusal(
            Code.UNSUPPORTED_MEDIA_TYPE, "Send JSON, and say so: the header Content-Type must be application/json."
        )


def parse(text: str | bytes) -> Any:
    """What the JSON says; raises NotJson."""
    try:
        return json.loads(text, parse_float=_number, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # not UTF-8, and numbers of thousands of digits, are ValueErrors too
        raise NotJson from error


def _number(text: str) -> float | int:
    """A whole number is one however it is written: 22.0 is 22."""
    number = float(text)
    return int(number) if number.is_integer() else number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are JavaScript, not JSON


def validated(schema: type[Schema], values: Any, *, as_texts: bool = False) -> Schema:
    """The input of a procedure; raises Refusal, naming every bad field and quoting none.

    `as_texts` is for a query string, where a number is a text of digits; in JSON it is a number.
    """
    if values is None:
        values = {}
    issues = list(_unstorable(_known(schema, values)))
    if not issues:
        try:
            return schema.model_validate(values, strict=not as_texts, by_name=False)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False)
            issues = [_issue(found) for found in wrong[:MOST_ISSUES]]
    raise Refusal(Code.BAD_REQUEST, "Input validation failed", issues=issues)


def _known(schema: type[Schema], values: Any) -> Any:
    """What of an object is read at all: whatever else is in it is ignored, and may be anything."""
    if not isinstance(values, dict):
        return values
    fields = {str(field.alias): _schema_in(field.annotation) for field in schema.model_fields.values()}
    return {
        name: _known(inner, values[name]) if inner else values[name] for name, inner in fields.items() if name in values
    }


def _schema_in(annotation: Any) -> type[Schema] | None:
    """The schema of a field that is an object, which may be optional; None for any other."""
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    return next((kind for kind in kinds if issubclass(kind, Schema)), None)


def _issue(found: Any) -> Issue:
    """A sentence of the check itself stands alone; pydantic's own say what was expected, never what came."""
    kind, context = found["type"], found.get("ctx", {})
    message = SENTENCES.get(kind, found["msg"])
    if kind == "value_error" and "error" in context:
        message = str(context["error"])
    return Issue(path=tuple(found["loc"]), message=message, code=kind)


def _unstorable(values: Any) -> Iterator[Issue]:
    """Fields with texts that no database takes, or nested deeper than anything that is asked for; one issue each.

    What they are called further in is as much the caller's own as what they hold, and is not quoted either.
    """
    if isinstance(values, dict):
        for name, value in values.items():
            if complaint := _complaint(value):
                yield Issue((name,), complaint, "unstorable")


def _complaint(value: Any, depth: int = 1) -> str:
    if depth > MOST_DEPTH:
        return "It is nested too deep."
    if isinstance(value, str):
        if "\0" in value:
            return "It contains a NUL character."
        is_whole = not any(ord(character) in HALF_A_CHARACTER for character in value)
        return "" if is_whole else "It contains half a character (a lone surrogate)."
    inner: list[Any] = (
        [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    )
    return next(filter(None, (_complaint(one, depth + 1) for one in inner)), "")
