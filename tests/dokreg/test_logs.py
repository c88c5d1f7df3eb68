"""Ids of requests, and lines of logs as JSON."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from dokreg import logs
from dokreg.addresses import parse_networks
from dokreg.logs.formatting import Lines
from dokreg.logs.middleware import RequestIdMiddleware
from tests.running import ROOT, Running

GIVEN = "3f2a-proxy.example:17"


def answered(peer: str, given: str, settings: Any) -> tuple[str, str]:
    """The id that the view saw, and the one in the answer."""
    settings.DOKREG_TRUSTED_PROXIES = parse_networks("10.0.0.0/8")
    seen: list[str] = []

    def view(_request: HttpRequest) -> HttpResponse:
        seen.append(logs.request_id())
        return HttpResponse()

    request = RequestFactory().get("/", REMOTE_ADDR=peer, HTTP_X_REQUEST_ID=given)
    return RequestIdMiddleware(view)(request)["X-Request-ID"], seen[0]


def test_a_trusted_proxy_gives_a_request_its_id(settings: Any) -> None:
    assert answered("10.0.0.1", GIVEN, settings) == (GIVEN, GIVEN)
    assert logs.request_id() == ""


def test_anybody_else_does_not(settings: Any) -> None:
    first, second = (answered("203.0.113.9", GIVEN, settings) for _ in range(2))
    assert GIVEN not in (*first, *second)
    assert first[0] == first[1] != second[0]


@pytest.mark.parametrize(
    "given", ["", "short", "a" * 65, "line\nbreak-and-more", "<script>alert(1)</script>", "ünïcödé-id"]
)
def test_what_is_no_id_is_replaced(settings: Any, given: str) -> None:
    in_answer, seen = answered("10.0.0.1", given, settings)
    assert in_answer == seen != given
    assert logs.is_request_id(seen)


def test_ids_may_be_nested() -> None:
    with logs.working_on("outer-task") as outer:
        with logs.working_on("inner-task"):
            assert logs.request_id() == "inner-task"
        assert logs.request_id() == outer == "outer-task"


def record(message: str, **extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "test"} | extra)
    assert logs.AddRequestId().filter(made)
    return made


def test_a_line_of_json_has_what_is_meant_for_it_and_nothing_else() -> None:
    request = RequestFactory().get("/setup/marked-token/")
    with logs.working_on("request-1"):
        line = json.loads(Lines().format(record("Went to /setup/marked-token/", request=request, status=500, ms=1.5)))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "test",
        "message": "Went to /setup/********/",
        "request_id": "request-1",
        "status": 500,
        "ms": 1.5,
    }


def test_a_traceback_has_no_link_either() -> None:
    try:
        int("/invitations/marked-token/")
    except ValueError:
        line = json.loads(Lines().format(record("It broke", exc_info=sys.exc_info())))
    assert "/invitations/********/" in line["exception"]
    assert "marked-token" not in json.dumps(line)


def test_a_line_of_text_ends_with_the_id() -> None:
    formatter = logging.Formatter(logs.LINE, style="{")
    assert formatter.format(record("Hello")).endswith("INFO test: Hello")
    with logs.working_on("request-1"):
        assert formatter.format(record("Hello")).endswith("INFO test: Hello [request-1]")


@pytest.mark.django_db
def test_the_page_that_says_that_something_broke_has_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError

    monkeypatch.setattr("dokreg.health.examine", broken)
    client = Client(raise_request_exception=False)
    answer = client.get("/healthz")
    assert answer.status_code == 500
    assert f'<code class="mono">{answer["X-Request-ID"]}</code>' in answer.content.decode()


def test_what_most_installations_never_use_is_not_loaded(tmp_path: Path) -> None:
    program = (
        "import sys, dokreg.wsgi; from django.test import RequestFactory; "
        "print(sorted({'prometheus_client', 'pythonjsonlogger'} & sys.modules.keys()))"
    )
    dokreg = Running(tmp_path / "data")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=dokreg.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
