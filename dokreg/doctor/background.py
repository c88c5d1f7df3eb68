"""The broker, the workers and beat: who is there, what waits, and who fetches it."""

import contextlib
from collections.abc import Iterator
from typing import Any

from django.utils import timezone

from dokreg import health
from dokreg.celery import app
from dokreg.doctor.checks import ERROR, WARNING, Finding, age, plural, round_trip, size
from dokreg.models import Heartbeat

QUEUES = ("default", "ssh")
MANY_WAITING = 1000
FULL = 0.8  # of the memory that the broker may take
ANSWER_SECONDS = 0.7  # for all workers together


@contextlib.contextmanager
def broker_client() -> Iterator[Any]:
    """The client of Redis behind the broker, with its short deadlines."""
    with app.connection_for_write() as broker:
        broker.ensure_connection(**health.QUICKLY)
        yield broker.default_channel.client  # type: ignore[attr-defined]  # redis' own


def queue_lengths(client: Any) -> dict[str, int]:
    """How many tasks wait in each queue."""
    return {queue: int(client.llen(queue)) for queue in QUEUES}


def look_at_the_broker() -> Iterator[Finding]:
    with broker_client() as client:
        way = round_trip(client.ping, why="Every click that starts something waits for it.", fix="Run it closer.")
        facts = client.info()
        lengths = queue_lengths(client)
        in_hand = int(client.hlen("unacked"))
    yield Finding("Kind", f"{facts.get('server_name', 'redis').capitalize()} {_version(facts)}")
    yield way
    yield from _memory(facts)
    for queue, length in lengths.items():
        many = (WARNING, "Workers do not keep up.", "Run more of them, or give them more threads.")
        yield Finding(f"Queue {queue}", f"{plural(length, 'task')} waiting", *(many if length > MANY_WAITING else ()))
    yield Finding("Handed out", f"{plural(in_hand, 'task')} in the hands of workers")


def _version(facts: dict[str, Any]) -> str:
    return str(facts.get("valkey_version") or facts.get("redis_version") or "")


def _memory(facts: dict[str, Any]) -> Iterator[Finding]:
    used, most = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    is_full = bool(most) and used > most * FULL
    why, fix = "When it is full it takes no tasks.", "Raise maxmemory, and see what fills it."
    fact = f"{size(used)} of {size(most)}" if most else size(used)
    yield Finding("Memory", fact, *((WARNING, why, fix) if is_full else ()))
    if (policy := facts.get("maxmemory_policy", "noeviction")) != "noeviction" and most:
        why = "When it is full it throws tasks away."
        yield Finding("When full", str(policy), WARNING, why, "Set maxmemory-policy noeviction.")


def look_at_the_workers() -> Iterator[Finding]:
    """Those that answer now, what they fetch from, and those that were seen a moment ago and answer nothing."""
    alive = set(_alive(health.WORKER.prefix))
    inspect = app.control.inspect(timeout=ANSWER_SECONDS, limit=len(alive) or None)
    queues: dict[str, Any] = inspect.active_queues() or {}
    stats: dict[str, Any] = inspect.stats() or {} if queues else {}
    for worker in sorted(queues):
        fetched = sorted(queue["name"] for queue in queues[worker])
        threads = stats.get(worker, {}).get("pool", {}).get("max-concurrency", "?")
        yield Finding(worker, f"{threads} threads, queues {', '.join(fetched)}")
    for worker in sorted(alive - queues.keys()):
        why = "It was seen a moment ago, and answers nothing now: it is ending, or hangs."
        yield Finding(worker, "no answer", WARNING, why, "If it stays so, start it again.")
    if not queues and not alive:
        why = "Tests, logins and refreshes of tokens wait."
        yield Finding("Workers", "none answers", ERROR, why, f"Start one: {health.WORKER.start}")
        return
    fetched_by_any = {queue["name"] for found in queues.values() for queue in found}
    for queue in QUEUES:
        if queues and queue not in fetched_by_any:
            why = "What is sent there waits for ever."
            yield Finding(
                f"Queue {queue}", "nobody fetches from it", ERROR, why, f"Start a worker with --queues {queue}."
            )


def look_at_beat() -> Iterator[Finding]:
    """Who beats, and since when nobody does."""
    if (problem := health.ask("beat").problem) != "":
        yield Finding("Beat", "none is seen", ERROR, problem, "")
        return
    beating = _alive(health.BEAT.prefix)
    for name, seconds in beating.items():
        yield Finding(name or "Beat", f"seen {age(seconds)} ago")
    if len(beating) > 1:
        why = "Two do no harm, but each thing is looked for twice. One that has just ended counts for a moment, too."
        yield Finding("Beats", f"{len(beating)} are seen", WARNING, why, "Run one.")


def _alive(prefix: str) -> dict[str, float]:
    """The names of hearts that beat, without their prefix, and the seconds since their last beat."""
    now = timezone.now()
    seen = Heartbeat.objects.filter(name__startswith=prefix, at__gte=now - health.ALIVE_WITHIN).order_by("name")
    return {heart.name.removeprefix(prefix).strip(): max((now - heart.at).total_seconds(), 0) for heart in seen}
