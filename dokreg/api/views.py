"""Everything under /api/: to the adapter that it is for."""

from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse

from dokreg.api import load, rest, trpc
from dokreg.api.answering import broken
from organisations import calling
from organisations.procedures import Code, Refusal

TRPC = "trpc/"


def answer(request: HttpRequest, path: str) -> HttpResponse:
    """The answer of the REST or the tRPC surface: JSON, whatever happens.

    More slashes than one are one: a client of many writes two.
    """
    load()
    path = path.lstrip("/")
    surface: Any = trpc if path.startswith(TRPC) else rest
    try:
        with calling.call():
            found: HttpResponse = surface.answer(request, path.removeprefix(TRPC).lstrip("/"))
    except SuspiciousOperation:  # such as more fields in the address than anybody needs
        return refused(surface, Refusal(Code.BAD_REQUEST, "The request is not one that dokreg reads."))
    except Exception as error:  # noqa: BLE001 - a program is to get JSON
        return refused(surface, broken("A request", error))
    return found


def refused(surface: Any, refusal: Refusal) -> HttpResponse:
    response: HttpResponse = surface.refused(refusal)
    return response
