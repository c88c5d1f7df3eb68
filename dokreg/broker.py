"""What Kombu's Redis transport needs so that a worker outlives its broker."""

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """One that, once its connection was given up or itself was closed, says so with an error that Kombu expects.

    With Kombu 5.7 whoever acknowledges a task, or closes a channel with tasks that were not acknowledged, after Redis
    went away meets an AttributeError; Celery takes that for a defect, and the worker ends. Whoever sends a task meets
    one when the channel was closed that the pool gives him, and is not connected anew.
    """

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - Kombu's signature
        if getattr(self.connection, "client", None) is None:  # a closed channel has no connection at all
            raise ConnectionResetError("The connection to the broker was given up.")
        found: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]
        return found


def outlive_redis() -> None:
    """Have every connection of this process use such channels."""
    redis.Transport.Channel = Channel
