"""Small helpers of views: answers that Django has no class for, and forms that were posted or not."""

from typing import Any

from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseRedirectBase
from django.shortcuts import resolve_url

MOST_DIGITS = 9


class SeeOther(HttpResponseRedirectBase):
    """303: the form was taken; get that page next."""

    status_code = 303


def see_other(to: Any, **kwargs: Any) -> SeeOther:
    """303 to a URL name, an object with a page of its own, or an address."""
    return SeeOther(resolve_url(to, **kwargs))


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form is to be bound to: nothing before it is posted."""
    return request.POST if request.method == "POST" else None


def status_of(request: HttpRequest) -> int:
    """Of a page with a form: 422 if the form is shown because what was posted does not do."""
    return 422 if request.method == "POST" else 200


def number_in(request: HttpRequest, name: str, *, usual: int) -> int:
    """A whole number in the address, such as the revision that a page has seen; `usual` if there is none."""
    text = request.GET.get(name, "")
    return int(text[:MOST_DIGITS]) if text.isdecimal() else usual
