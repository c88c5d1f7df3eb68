"""Which servers stay logged in to which registry: chosen by people, kept by `registries.login_sync`.

A `Login` row is due when something is to be done on its server: log in, log in anew, log out. The rows are the
truth; a server's turn (`servers.turns`) sees to it that one worker at a time changes the config there.
"""

import datetime as dt
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Count, Min, Q
from django.utils import timezone
from django.utils.text import slugify

from organisations import audit
from registries import alarms
from registries.models import Login, Registry
from servers import processes, runs, turns
from servers.models import ConfigTurn, Server

NAME_LENGTH = 100  # of a registry's name, which a host stands in for
# A task that nobody has taken up for so long is sent again.
RESEND_AFTER = dt.timedelta(seconds=20)
DONE = {"failures": 0, "verdict": "", "cause": "", "fix": "", "words": ""}


def choose(*, registry: Registry, servers: Collection[Server], of: Collection[str] | None = None) -> None:
    """Let just these servers stay logged in: the others are logged out. Both begins at once.

    `of`, if given, are the ids of those that stayed logged in when the person chose: only what was changed since is
    changed, so that two people who choose at the same time do not undo each other's choice.
    """
    with transaction.atomic():
        Registry.objects.select_for_update().get(pk=registry.pk)  # of two people at once one waits
        present = {login.server_id: login for login in registry.logins.select_related("server")}
        chosen = {server.pk: server for server in servers}
        if of is not None:
            added_meanwhile = {
                pk: login.server for pk, login in present.items() if pk not in of and not login.is_leaving
            }
            removed_meanwhile = {pk for pk in of if pk not in present or present[pk].is_leaving}
            chosen = added_meanwhile | {pk: server for pk, server in chosen.items() if pk not in removed_meanwhile}
        added = [server for pk, server in chosen.items() if pk not in present or present[pk].is_leaving]
        removed = [login for pk, login in present.items() if pk not in chosen and not login.is_leaving]
        for server in added:
            _hold(registry, server)
        _leave(Login.objects.filter(pk__in=[login.pk for login in removed]))
        alarms.logged_out(registry, [login.server.name for login in removed])
        if added or removed:
            names = {"added": [server.name for server in added], "removed": [login.server.name for login in removed]}
            facts: dict[str, Any] = {word: ", ".join(found) for word, found in names.items() if found}
            audit.record("chose the servers to log in", registry, **facts)
        transaction.on_commit(dispatch)


def release(registry: Registry) -> None:
    """Log every server out of a registry that is about to be deleted; the rows stay until that is done."""
    _leave(registry.logins.exclude(state=Login.State.LEAVING))
    transaction.on_commit(dispatch)


def rename(registry: Registry) -> None:
    """Follow the registry's name."""
    registry.logins.exclude(registry_name=registry.name).update(registry_name=registry.name)


def renew(registry: Registry) -> None:
    """Log in anew where the server holds other credentials than the registry's present ones."""
    up_to_date = Q(state=Login.State.LEAVING) | Q(mark=registry.login_mark)
    outdated = Login.objects.filter(~up_to_date, registry=registry)
    if outdated.update(due_at=timezone.now(), failures=0):
        transaction.on_commit(dispatch)


def retry(registry: Registry) -> None:
    """Try at once what failed."""
    if registry.logins.filter(verdict__gt="").update(due_at=timezone.now(), failures=0):
        transaction.on_commit(dispatch)


def renew_all(server: Server) -> None:
    """Log in anew wherever a server stays logged in, also where nothing seems to be amiss."""
    held = server.logins.exclude(state=Login.State.LEAVING)
    if held.update(due_at=timezone.now(), failures=0):
        transaction.on_commit(dispatch)


def follow_moved(server: Server) -> None:
    """A server has another host, port or user now: nothing is known of the config there, so all is logged in anew."""
    held = server.logins.exclude(state=Login.State.LEAVING)
    held.update(state=Login.State.WAITING, mark="", logged_in_at=None, due_at=timezone.now(), **DONE)
    transaction.on_commit(dispatch)


