"""The id of a request, and the line that is logged of it."""

import logging
import time
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from dokreg.http import GetResponse, is_trusted, masked
from dokreg.logs import JSON, working_on

HEADER = "X-Request-ID"
log = logging.getLogger("dokreg.requests")


class RequestIdMiddleware:
    """Gives each request an id, which is in every line that is logged for it, and in the answer.

    A trusted proxy may have given it one already. It stands before whatever rewrites the address of the peer.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.tells = settings.DOKREG_LOG_FORMAT == JSON

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.pop("HTTP_X_REQUEST_ID", "")
        is_believed = is_trusted(request.META.get("REMOTE_ADDR", ""), settings.DOKREG_TRUSTED_PROXIES)
        with working_on(given if is_believed else "") as name:
            began = time.monotonic()
            response = self.get_response(request)
            response[HEADER] = name
            if self.tells:
                log.info("request", extra=_facts(request, response, began))
        return response


def _facts(request: HttpRequest, response: HttpResponse, began: float) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": masked(request.path),
        "status": response.status_code,
        "ms": round((time.monotonic() - began) * 1000, 1),
        "user_id": _user_id(request),
    }


def _user_id(request: HttpRequest) -> Any:
    """Whoever was asked for while the request was answered; nobody is looked up for the sake of a line."""
    user = vars(request).get("_cached_user")
    return getattr(user, "pk", None)
