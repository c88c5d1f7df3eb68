"""Between Django and the views: addresses of clients, logs, reports of errors."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from dokreg.addresses import parse_networks
from dokreg.http import ClientAddressMiddleware, MaskOneTimeLinks, SilentExceptionReporterFilter, masked

Seen = Callable[..., tuple[str, str]]


@pytest.fixture
def seen(settings: Any) -> Seen:
    """What address and scheme the views see, for what came from whom."""
    settings.DOKREG_TRUSTED_PROXIES = parse_networks("10.0.0.0/8")

    def see(peer: str, **headers: str) -> tuple[str, str]:
        request = RequestFactory().get("/")
        request.META |= {"REMOTE_ADDR": peer} | headers
        ClientAddressMiddleware(lambda _request: HttpResponse())(request)
        return request.META["REMOTE_ADDR"], request.META.get("HTTP_X_FORWARDED_PROTO", "")

    return see


def test_a_strangers_header_counts_for_nothing(seen: Seen) -> None:
    assert seen("203.0.113.9", HTTP_X_FORWARDED_FOR="1.2.3.4", HTTP_X_FORWARDED_PROTO="https") == ("203.0.113.9", "")


def test_a_proxy_is_believed_about_its_own_client(seen: Seen) -> None:
    headers = {"HTTP_X_FORWARDED_FOR": "6.6.6.6, 203.0.113.9, 10.0.0.2", "HTTP_X_FORWARDED_PROTO": "https"}
    assert seen("10.0.0.1", **headers) == ("203.0.113.9", "https")


@pytest.mark.parametrize("header", ["", "nonsense", "10.0.0.7"])
def test_a_proxy_that_names_no_client_is_the_client(seen: Seen, header: str) -> None:
    assert seen("10.0.0.1", HTTP_X_FORWARDED_FOR=header)[0] == "10.0.0.1"


def test_one_time_links_are_masked_in_logs() -> None:
    record = logging.makeLogRecord({"msg": "%s: %s", "args": ("Bad Request", "/setup/marked-token/")})
    assert MaskOneTimeLinks().filter(record)
    assert record.getMessage() == "Bad Request: /setup/********/"
    assert masked("GET /invitations/marked-token/?a=b") == "GET /invitations/********/?a=b"


def test_error_reports_hold_no_typed_values() -> None:
    request = RequestFactory().post("/", {"password": "marked"})
    reports = SilentExceptionReporterFilter()
    assert "marked" not in str(reports.get_post_parameters(request))
    assert "CELERY_BROKER_URL" in reports.get_safe_settings()
    assert set(reports.get_safe_settings()["CELERY_BROKER_URL"]) == {"*"}


@pytest.mark.django_db
def test_an_ended_session_in_the_middle_of_a_page_leads_to_the_sign_in_page() -> None:
    answer = Client().get("/account/", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"].split("?")[0]) == (200, "/sign-in/")
