"""Everything under /api/: to the adapter that it is for."""

from typing import Any

from django.core.exceptions import DisallowedHost, SuspiciousOperation
from django.http import HttpRequest, HttpResponse

from dokreg.api import load, rest, trpc
from dokreg.api.answering import broken
from organisations import calling
from organisations.procedures import Code, Refusal

TRPC = "trpc/"
NOT_READABLE = "The request is not one that dokreg reads."
OTHER_HOST = "dokreg does not answer under this host name. Whoever runs it can add it to DOKREG_ALLOWED_HOSTS."


def answer(request: HttpRequest, path: str) -> HttpResponse:
    """The answer of the REST or the tRPC surface: JSON, whatever happens.

    More slashes than one are one: a client of many writes two.
    """
    load()
    path = path.lstrip("/")
    surface = _surface(path)
    try:
        with calling.call():
            found: HttpResponse = surface.answer(request, path.removeprefix(TRPC).lstrip("/"))
    except SuspiciousOperation:  # such as more fields in the address than anybody needs
        return refused(surface, Refusal(Code.BAD_REQUEST, NOT_READABLE))
    except Exception as error:  # noqa: BLE001 - a program is to get JSON
        return refused(surface, broken("A request", error))
    return found


def not_understood(path: str, error: Exception) -> HttpResponse:
    """For a request that never came to `answer`, such as one to a host that dokreg does not have."""
    message = OTHER_HOST if isinstance(error, DisallowedHost) else NOT_READABLE
    return refused(_surface(path), Refusal(Code.BAD_REQUEST, message))


def _surface(path: str) -> Any:
    return trpc if path.startswith(TRPC) else rest


def refused(surface: Any, refusal: Refusal) -> HttpResponse:
    response: HttpResponse = surface.refused(refusal)
    return response
