"""Connections from the machine that dokreg runs on.

It stands inside somebody's network: it talks to no address that a person may not reach.
"""

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence

from django.conf import settings

from dokreg import addresses
from dokreg.addresses import Endpoint
from servers import connect_verdicts, ssh, verdicts


def checked_endpoints(host: str, port: int, *, deadline: float) -> Sequence[Endpoint]:
    """The addresses of a host that may be talked to from here; `deadline` is in seconds.

    Raises addresses.NameNotFound, or ssh.Refused where the settings forbid it.
    """
    if not settings.DOKREG_LOCAL_DOCKER:
        raise ssh.Refused(verdicts.own_host_not_used())
    try:
        return addresses.resolve(
            host,
            port,
            deadline=deadline,
            allow_loopback=settings.DOKREG_ALLOW_LOOPBACK,
            only=settings.DOKREG_ALLOWED_NETWORKS,
        )
    except addresses.AddressForbidden as error:
        verdict = verdicts.address_forbidden(address=error.address, loopback=error.loopback)
        raise ssh.Refused(verdict) from error


@contextlib.contextmanager
def connect(host: str, port: int, *, deadline: float, place: str) -> Iterator[socket.socket]:
    """A connected socket to a checked address, until the block ends; as `ssh.forward` gives one from a server.

    Raises ssh.Unreachable or ssh.Refused.
    """
    end = time.monotonic() + deadline
    try:
        endpoints = checked_endpoints(host, port, deadline=min(deadline, ssh.CONNECT_SECONDS))
    except addresses.NameNotFound as error:
        verdict = connect_verdicts.of_system("name or service not known", host=host, port=port, place=place)
        raise ssh.Unreachable(verdict) from error
    with (
        contextlib.closing(_connected(endpoints, host, port, end=end, place=place)) as sock,
        ssh.closing_at(end, close=lambda: ssh.shut(sock)),
    ):
        sock.settimeout(max(0.1, end - time.monotonic()))
        yield sock


def _connected(endpoints: Sequence[Endpoint], host: str, port: int, *, end: float, place: str) -> socket.socket:
    try:
        return ssh.connect_to(endpoints, end=end)
    except TimeoutError as error:
        verdict = connect_verdicts.not_connected_in_time(host=host, port=port, place=place)
        raise ssh.Unreachable(verdict) from error
    except OSError as error:
        verdict = connect_verdicts.of_system(error.strerror or "no address", host=host, port=port, place=place)
        raise ssh.Unreachable(verdict) from error
