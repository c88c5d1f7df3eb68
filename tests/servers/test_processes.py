"""A process is not taken for a later one of the same number."""

import datetime as dt
import os
import subprocess
import sys

from django.utils import timezone

from servers import processes
from tests.running import ROOT

CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c"]
NAME = "from servers import processes; print(processes.this_process())"


def is_abandoned(process: str) -> bool:
    now = timezone.now()
    return processes.is_abandoned(process, now + dt.timedelta(minutes=1), now)


def started_container() -> str:
    """The name of the first process of a container that has ended since."""
    done = subprocess.run([*CONTAINER, NAME], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_living_process_has_what_it_has() -> None:
    assert not is_abandoned(processes.this_process())


def test_a_container_that_was_restarted_is_another_process() -> None:
    names = [started_container() for _ in range(6)]
    assert {name.rpartition(":")[2].partition(".")[0] for name in names} == {"1"}
    assert len(set(names)) == len(names)


def test_a_later_process_of_the_same_number_does_not_have_it() -> None:
    earlier = f"{processes.machine()}:{os.getpid()}.1"
    assert is_abandoned(earlier)


def test_a_process_whose_start_nobody_knows_is_judged_by_its_number() -> None:
    assert not is_abandoned(f"{processes.machine()}:{os.getpid()}")


def test_a_process_that_has_ended_and_is_not_buried_yet_is_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", NAME], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert ended.stdout is not None
    with ended.stdout as output:
        name = output.read().strip()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert is_abandoned(name)
    finally:
        ended.wait()


def test_of_a_process_elsewhere_the_lease_alone_tells() -> None:
    now = timezone.now()
    assert not is_abandoned("elsewhere:1.1")
    assert processes.is_abandoned("elsewhere:1.1", now - dt.timedelta(seconds=1), now)
