"""Whoever sends a task through a connection of the pool, after something went wrong with it."""

from pathlib import Path

from kombu import Connection, Producer

from tests.lab.redis import Redis


def test_a_channel_that_was_closed_meanwhile_is_opened_anew(tmp_path: Path) -> None:
    with Redis(tmp_path / "redis") as redis, Connection(redis.url) as connection:
        producer = Producer(connection)
        connection.maybe_close_channel(connection.default_channel)
        producer.publish("an id", routing_key="default", retry=True, retry_policy={"max_retries": 1})
        with redis.client() as client:
            assert client.llen("default") == 1
