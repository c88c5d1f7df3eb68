"""The Celery application: queues, the schedule of beat, and the heartbeats that /healthz reads."""

import logging
import os
import threading
import time
from typing import Any

from celery import Celery
from celery.beat import Scheduler, Service
from celery.signals import beat_init, heartbeat_sent, setup_logging, worker_init, worker_ready

from dokreg.broker import outlive_redis

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dokreg.settings")

log = logging.getLogger(__name__)
SWEEP_SECONDS = 15
DISPATCH_SECONDS = 60
BEAT_RESTART_SECONDS = 5
BEAT_HEARTBEAT_SECONDS = 10
WORKER_HEARTBEAT_SECONDS = 10

outlive_redis()
app = Celery("dokreg")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    f"sweep {name}.{thing}": {
        "task": f"{name}.tasks.sweep_{thing}",
        "schedule": SWEEP_SECONDS,
        # A sweep that waits longer than its period would only run beside the next one.
        "options": {"expires": SWEEP_SECONDS - 1},
    }
    for name, thing in (
        ("organisations", "notifications"),
        ("servers", "server_tests"),
        ("registries", "registry_tests"),
        ("registries", "token_refreshes"),
        ("registries", "logins"),
        ("registries", "rotations"),
        ("registries", "config_checks"),
        ("applications", "deployments"),
        ("registries", "catalog_looks"),
    )
} | {
    f"dispatch {thing}": {
        "task": f"{name}.tasks.dispatch_{thing}",
        "schedule": DISPATCH_SECONDS,
        "options": {"expires": DISPATCH_SECONDS - 1},
    }
    for name, thing in (("registries", "refreshes"), ("applications", "polls"))
}


class BeatingScheduler(Scheduler):
    """Beat's own scheduler (the schedule is code, nothing is kept on disk) with a heartbeat in the database."""

    _beaten_at = float("-inf")

    def tick(self, *args: Any, **kwargs: Any) -> float:
        now = time.monotonic()
        if now - self._beaten_at >= BEAT_HEARTBEAT_SECONDS:
            self._beaten_at = now
            _beat("beat")
        return min(float(super().tick(*args, **kwargs)), BEAT_HEARTBEAT_SECONDS)


app.conf.beat_scheduler = BeatingScheduler


class _WorkerHeart:
    """A worker's last heartbeat; Celery beats every two seconds, the database needs fewer."""

    beaten_at = float("-inf")


@heartbeat_sent.connect
def _worker_beats(sender: Any, **_: Any) -> None:
    now = time.monotonic()
    if now - _WorkerHeart.beaten_at >= WORKER_HEARTBEAT_SECONDS:
        _WorkerHeart.beaten_at = now
        _beat(f"worker {sender.eventer.hostname}")


@worker_ready.connect
def _sweep_at_start(**_: Any) -> None:
    for entry in app.conf.beat_schedule.values():
        app.send_task(entry["task"], **entry["options"])


@worker_ready.connect
def _beat_in_this_worker(**_: Any) -> None:
    """For one machine: beat as a thread costs nothing, and a forked one would share SQLite's files with us."""
    if os.environ.get("DOKREG_BEAT_IN_WORKER") == "true":
        threading.Thread(target=_run_beat, daemon=True, name="beat").start()


def _run_beat() -> None:
    while True:
        try:
            Service(app, scheduler_cls=BeatingScheduler).start()
        except Exception:
            log.exception("Beat ended; it starts again in %s s.", BEAT_RESTART_SECONDS)
        time.sleep(BEAT_RESTART_SECONDS)


def _beat(name: str) -> None:
    from dokreg.health import beat

    beat(name)


@worker_init.connect
@beat_init.connect
def _refuse_wrong_keys(**_: Any) -> None:
    from django.db import DatabaseError, connections

    from dokreg.checks import WrongKeys, verify_keys

    try:
        verify_keys()
    except WrongKeys as error:
        raise SystemExit(str(error)) from error
    except DatabaseError:
        return  # it may come up after us; /healthz says that it is away
    finally:
        connections.close_all()  # a pool that forks must not share them


@setup_logging.connect
def _keep_django_logging(**_: Any) -> None:
    """Celery must not configure logging: the settings have."""
