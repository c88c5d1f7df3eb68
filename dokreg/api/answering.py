"""Carrying out a procedure, and what goes back over either surface."""

import functools
import json
import logging
from collections import defaultdict
from typing import Any

from django.http import HttpResponse
from pydantic import TypeAdapter

from dokreg.encryption import SecretUnreadable
from organisations import procedures
from organisations.procedures import Caller, Code, Issue, Procedure, Refusal
from servers.testing import place_of

log = logging.getLogger(__name__)
JSON = "application/json"
NOTHING = b""
NEEDED = "You need the permission"


def carry_out(procedure: Procedure, caller: Caller, values: Any, *, as_texts: bool = False) -> bytes:
    """The answer as JSON, NOTHING for a procedure that answers nothing. Raises Refusal, and nothing else.

    `as_texts`: the values come from a query string.
    """
    from dokreg.api.reading import validated

    if not procedure.is_allowed(caller):
        raise Refusal(Code.UNAUTHORIZED, _missing_permission(procedure))
    taken = validated(procedure.takes, values, as_texts=as_texts)
    try:
        answer = procedure.run(caller, taken)
    except Refusal:
        raise
    except SecretUnreadable:
        raise Refusal(Code.CONFLICT, "A stored secret cannot be opened any more. Enter it again.") from None
    except Exception as error:  # noqa: BLE001 - the caller gets an answer, whatever happens
        # The type and the place alone: the text may hold what was being worked with.
        log.error("%s ended with %s at %s", procedure.name, type(error).__name__, place_of(error))  # noqa: TRY400
        raise Refusal(Code.INTERNAL_SERVER_ERROR, "Something went wrong in dokreg; its log says where.") from None
    return NOTHING if procedure.answers is None else _writer(procedure.name).dump_json(answer, by_alias=True)


@functools.cache
def _writer(name: str) -> "TypeAdapter[Any]":
    """Of a procedure's answer, by the procedure's name."""
    found = procedures.find(name)
    return TypeAdapter(found.answers if found else None)


def _missing_permission(procedure: Procedure) -> str:
    from organisations.members import in_words

    words = " or ".join(in_words([name]) for name in procedure.permissions)
    return f"{NEEDED} “{words}” for {procedure.name}."


def json_response(body: bytes, *, status: int = 200) -> HttpResponse:
    """Never to be kept by anybody between: answers differ from key to key."""
    response = HttpResponse(body, status=status, content_type=JSON)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "x-api-key, Cookie"
    return response


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def error_data(refusal: Refusal, path: str) -> dict[str, Any]:
    """What both surfaces say of an error beside its message."""
    data: dict[str, Any] = {"code": refusal.code.name, "httpStatus": refusal.code.status}
    if path:
        data["path"] = path
    return data | {"zodError": _flattened(refusal.issues) if refusal.issues else None}


def _flattened(issues: tuple[Issue, ...]) -> dict[str, Any]:
    """By field, as clients show them; deeper ones under the field that they are in."""
    fields: dict[str, list[str]] = defaultdict(list)
    for issue in issues:
        if issue.path:
            fields[str(issue.path[0])].append(issue.message)
    return {"formErrors": [issue.message for issue in issues if not issue.path], "fieldErrors": fields}


def with_retry(response: HttpResponse, refusal: Refusal) -> HttpResponse:
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response
