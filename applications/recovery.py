"""Putting a server right after a deployment that did not come to its end, whoever ended it.

Before a deployment stops anything, its row names the containers that were there (`replaces`), and that there may be
something to tidy (`to_tidy`). Of that alone follows what is done here, so that it can be done twice, and by another
worker: a new container that has the application's name already, or that is the only one left, had taken over, and
stays; else what ran of those before runs again, and the new one goes. On a server that the application has moved away
from, all of its containers go.
"""

import contextlib
import datetime as dt
import functools
import logging
import time
from collections.abc import Callable

from django.utils import timezone

from applications import containers
from applications.containers import Container
from applications.models import Application, Deployment
from dokreg.database import patiently
from dokreg.encryption import SecretUnreadable
from servers import docker, engine, runs, ssh
from servers.docker import Host
from servers.engine import Engine, EngineGone, EngineRefused
from servers.models import Server

log = logging.getLogger(__name__)
Say = Callable[[str], None]
PAUSES = (0.0, 2.0, 5.0)  # seconds before each try of the worker that failed; after that the sweep has it
DEADLINE = 60.0
STOPPING = frozenset({"start", "switch"})  # the rungs during which the old ones may be asked to end
STOP_MARGIN = 2
LONGEST_WATCH = 45.0  # less than the deadline
LOOK_EVERY = 0.5


def put_back(deployment: Deployment, *, say: Say) -> bool:
    """Put the server right now; False if that has to be tried again later."""
    server = runs.server_of(deployment.server_id)
    if server is None:
        return True  # it was deleted here, and is not ours any more
    for pause in PAUSES:
        time.sleep(pause)
        if not runs.prolong(deployment):
            return False  # swept as lost meanwhile: whoever has that in hand puts it right
        try:
            with engine.connect(docker.host_of(server), deadline=DEADLINE) as daemon:
                restore(daemon, deployment, say=say)
        except (ssh.Unreachable, ssh.CommandFailed, EngineGone):
            continue
        except (ssh.Refused, EngineRefused, SecretUnreadable) as error:
            log.warning("What ran before %s could not be put back: %s", deployment.pk, type(error).__name__)
            return False
        return True
    return False


def tidy_leftovers(daemon: Engine, application: Application, server: Server, *, say: Say) -> None:
    """What earlier deployments left on this server, before the next one begins."""
    for deployment in _unfinished(application, server):
        say(f"Putting right what the deployment of {deployment.created_at:%H:%M:%S} left")
        if _has_moved_away(application, server):
            for one in containers.of_application(daemon, application.pk):
                containers.remove(daemon, one.id)
                say(f"Removed container {one.id[:12]}: the application is on another server by now")
        else:
            restore(daemon, deployment, say=say)
        row = Deployment.objects.filter(pk=deployment.pk)
        patiently(functools.partial(row.update, to_tidy=False))


def tidy_all(host: Host, application: Application, server: Server, *, say: Say) -> None:
    """The same for a worker that does nothing else; also the folders of logins that were cut off."""
    left = _unfinished(application, server)
    for deployment in left:
        docker.tidy(host, run_id=deployment.pk)
    if left:
        with engine.connect(host, deadline=DEADLINE) as daemon:
            tidy_leftovers(daemon, application, server, say=say)


def restore(daemon: Engine, deployment: Deployment, *, say: Say) -> None:
    """See above. Raises EngineRefused, EngineGone."""
    found = containers.of_application(daemon, deployment.application_id)
    new = [one for one in found if one.deployment == deployment.pk]
    before = {entry["id"]: entry["ran"] for entry in deployment.replaces}
    there = [one for one in found if one.id in before and not one.is_gone]
    if new and (new[0].name == deployment.container_name or (before and not there)):
        _let_take_over(daemon, deployment, new[0], say=say)
        return
    for one in new:
        containers.stop(daemon, one.id, seconds=0)  # it may have the ports of the others
    for one in there:
        if before[one.id] and not one.is_running:
            _start_again(daemon, one, say=say)
    for one in new:
        containers.remove(daemon, one.id)
        say(f"Removed container {one.id[:12]}, which did not take over")
    for one in there:
        if before[one.id] and one.is_running:
            _outlast_stop(daemon, deployment, one, say=say)


def _start_again(daemon: Engine, one: Container, *, say: Say) -> None:
    containers.start(daemon, one.id)
    say(f"Started container {one.id[:12]} again, which ran before")


def _outlast_stop(daemon: Engine, deployment: Deployment, one: Container, *, say: Say) -> None:
    """A worker that died may have asked for this container to be stopped, and Docker goes on with that without it.

    So what still runs may end at any moment, until the time is over that it has to end by itself.
    """
    rung = deployment.failing_rung
    if deployment.finished_at is None or rung is None or rung["name"] not in STOPPING:
        return
    patience = dt.timedelta(seconds=deployment.application.stop_seconds + STOP_MARGIN)
    left = (deployment.finished_at + patience - timezone.now()).total_seconds()
    end = time.monotonic() + min(left, LONGEST_WATCH)
    while time.monotonic() < end:
        found = containers.inspect(daemon, one.id)
        if found is None:
            return
        if not found["State"]["Running"]:
            _start_again(daemon, one, say=say)
            return
        time.sleep(LOOK_EVERY)


def _let_take_over(daemon: Engine, deployment: Deployment, new: Container, *, say: Say) -> None:
    if new.name != deployment.container_name:
        with contextlib.suppress(EngineRefused):  # somebody else has the name; the container serves all the same
            containers.rename(daemon, new.id, deployment.container_name)
    row = Application.objects.filter(pk=deployment.application_id)
    patiently(lambda: row.update(serving=deployment))
    say(f"Container {new.id[:12]} had taken over already, and stays")


def _has_moved_away(application: Application, server: Server) -> bool:
    return application.serving is not None and application.container_server != server


def _unfinished(application: Application, server: Server) -> list[Deployment]:
    rows = Deployment.objects.filter(application=application, server=server, to_tidy=True)
    rows = rows.exclude(state__in=(Deployment.State.QUEUED, Deployment.State.RUNNING))
    return patiently(lambda: list(rows.select_related("application").order_by("created_at")))
