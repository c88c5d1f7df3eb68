"""Carrying out a procedure, and what goes back over either surface."""

import functools
import json
import logging
from collections import defaultdict
from typing import Any

from django.http import HttpResponse
from pydantic import TypeAdapter

from dokreg.api.reading import validated
from dokreg.database import AWAY, RETRY_SECONDS, is_away
from dokreg.encryption import SecretUnreadable
from organisations import procedures
from organisations.deletion import StillUsed
from organisations.procedures import Caller, Code, Issue, Procedure, Refusal, Written, missing_permission
from servers.testing import place_of
from servers.watching import TooManyWait

log = logging.getLogger(__name__)
JSON = "application/json"
NOTHING = b""
BUSY = "Too many requests wait for the end of a test just now. Try again."


def carry_out(procedure: Procedure, caller: Caller, values: Any, *, as_texts: bool = False) -> bytes:
    """The answer as JSON, NOTHING for a procedure that answers nothing. Raises Refusal, and nothing else.

    `as_texts`: the values come from a query string.
    """
    if not procedure.is_allowed(caller):
        raise missing_permission(*procedure.permissions, purpose=f"for {procedure.name}")
    taken = validated(procedure.takes, values, as_texts=as_texts)
    try:
        answer = procedure.run(caller, taken)
        if isinstance(answer, Written):
            return answer
        return NOTHING if procedure.answers is None else _writer(procedure.name).dump_json(answer, by_alias=True)
    except Refusal:
        raise
    except TooManyWait:
        raise Refusal(Code.TOO_MANY_REQUESTS, BUSY, retry_after=RETRY_SECONDS) from None
    except StillUsed as error:
        raise Refusal(Code.CONFLICT, str(error)) from None
    except SecretUnreadable:
        raise Refusal(Code.CONFLICT, "A stored secret cannot be opened any more. Enter it again.") from None
    except Exception as error:  # noqa: BLE001 - the caller gets an answer, whatever happens
        raise broken(procedure.name, error) from None


def broken(what: str, error: Exception) -> Refusal:
    """For a call that ended as none should; what is known of it stands in the log."""
    if is_away(error):
        log.warning("%s met no database (%s)", what, type(error).__name__)
        return Refusal(Code.SERVICE_UNAVAILABLE, AWAY, retry_after=RETRY_SECONDS)
    # The type and the place alone: the text may hold what was being worked with.
    log.error("%s ended with %s at %s", what, type(error).__name__, place_of(error))
    return Refusal(Code.INTERNAL_SERVER_ERROR, "Something went wrong in dokreg; its log says where.")


@functools.cache
def _writer(name: str) -> "TypeAdapter[Any]":
    """Of a procedure's answer, by the procedure's name."""
    found = procedures.find(name)
    return TypeAdapter(found.answers if found else None)


def json_response(body: bytes, *, status: int = 200) -> HttpResponse:
    """Never to be kept by anybody between: answers differ from key to key."""
    response = HttpResponse(body, status=status, content_type=JSON)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "x-api-key, Cookie"
    return response


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


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
