"""tRPC: `/api/trpc/registry.one?input={"json":{…}}` in superjson's envelope; several calls at once with `?batch=1`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse

from dokreg.api import callers, reading
from dokreg.api.answering import NOTHING, as_json, carry_out, error_data, json_response, with_retry
from organisations import procedures
from organisations.procedures import Caller, Code, Procedure, Refusal

MOST_AT_ONCE = 50
# Calls may wait for a verdict, one after the other: what would begin later than this is not begun.
BATCH_SECONDS = 60.0
SEVERAL_STATUSES = 207
UNDEFINED = b'{"result":{"data":{"json":null,"meta":{"values":["undefined"],"v":1}}}}'


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one call."""

    status: int
    body: bytes
    retry_after: int | None = None


def answer(request: HttpRequest, path: str) -> HttpResponse:
    """The answer to a request of this path below /api/trpc/."""
    try:
        caller = callers.identify(request)
        if request.method == "HEAD":
            return HttpResponse(status=204)
        names = path.split(",") if _is_batch(request) else [path]
        inputs = _inputs(request, len(names))
    except reading.NotJson:
        return refused(Refusal(Code.BAD_REQUEST, "Invalid JSON"))
    except Refusal as refusal:
        return refused(refusal)
    replies = _replies(request, caller, names, inputs)
    body = b"[" + b",".join(reply.body for reply in replies) + b"]" if _is_batch(request) else replies[0].body
    statuses = {reply.status for reply in replies}
    response = json_response(body, status=statuses.pop() if len(statuses) == 1 else SEVERAL_STATUSES)
    later = [reply.retry_after for reply in replies if reply.retry_after is not None]
    if later:
        response.headers["Retry-After"] = str(max(later))
    return response


def refused(refusal: Refusal) -> HttpResponse:
    """What is answered instead of all calls."""
    return with_retry(json_response(_error(refusal, ""), status=refusal.code.status), refusal)


def _replies(request: HttpRequest, caller: Caller, names: list[str], inputs: list[Any]) -> list[Reply]:
    """One call after the other; before each but the first it is asked anew who calls, and how often by now."""
    end = time.monotonic() + BATCH_SECONDS
    replies = [_reply(request, lambda: caller, names[0], inputs[0], end=end)]
    for name, values in zip(names[1:], inputs[1:], strict=True):
        replies.append(_reply(request, lambda: callers.identify(request), name, values, end=end))
    return replies


def _is_batch(request: HttpRequest) -> bool:
    return reading.query_of(request).get("batch") == "1"


def _inputs(request: HttpRequest, number: int) -> list[Any]:
    """The input of each call, out of its envelope: of queries from the address, of mutations from the body alone."""
    if number > MOST_AT_ONCE:
        raise Refusal(Code.BAD_REQUEST, f"At most {MOST_AT_ONCE} calls go into one batch.")
    given = _given(request)
    if not _is_batch(request):
        return [unwrapped(given)]
    if given is not None and not isinstance(given, dict):
        raise Refusal(Code.BAD_REQUEST, 'The input of a batch is an object: {"0": …, "1": …}.')
    return [unwrapped((given or {}).get(str(index))) for index in range(number)]


def _given(request: HttpRequest) -> Any:
    if request.method != "POST":
        text = reading.query_of(request).get("input", "")
        return reading.parse(text) if text else None
    if not request.META.get("CONTENT_LENGTH") or request.META["CONTENT_LENGTH"] == "0":
        return None  # what takes nothing is asked for without a body
    reading.check_content_type(request)
    return reading.parse(reading.body_of(request))


def unwrapped(given: Any) -> Any:
    """The input out of superjson's envelope `{"json": …, "meta"?: …}`; what has none is the input itself.

    What `meta` calls undefined was not given at all, although JSON can only say null for it.
    """
    if not isinstance(given, dict) or "json" not in given or not given.keys() <= {"json", "meta"}:
        return given
    values, meta = given["json"], given.get("meta")
    named = meta.get("values") if isinstance(meta, dict) else None
    if named == ["undefined"]:
        return None
    if isinstance(values, dict) and isinstance(named, dict):
        return {name: value for name, value in values.items() if named.get(name) != ["undefined"]}
    return values


def _reply(request: HttpRequest, identify: Callable[[], Caller], name: str, values: Any, *, end: float) -> Reply:
    try:
        _check_time(end)
        body = carry_out(_procedure(request, name), identify(), values)
    except Refusal as refusal:
        return Reply(refusal.code.status, _error(refusal, name), refusal.retry_after)
    return Reply(200, UNDEFINED if body == NOTHING else b'{"result":{"data":{"json":' + body + b"}}}")


def _check_time(end: float) -> None:
    if time.monotonic() > end:
        raise Refusal(Code.GATEWAY_TIMEOUT, "The calls before it in this batch took too long; it was not begun.")


def _procedure(request: HttpRequest, name: str) -> Procedure:
    found = procedures.find(name)
    if found is None:
        raise Refusal(Code.NOT_FOUND, f"No procedure found on path “{name[:100]}”")
    if request.method != ("GET" if found.is_query else "POST"):
        kind = "query" if found.is_query else "mutation"
        raise Refusal(
            Code.METHOD_NOT_SUPPORTED, f"{name} is a {kind}: ask for it by {'GET' if found.is_query else 'POST'}."
        )
    return found


def _error(refusal: Refusal, path: str) -> bytes:
    error = {"message": str(refusal), "code": refusal.code.number, "data": error_data(refusal, path)}
    return as_json({"error": {"json": error}})
