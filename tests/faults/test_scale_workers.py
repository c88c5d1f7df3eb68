"""Many web servers and workers on several machines, with two beats: everything is done once, whoever is replaced."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGTERM

import pytest

from tests.faults.cluster import Clicks, Cluster, Count, NoSsh, Servers
from tests.faults.minting import DISPATCH, SWEEP, Registries
from tests.faults.minting import Count as Minted
from tests.lab.aws import Aws
from tests.running import moment

pytestmark = pytest.mark.once
SWEEP_TESTS = "servers.tasks.sweep_server_tests"
LONG = 7.0  # seconds; a little less than after which a server that says nothing is given up
TEMPORARY_FAILURE = 75  # the exit status of a worker that had to let something go


def test_two_hundred_clicks_and_fifty_tokens_are_done_once_each(cluster: Cluster, nowhere: NoSsh, mint: Aws) -> None:
    tokens = Registries.add(cluster, mint, "SCALE", 50)
    servers = Servers(cluster, nowhere, "ALL", 200)
    clicks = Clicks(cluster)
    for _ in range(3):  # as if the two beats had come at the very same time, and again
        for task in (DISPATCH, DISPATCH, SWEEP, SWEEP_TESTS):
            cluster.send(task)
    clicks.press(servers.ids)
    servers.wait_until_over()
    cluster.until(lambda: tokens.done == 50, "fresh tokens")
    assert len(servers.workers()) == 4
    assert len({worker.rpartition(":")[0] for worker in servers.workers()}) == 3  # here, and two machines of their own
    assert servers.count() == Count(asked=200, done=200, lost=0, doubled=0)
    assert tokens.count(needed=1) == Minted(asked=50, done=50, lost=0, doubled=0)


def test_all_workers_are_replaced_one_by_one_under_load(cluster: Cluster, nowhere: NoSsh) -> None:
    servers = Servers(cluster, nowhere, "ROLLING", 120)
    old = list(cluster.workers)
    with nowhere.keeping(1.0), pressing(cluster, servers, pause=0.2):
        for number, worker in enumerate(old):
            new = cluster.add_worker(machine="new" if number % 2 else "")
            cluster.wait_for_worker(new)
            if number == 0:
                cluster.shut_down(worker)
            else:
                worker.signal(SIGTERM)
            if number == 1:
                worker.signal(SIGTERM)  # somebody is impatient
            assert worker.process.wait(30) == 0
    servers.wait_until_over()
    assert not any(worker.is_running for worker in old)
    assert servers.count() == Count(asked=120, done=120, lost=0, doubled=0)


def test_a_drained_worker_ends_what_it_has_and_takes_nothing_new(cluster: Cluster, nowhere: NoSsh) -> None:
    after = Servers(cluster, nowhere, "AFTER", 20)
    clicks = Clicks(cluster)
    with nowhere.keeping(LONG):
        before = Servers.all_at_it(cluster, nowhere, clicks, "BEFORE", 20)
        drained = cluster.workers[0]
        drained.signal(SIGTERM)
        cluster.until(lambda: not cluster.takes_tasks(drained.name), "it to take nothing any more")
    clicks.press(after.ids)
    assert drained.process.wait(30) == 0
    before.wait_until_over()
    after.wait_until_over()
    assert len(before.workers()) == 4
    assert len(after.workers()) == 3
    assert before.count() == after.count() == Count(asked=20, done=20, lost=0, doubled=0)


def test_what_a_killed_worker_had_is_lost_and_can_be_run_again(cluster: Cluster, nowhere: NoSsh) -> None:
    here = next(worker for worker in cluster.workers if worker.name.endswith("@here"))
    elsewhere = next(worker for worker in cluster.workers if not worker.name.endswith("@here"))
    clicks = Clicks(cluster)
    with nowhere.keeping(LONG):
        servers = Servers.all_at_it(cluster, nowhere, clicks, "KILLED", 20)
        here.kill()
        elsewhere.kill()
    cluster.until(lambda: servers.states()["running"] < 20, "the others to end")
    cluster.send(SWEEP_TESTS)
    cluster.until(lambda: servers.states()["lost"] > 0, "the sweep to notice the one of this machine")
    # Nobody can tell of a process on another machine whether it lives: its lease has to end first.
    assert servers.states()["running"] > 0
    cluster.change(f"UPDATE servers_servertest SET lease_until = {moment(seconds_ago=1)} WHERE state = 'running'")
    cluster.send(SWEEP_TESTS)
    servers.wait_until_over()
    count = servers.count()
    assert count.lost >= 2
    assert count == Count(asked=20, done=20 - count.lost, lost=count.lost, doubled=0)
    clicks.press(servers.lost_ids())
    servers.wait_until_over()
    assert servers.states()["failed"] == 20


def test_a_worker_whose_time_is_up_lets_go_of_what_it_has(cluster: Cluster, nowhere: NoSsh) -> None:
    hasty = cluster.add_worker(machine="hasty", DOKREG_DRAIN_SECONDS="1")
    cluster.wait_for_worker(hasty)
    with nowhere.keeping(LONG):
        servers = Servers.all_at_it(cluster, nowhere, Clicks(cluster), "SLOW", 20)
        hasty.signal(SIGTERM)
        assert hasty.process.wait(30) == TEMPORARY_FAILURE
        cluster.send(SWEEP_TESTS)
        cluster.until(lambda: servers.states()["lost"] > 0, "the sweep to notice")
    servers.wait_until_over()
    count = servers.count()
    assert count == Count(asked=20, done=20 - count.lost, lost=count.lost, doubled=0)
    assert 0 < count.lost <= 8


@contextmanager
def pressing(cluster: Cluster, servers: Servers, *, pause: float) -> Iterator[None]:
    """People press Test while the block runs, and until all were taken."""
    clicks = Clicks(cluster)
    thread = threading.Thread(target=clicks.press, args=(servers.ids,), kwargs={"pause": pause})
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert clicks.turned_away == 0
