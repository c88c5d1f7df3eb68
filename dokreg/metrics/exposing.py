"""The answer at /metrics: who may read it, and what stands there."""

import hmac
import logging
import threading
import time
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily

from dokreg.deadlines import queries_within
from dokreg.http import is_trusted
from dokreg.metrics.families import Family, registered
from dokreg.metrics.requests import of_all_processes

log = logging.getLogger(__name__)
KEPT_SECONDS = 5.0  # two Prometheus that scrape at once ask the database once
QUERY_SECONDS = 2.0
ANSWERED = "dokreg_metrics_up"


def answer(request: HttpRequest) -> HttpResponse:
    """The figures as text; 401 or 403 for whom the settings do not let in."""
    if settings.DOKREG_METRICS_NETWORKS and not is_trusted(
        request.META.get("REMOTE_ADDR", ""), settings.DOKREG_METRICS_NETWORKS
    ):
        return HttpResponse("Your address is not in DOKREG_METRICS_NETWORKS.\n", status=403, content_type="text/plain")
    if settings.DOKREG_METRICS_TOKEN and not _has_token(request):
        refused = HttpResponse("Send the header Authorization: Bearer TOKEN.\n", status=401, content_type="text/plain")
        refused["WWW-Authenticate"] = "Bearer"
        return refused
    registry = of_all_processes()
    registry.register(_rows)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _has_token(request: HttpRequest) -> bool:
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    expected: str = settings.DOKREG_METRICS_TOKEN
    return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), expected.encode())


class Rows:
    """What the database and the broker say, kept for a few seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[Metric] = []
        self._counted_at = float("-inf")

    def collect(self) -> list[Metric]:
        with self._lock:
            if time.monotonic() - self._counted_at > KEPT_SECONDS:
                self._kept = list(_count())
                self._counted_at = time.monotonic()
            return self._kept

    def forget(self) -> None:
        self._counted_at = float("-inf")


_rows = Rows()


def _count() -> Iterator[Metric]:
    """Everything that apps tell; who does not answer is left out, and it is said that they did not."""
    answered: dict[tuple[str, ...], float] = {}
    for name, count in registered().items():
        try:
            with queries_within(QUERY_SECONDS):
                families = list(count())
        except Exception as error:  # noqa: BLE001 - the other figures are needed the most when something is away
            log.warning("No figures of %s: %s", name, type(error).__name__)
            families = []
        answered[(name,)] = float(bool(families))
        yield from map(_metric, families)
    text = "Whether these figures could be had."
    yield _metric(Family(ANSWERED, text, ("figures",), answered))


def _metric(family: Family) -> Metric:
    metric = GaugeMetricFamily(family.name, family.text, labels=family.labels)
    for labels, value in family.values.items():
        metric.add_metric(labels, value)
    return metric
