"""Small helpers between Django and every view: client addresses, htmx answers, silent error reports."""

import ipaddress
import logging
import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseRedirectBase
from django.views.debug import SafeExceptionReporterFilter
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from dokreg.addresses import Network

SECRET_LINK = re.compile(r"(/(?:setup|invitations|webhooks)/)[^/\s\"]+")
# Fields whose forms refuse a NUL in words of their own.
TAKES_SECRETS = frozenset(
    {
        "address",
        "environment",
        "new_password",
        "password",
        "password1",
        "password2",
        "old_password",
        "private_key",
        "text",
    }
)
API = re.compile(r"/+api/")
GetResponse = Callable[[HttpRequest], HttpResponse]


class HtmxRequest(HttpRequest):
    """A request as django-htmx's middleware hands it on."""

    htmx: HtmxDetails


class ClientAddressMiddleware:
    """Puts the client's true address into REMOTE_ADDR, and drops the header when nobody vouches for it.

    `X-Forwarded-For` counts only from an address in DOKREG_TRUSTED_PROXIES; of its entries the last one that is
    not a trusted proxy is the client. Everything after (throttling, audit trail) reads REMOTE_ADDR alone.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        forwarded = request.META.pop("HTTP_X_FORWARDED_FOR", "")
        request.META.pop("HTTP_X_FORWARDED_PORT", None)  # the audit trail would store it as it comes
        peer = request.META.get("REMOTE_ADDR", "")
        trusted: tuple[Network, ...] = settings.DOKREG_TRUSTED_PROXIES
        if forwarded and is_trusted(peer, trusted):
            hops = [hop.strip() for hop in forwarded.split(",")]
            clients = [hop for hop in hops if _is_address(hop) and not is_trusted(hop, trusted)]
            request.META["REMOTE_ADDR"] = clients[-1] if clients else peer
        elif not is_trusted(peer, trusted):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        return self.get_response(request)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_trusted(text: str, networks: tuple[Network, ...]) -> bool:
    """Whether it is an address in one of the networks."""
    return _is_address(text) and any(ipaddress.ip_address(text) in network for network in networks)


class RefuseNulMiddleware:
    """Answers 400 to a NUL in the address or in a field of a form: no database takes it, and nobody types it.

    Fields that take secrets are left to their forms, which say it at the field.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if API.match(request.path_info):  # it answers in its own words
            return self.get_response(request)
        if _has_nul(request.GET) or (request.method == "POST" and _has_nul(request.POST)):
            raise BadRequest("a NUL character")
        return self.get_response(request)


def _has_nul(fields: QueryDict) -> bool:
    return any("\0" in value for name, values in fields.lists() if name not in TAKES_SECRETS for value in values)


class HtmxRedirectMiddleware:
    """Turns the redirect of an ended session into a full page load; htmx would swap the sign-in page in."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if getattr(request, "htmx", False) and isinstance(response, HttpResponseRedirectBase):
            redirect = HttpResponseClientRedirect(response.url)
            redirect.cookies = response.cookies
            return redirect
        return response


class MaskOneTimeLinks(logging.Filter):
    """Django logs the address of every refused request; the one of a one-time link or of a webhook is a key."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(masked(value) if isinstance(value, str) else value for value in record.args)
        record.msg = masked(record.msg) if isinstance(record.msg, str) else record.msg
        return True


def masked(text: str) -> str:
    """The text without the secret part of one-time links and of webhooks."""
    return SECRET_LINK.sub(r"\1********", text)


class SilentExceptionReporterFilter(SafeExceptionReporterFilter):
    """Error reports carry no form values and no local variables: either may be somebody's password."""

    # Addresses of databases and brokers hold passwords, too.
    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|URL|DATABASES", re.IGNORECASE)

    def is_active(self, request: HttpRequest | None) -> bool:  # noqa: ARG002 - Django's signature
        return True

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        return {} if request is None else dict.fromkeys(request.POST, self.cleansed_substitute)

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> Any:  # noqa: ARG002
        return [(name, self.cleansed_substitute) for name in tb_frame.f_locals]
