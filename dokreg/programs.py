"""The command lines of dokreg's own processes, for all who start them; imports no Django."""

import sys

PYTHON = [sys.executable]
# Those who wait for the end of a test (servers.watching.MOST_WAITING) leave enough for everybody else.
WEB_THREADS = 64
# More than the settings let run in the background at once: a click finds a free one.
WORKER_THREADS = 28


def web(bind: tuple[str, int], *, graceful_seconds: int) -> list[str]:
    """The web server. When it is told to end, requests under way have that long to finish."""
    host, port = bind
    return [
        *PYTHON, "-m", "gunicorn", "dokreg.wsgi", "--bind", f"{host}:{port}", "--worker-class", "gthread",
        "--workers", "1", "--threads", str(WEB_THREADS), "--timeout", "60", "--graceful-timeout", str(graceful_seconds),
        "--log-level", "warning", "--logger-class", "dokreg.logs.gunicorn.Logger", "--no-control-socket",
    ]  # fmt: skip


def worker() -> list[str]:
    """A worker for both queues. When it is told to end, it takes no more tasks and finishes those that it has."""
    return [
        *PYTHON, "-m", "celery", "--app", "dokreg", "--quiet", "worker", "--pool", "threads",
        "--concurrency", str(WORKER_THREADS), "--queues", "default,ssh", "--loglevel", "WARNING",
        "--without-gossip", "--without-mingle",
    ]  # fmt: skip


def embedded_worker() -> list[str]:
    """The same with less memory, and nothing to hand on to Celery."""
    return [*PYTHON, "-m", "dokreg.celery_worker", str(WORKER_THREADS)]


def beat() -> list[str]:
    """The process that sends what is due; a second one does no harm."""
    return [*PYTHON, "-m", "celery", "--app", "dokreg", "--quiet", "beat", "--loglevel", "WARNING"]
