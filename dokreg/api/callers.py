"""Who calls: by the API key in the header `x-api-key`, or by the session of the browser."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from organisations import api_keys, audit, calling, throttle
from organisations.access import LAST_ORGANISATION
from organisations.models import Membership
from organisations.procedures import Caller, Code, Refusal

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Unauthorized(Refusal):
    """Nobody is known by what the request carries; the reason is told to whoever has a key of before."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(Code.UNAUTHORIZED, f"Unauthorized: {reason}" if reason else "Unauthorized")


def identify(request: HttpRequest) -> Caller:
    """The caller; raises Unauthorized, or Refusal for too many requests and for a session without its CSRF token."""
    key = request.headers.get("x-api-key")
    if key is not None:
        return _by_key(request, key.strip())
    if request.user.is_authenticated:
        return _by_session(request)
    raise Unauthorized


def _by_key(request: HttpRequest, text: str) -> Caller:
    address = str(request.META.get("REMOTE_ADDR", ""))
    key = api_keys.find(text)
    reason = api_keys.refusal_of(key) if key is not None else ""
    if key is None or reason:
        throttle.check_refused(address)
        raise Unauthorized(reason)
    throttle.check_caller(key.pk)
    api_keys.note_use(key, address=address)
    request.user = key.membership.user
    audit.act_as(key.membership.user)
    calling.note_key(key.start)
    return Caller(membership=key.membership, granted=key.granted, api_key=key)


def _by_session(request: HttpRequest) -> Caller:
    """In the organisation where the person was last."""
    memberships = Membership.objects.select_related("user", "organisation").filter(user=request.user.pk)
    last = memberships.filter(organisation=request.session.get(LAST_ORGANISATION, "")).first()
    membership = last or memberships.order_by("created_at").first()
    if membership is None:
        raise Unauthorized("you are no member of any organisation.")
    if request.method not in SAFE_METHODS:
        _check_csrf(request)
    throttle.check_caller(f"session {request.user.pk}")
    return Caller(membership=membership, granted=membership.granted)


class _CsrfCheck(CsrfViewMiddleware):
    """Django's own check, whose refusal is not a page."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:  # noqa: ARG002 - Django's signature
        return reason


def _check_csrf(request: HttpRequest) -> None:
    check = _CsrfCheck(_never_called)
    check.process_request(request)
    if reason := check.process_view(request, _never_called, (), {}):
        raise Refusal(Code.FORBIDDEN, f"The browser's session needs its CSRF token: {reason}")


def _never_called(_request: HttpRequest) -> HttpResponse:
    raise AssertionError
