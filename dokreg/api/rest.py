"""REST: `GET /api/registry.one?registryId=…`, `POST /api/registry.create` with a JSON body; the bare value back."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from dokreg.api import callers, reading
from dokreg.api.answering import as_json, carry_out, error_data, json_response, with_retry
from organisations import procedures
from organisations.procedures import Code, Procedure, Refusal


def answer(request: HttpRequest, path: str) -> HttpResponse:
    """The answer to a request of this path below /api/."""
    name = ""
    try:
        caller = callers.identify(request)
        if request.method == "HEAD":
            return HttpResponse(status=204)
        procedure = _procedure(request, path)
        name = procedure.name
        body = carry_out(procedure, caller, _values(request, procedure), as_texts=procedure.is_query)
    except callers.Unauthorized as refusal:
        return json_response(as_json({"message": str(refusal)}), status=refusal.code.status)
    except reading.NotJson:
        return HttpResponse("Invalid JSON", status=400, content_type="text/plain; charset=utf-8")
    except Refusal as refusal:
        return refused(refusal, name)
    return json_response(body)


def refused(refusal: Refusal, name: str = "") -> HttpResponse:
    """What is answered instead; `name` is the procedure's, if it is known."""
    return with_retry(json_response(as_json(_error(refusal, name)), status=refusal.code.status), refusal)


def _procedure(request: HttpRequest, path: str) -> Procedure:
    """The procedure of this path; the wrong method is as unknown as the wrong path."""
    found = procedures.find(path)
    if found is None or request.method != ("GET" if found.is_query else "POST"):
        raise Refusal(Code.NOT_FOUND, "Not found")
    return found


def _values(request: HttpRequest, procedure: Procedure) -> Any:
    if procedure.is_query:
        return {name: value for name, value in reading.query_of(request).items() if value != ""}
    reading.check_content_type(request)
    return reading.parse(reading.body_of(request))


def _error(refusal: Refusal, name: str) -> dict[str, Any]:
    error: dict[str, Any] = {
        "message": str(refusal),
        "code": refusal.code.name,
        "data": error_data(refusal, name),
    }
    if refusal.issues:
        error["issues"] = [
            {"code": issue.code, "path": list(issue.path), "message": issue.message} for issue in refusal.issues
        ]
    return error
