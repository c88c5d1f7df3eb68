"""Counts what the web processes of this machine answer, all of them together.

Each process writes into a file of its own in a folder that they share; whichever is scraped adds them up. The folder
belongs to the process that started them, so that their figures begin with it.
"""

import os
import shutil
import stat
import time
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from dokreg.http import GetResponse

MOST_CALLS = 100  # of one request
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds


class NotPrivate(Exception):
    """Somebody else owns the folder, or may write there."""


def _shared_folder() -> Path:
    """The folder of the processes with the same parent, made if need be. Raises NotPrivate."""
    parent: Path = settings.DOKREG_RUN_DIR
    for folder in (parent, mine := parent / f"metrics-{os.getppid()}"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise NotPrivate(f"{folder} must be a folder of this user alone. Remove it and start again.")
    for old in parent.glob("metrics-*"):
        if not _is_running(old.name.rpartition("-")[2]):
            shutil.rmtree(old, ignore_errors=True)
    return mine


def _is_running(number: str) -> bool:
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


# The library decides how it keeps its figures while it is imported.
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(_shared_folder()))

from prometheus_client import CollectorRegistry, Counter, Histogram  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402

_here = CollectorRegistry()
REQUESTS = Counter("dokreg_http_requests", "Requests that were answered.", ("view", "method", "status"), registry=_here)
SECONDS = Histogram(
    "dokreg_http_request_seconds", "From the request to its answer.", ("view",), buckets=BUCKETS, registry=_here
)
CALLS = Counter("dokreg_api_calls", "Calls of the API.", ("procedure", "status"), registry=_here)


def of_all_processes() -> CollectorRegistry:
    """A registry that adds up what every process has counted."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


class CountRequestsMiddleware:
    """Counts each request and how long it took, under the name of its view: there are as many as there are pages."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - began
        view = request.resolver_match.view_name if request.resolver_match else "none"
        method = request.method if request.method in METHODS else "other"
        status = f"{response.status_code // 100}xx"
        REQUESTS.labels(view, method, status).inc()
        SECONDS.labels(view).observe(seconds)
        for name in _procedures(request):
            CALLS.labels(name, status).inc()
        return response


def _procedures(request: HttpRequest) -> list[str]:
    """The procedures of the API that a request called, by their own names; what is none of them is `unknown`."""
    found = request.resolver_match
    if found is None or found.view_name != "api":
        return []
    from organisations import procedures

    names = str(found.kwargs["path"]).lstrip("/").removeprefix("trpc/").lstrip("/").split(",")
    return [name if procedures.find(name) else "unknown" for name in names[:MOST_CALLS]]
