"""Whose turn it is to change a server's config: one at a time, and nobody waits for the dead."""

import contextlib
import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import OperationalError
from django.utils import timezone
from psycopg.errors import AdminShutdown

from organisations.models import Organisation
from servers import processes, turns
from servers.models import ConfigTurn, Server
from tests.running import ROOT, Running
from tests.servers.rows import make_server

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(organisation: Organisation) -> Server:
    return make_server(organisation)


def take(server: Server) -> str:
    """The turn, which must be free."""
    word = turns.take(server.pk)
    assert word is not None
    return word


def test_one_at_a_time(server: Server) -> None:
    word = take(server)
    assert turns.take(server.pk) is None
    assert turns.give_back(server.pk, word)
    assert turns.take(server.pk) not in {None, word}


@pytest.mark.django_db(transaction=True)
def test_a_turn_that_was_taken_is_not_lost_with_the_answer_of_the_database(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter((OperationalError, None))
    take_turn = turns._take

    def answer_late(server_id: str, word: str) -> bool:
        is_taken = take_turn(server_id, word)
        if (trouble := next(answers)) is not None:
            raise trouble from AdminShutdown()
        return is_taken

    monkeypatch.setattr(turns, "_take", answer_late)
    assert turns.give_back(server.pk, take(server))


def test_servers_do_not_wait_for_each_other(organisation: Organisation, server: Server) -> None:
    take(server)
    assert turns.take(make_server(organisation, "web-2").pk) is not None


def test_a_server_that_is_gone_has_no_turns() -> None:
    assert turns.take("gone") is None
    assert not ConfigTurn.objects.exists()


def test_the_turn_goes_with_its_server(server: Server) -> None:
    take(server)
    server.delete()
    assert not ConfigTurn.objects.exists()


def test_a_turn_may_be_taken_over_when_its_lease_has_ended(server: Server) -> None:
    late = take(server)
    ConfigTurn.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    word = take(server)
    assert not turns.prolong(server.pk, late)
    assert not turns.give_back(server.pk, late)
    assert turns.prolong(server.pk, word)


def test_a_turn_of_a_process_that_is_gone_is_taken_over_at_once(server: Server) -> None:
    take(server)
    ended = subprocess.Popen(["true"])
    ended.wait()
    ConfigTurn.objects.update(worker=f"{processes.machine()}:{ended.pid}")
    assert turns.take(server.pk) is not None


def test_a_turn_of_another_machine_is_left_until_its_lease_ends(server: Server) -> None:
    take(server)
    ConfigTurn.objects.update(worker="elsewhere:1")
    assert turns.take(server.pk) is None


def test_a_prolonged_turn_is_kept(server: Server) -> None:
    word = take(server)
    ConfigTurn.objects.update(lease_until=timezone.now() + dt.timedelta(seconds=1))
    assert turns.prolong(server.pk, word)
    assert ConfigTurn.objects.filter(lease_until__gt=timezone.now() + turns.LEASE / 2).exists()


RACE = """
import concurrent.futures, sys, django
django.setup()
from servers import turns

def count(_number):
    return sum(turns.take(server) is not None for server in sys.argv[1:])

print("ready", flush=True)
sys.stdin.readline()
with concurrent.futures.ThreadPoolExecutor(4) as threads:
    print(sum(threads.map(count, range(4))), flush=True)
sys.stdin.readline()  # the turns of a process that has ended may be taken over
"""
SERVERS = """
import django
django.setup()
from organisations.models import Organisation
from tests.servers.rows import make_server
organisation = Organisation.objects.create(name="Acme", slug="acme")
print(*(make_server(organisation, f"web-{number}").pk for number in range(20)))
"""


def test_of_many_processes_and_threads_one_gets_it(tmp_path: Path) -> None:
    environment = Running(tmp_path / "data").environment | {"DJANGO_SETTINGS_MODULE": "dokreg.settings"}

    def start(*arguments: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True
        )

    with start("-c", SERVERS) as making:
        servers = making.communicate()[0].split()
    with contextlib.ExitStack() as stack:
        racers = [stack.enter_context(start("-c", RACE, *servers)) for _ in range(3)]
        assert [answer_of(racer) for racer in racers] == ["ready"] * 3
        for racer in racers:
            nudge(racer)
        counts = [int(answer_of(racer)) for racer in racers]
    assert (len(servers), sum(counts)) == (20, 20)


def answer_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def nudge(process: "subprocess.Popen[str]") -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()
