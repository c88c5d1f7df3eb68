"""Metrics of a web server with several processes behind a proxy, and who may read them."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from dokreg.metrics import families
from tests.running import ROOT, Running

TOKEN = "marked-metrics-token"
INSIDE, OUTSIDE = "10.1.2.3", "192.0.2.1"
PROCESSES, REQUESTS, SCRAPES = 3, 30, 6
START_SECONDS = 60.0


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The web server alone, as it is started where people run its parts themselves."""
    dokreg = Running(
        tmp_path_factory.mktemp("metrics") / "data",
        is_embedded=True,
        DOKREG_METRICS_TOKEN=TOKEN,
        DOKREG_METRICS_NETWORKS="10.0.0.0/8",
        DOKREG_TRUSTED_PROXIES="127.0.0.1",
    )
    command = ["gunicorn", "dokreg.wsgi", "--bind", f"127.0.0.1:{dokreg.port}", "--workers", str(PROCESSES)]
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--worker-class", "gthread", "--no-control-socket"],
        cwd=ROOT,
        env=dokreg.environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + START_SECONDS
        while ask(dokreg, "/sign-in/")[0] != 200:
            assert time.monotonic() < end, "it did not start"
            time.sleep(0.1)
        yield dokreg
    finally:
        process.terminate()
        process.wait(30)


def ask(dokreg: Running, path: str, *, token: str = TOKEN, client: str = INSIDE) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": client}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{dokreg.url}{path}", headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:  # it does not listen yet
        return 0, ""


def counted(dokreg: Running, view: str) -> float:
    """How many requests a page has answered, as one scrape tells."""
    found = text_string_to_metric_families(ask(dokreg, "/metrics")[1])
    samples = [sample for family in found for sample in family.samples if sample.labels.get("view") == view]
    return sum(sample.value for sample in samples if sample.name == "dokreg_http_requests_total")


@pytest.mark.once
def test_every_process_tells_of_all_of_them(web: Running) -> None:
    before = counted(web, "account")
    for _ in range(REQUESTS):
        ask(web, "/account/")
    assert [counted(web, "account") for _ in range(SCRAPES)] == [before + REQUESTS] * SCRAPES


@pytest.mark.once
def test_it_takes_both_the_network_and_the_token(web: Running) -> None:
    asked = [(INSIDE, TOKEN), (INSIDE, "wrong"), (OUTSIDE, TOKEN), ("", TOKEN)]
    assert [ask(web, "/metrics", client=client, token=token)[0] for client, token in asked] == [200, 401, 403, 403]


@pytest.mark.once
def test_what_is_away_is_left_out_and_said(web: Running) -> None:
    text = ask(web, "/metrics")[1]
    assert 'dokreg_metrics_up{figures="queues"} 0.0' in text  # there is no broker
    assert 'dokreg_metrics_up{figures="runs"} 1.0' in text
    assert "dokreg_queue_length" not in text


@pytest.mark.django_db
def test_they_are_closed_by_default(client: Client) -> None:
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.django_db
def test_labels_are_none_of_what_people_write() -> None:
    labels = {label for count in families.registered().values() for family in _told(count) for label in family.labels}
    assert labels <= {"kind", "state", "verdict", "figures", "queue", "version"}


def _told(count: families.Counting) -> list[families.Family]:
    """What it tells; the broker is away in the process of the tests."""
    return [] if count is families.registered()["queues"] else list(count())