def remove_found(*, server: Server, host: str, folder: str) -> None:
    """Log a server out of an entry that no row stands for, such as one that somebody else put there."""
    now = timezone.now()
    with transaction.atomic():
        if not Server.objects.select_for_update().filter(pk=server.pk).exists():
            return  # deleted at this moment
        Login.objects.create(
            organisation_id=server.organisation_id,
            registry_name=host[:NAME_LENGTH],
            server=server,
            url=host,
            folder=folder,
            state=Login.State.LEAVING,
            logged_in_at=now,
            left_at=now,
            due_at=now,
        )
        transaction.on_commit(dispatch)


def dispatch() -> None:
    """Hand servers on which something is due to the workers, as many as may run at once.

    Called when something becomes due, when a worker is done with a server, and by the sweep.
    """
    now = timezone.now()
    busy = _busy_servers(now)
    room = settings.DOKREG_LOGINS_AT_ONCE - len(busy)
    if room <= 0:
        return
    due = Login.objects.filter(due_at__lte=now).exclude(server__in=busy)
    waiting = due.order_by().values("server").annotate(since=Min("due_at")).order_by("since")
    for server_id in list(waiting.values_list("server", flat=True)[:room]):
        if _mark_sent(server_id, now):
            _send(server_id)


def wake() -> None:
    """Make due what nobody else does.

    What failed for want of a confirmed host key, where a person has confirmed it since; and what lost its registry
    on another way than `release`.
    """
    _leave(Login.objects.filter(registry=None).exclude(state=Login.State.LEAVING))
    unconfirmed = Login.objects.filter(verdict__in=("host_key_unconfirmed", "host_key_changed"))
    confirmed = unconfirmed.filter(server__seen_host_key="").exclude(server__host_key="")
    confirmed.filter(due_at__gt=timezone.now()).update(due_at=timezone.now())


def forget_sent(server_id: str) -> None:
    """A server's task has reached a worker: once that is done, the next one may be sent at once."""
    ConfigTurn.objects.filter(pk=server_id).update(sent_at=None)


def of_server(server: Server) -> list[Login]:
    """What a server is logged in to, or is to be."""
    return list(server.logins.select_related("registry__organisation").order_by("registry_name"))


def count_logins(registries: Collection[Registry]) -> dict[str, int]:
    """On how many servers each of these registries stays logged in, by its id."""
    held = Login.objects.filter(registry__in=registries).exclude(state=Login.State.LEAVING)
    return dict(held.order_by().values_list("registry").annotate(number=Count("pk")))


def folder_for(registry: Registry, server: Server) -> str:
    """Where the login goes on a server: "" for the user's own config, unless another account of the host is there."""
    same_place = Login.objects.filter(server=server, url=registry.url, folder="").exclude(registry=registry)
    if not same_place.exclude(state=Login.State.LEAVING).exists():
        return ""
    return f"{slugify(registry.name)[:40].strip('-_').replace('_', '-') or 'registry'}-{registry.pk[:6].lower()}"


def _busy_servers(now: dt.datetime) -> list[str]:
    """Servers whose turn a living worker has, or whose task is on its way to one."""
    turns = ConfigTurn.objects.filter(Q(lease_until__gt=now) | Q(sent_at__gt=now - RESEND_AFTER))
    return [
        turn.pk
        for turn in turns
        if (turn.sent_at and turn.sent_at > now - RESEND_AFTER)
        or not processes.is_abandoned(turn.worker, turn.lease_until, now)
    ]


def _hold(registry: Registry, server: Server) -> None:
    values = {
        "organisation": registry.organisation,
        "registry_name": registry.name,
        "state": Login.State.WAITING,
        "due_at": timezone.now(),
        "left_at": None,
        **DONE,
    }
    new = {"url": registry.url, "username": registry.username, "folder": folder_for(registry, server)}
    Login.objects.update_or_create(registry=registry, server=server, defaults=values, create_defaults={**values, **new})


def _leave(rows: "models.QuerySet[Login]") -> None:
    rows.update(state=Login.State.LEAVING, due_at=timezone.now(), left_at=timezone.now(), **DONE)


def _mark_sent(server_id: str, now: dt.datetime) -> bool:
    """Whether this is the one that sends the server's task now."""
    waits = Q(sent_at=None) | Q(sent_at__lte=now - RESEND_AFTER)
    return turns.has_row(server_id) and bool(ConfigTurn.objects.filter(waits, pk=server_id).update(sent_at=now))


def _send(server_id: str) -> None:
    from registries.tasks import sync_logins

    runs.send_id(sync_logins, server_id)
