"""Whose turn it is to change the Docker config of a server: one at a time, whoever does it and wherever.

The row is the truth. A turn is taken by a conditional UPDATE that must change exactly one row; a turn whose lease has
ended, or whose process on this machine is gone, may be taken over.
"""

import datetime as dt

from django.db import IntegrityError, transaction
from django.utils import timezone

from dokreg.database import patiently
from dokreg.ids import new_id
from servers import processes
from servers.models import ConfigTurn, Server
from servers.stages import TASK_SECONDS

LEASE = dt.timedelta(seconds=TASK_SECONDS + 95)  # longer than the workers let a task go on


def take(server_id: str) -> str | None:
    """The word by which the turn is prolonged and given back; None if somebody has it, or the server is gone."""
    word = new_id()
    return word if patiently(lambda: _take(server_id, word)) else None


def prolong(server_id: str, claim: str) -> bool:
    """Let the lease begin anew; False if somebody took the turn over."""
    mine = ConfigTurn.objects.filter(pk=server_id, claim=claim)
    return patiently(lambda: bool(mine.update(lease_until=timezone.now() + LEASE)))


def give_back(server_id: str, claim: str) -> bool:
    """End the turn; False if somebody took it over."""
    mine = ConfigTurn.objects.filter(pk=server_id, claim=claim)
    return patiently(lambda: bool(mine.update(claim="", worker="", lease_until=None)))


def has_row(server_id: str) -> bool:
    """Whether there is a row for the turns of this server; it is made if there is a server."""
    if ConfigTurn.objects.filter(pk=server_id).exists():
        return True
    if not Server.objects.filter(pk=server_id).exists():
        return False
    try:
        with transaction.atomic():
            ConfigTurn.objects.bulk_create([ConfigTurn(server_id=server_id)], ignore_conflicts=True)
    except IntegrityError:  # the server was deleted at this moment
        return False
    return True


def _take(server_id: str, word: str) -> bool:
    """Whether the turn is the one of this word: also if it was taken before, and the database's answer was lost."""
    if not has_row(server_id):
        return False
    now = timezone.now()
    turn = ConfigTurn.objects.filter(pk=server_id).first()
    if turn is not None and turn.claim == word:
        return True
    if turn is None or (turn.claim and not processes.is_abandoned(turn.worker, turn.lease_until, now)):
        return False
    as_seen = ConfigTurn.objects.filter(pk=server_id, claim=turn.claim, lease_until=turn.lease_until)
    return bool(as_seen.update(claim=word, worker=processes.this_process(), lease_until=now + LEASE))
