"""What is told of the installation itself."""

from collections.abc import Iterator

from django.utils import timezone

import dokreg
from dokreg import health
from dokreg.doctor.background import broker_client, queue_lengths
from dokreg.metrics.families import Family, Values, register
from dokreg.models import Heartbeat


def register_families() -> None:
    register("installation", describe)
    register("hearts", count_hearts)
    register("queues", count_queues)


def describe() -> Iterator[Family]:
    yield Family("dokreg_build_info", "The version that runs.", ("version",), {(dokreg.__version__,): 1})


def count_hearts() -> Iterator[Family]:
    alive = Heartbeat.objects.filter(at__gte=timezone.now() - health.ALIVE_WITHIN).values_list("name", flat=True)
    for name, text, heart in (
        ("dokreg_workers", "Workers that beat.", health.WORKER),
        ("dokreg_beats", "Schedulers that beat.", health.BEAT),
    ):
        yield Family(name, text, (), {(): sum(found.startswith(heart.prefix) for found in alive)})


def count_queues() -> Iterator[Family]:
    with broker_client() as client:
        lengths: Values = {(queue,): length for queue, length in queue_lengths(client).items()}
    yield Family("dokreg_queue_length", "Tasks that wait in the broker.", ("queue",), lengths)
