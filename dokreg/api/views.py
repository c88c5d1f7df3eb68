"""Everything under /api/: to the adapter that it is for."""

from django.http import HttpRequest, HttpResponse

from dokreg.api import load, rest, trpc

TRPC = "trpc/"


def answer(request: HttpRequest, path: str) -> HttpResponse:
    """The answer of the REST or the tRPC surface. More slashes than one are one: a client of many writes two."""
    load()
    path = path.lstrip("/")
    if path.startswith(TRPC):
        return trpc.answer(request, path.removeprefix(TRPC).lstrip("/"))
    return rest.answer(request, path)
