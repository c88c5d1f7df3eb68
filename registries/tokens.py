"""Short-lived tokens: minted before they are needed, kept while they live, minted anew long before they end.

A refresh is a row (`TokenRefresh`), and never more than one is under way for a registry: the database says so. The
dispatcher makes rows for what is due, a few at a time; whoever needs a token at once makes the same row and runs it
in place. So two beats, ten workers and a click together ask the cloud once.

Of the few places a worker keeps its own while more is due: the end of a refresh and the begin of the next one are one
transaction. To hand each of a thousand to the broker would cost more than to mint it.
"""

import datetime as dt
import functools
import random
import time
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from dokreg.backoff import pause
from dokreg.database import give_back, patiently
from organisations import audit, dispatching
from organisations.models import User
from registries import alarms, credentials, logins, verdicts
from registries.credentials import DockerLogin
from registries.kinds.methods import MINT_DEADLINE, Minted, MintFailed
from registries.models import Registry, TokenRefresh
from servers import runs
from servers import verdicts as host_verdicts
from servers.ladder import Ladder
from servers.testing import climb_all
from servers.verdicts import Verdict

STEPS = (("token", "Token"),)
ACTIVE = (TokenRefresh.State.QUEUED, TokenRefresh.State.RUNNING)
DUE_AT = 0.8  # of a token's life
JITTER = 0.1  # of that, so that what was saved together is not due together
# With less than this left, or this part of its life, a token is not handed to anybody any more.
MARGIN, MARGIN_OF_LIFE = dt.timedelta(minutes=10), 0.15
FIRST_PAUSE, LONGEST_PAUSE = dt.timedelta(seconds=30), dt.timedelta(minutes=15)
LONGEST_WISH = dt.timedelta(hours=1)  # of a cloud, about when to come again
# A cloud may need this long to know a key that was just made; until then "unknown key" is no final word.
NEW_KEY = dt.timedelta(minutes=2)
LOOK_EVERY_SECONDS = 0.1
# So long a worker keeps a place; then other workers may have it.
PLACE_SECONDS = 2.0


class TokenMissing(Exception):
    """There is no token that lives, and none could be minted; `verdict` and `words` say why."""

    def __init__(self, verdict: Verdict, words: str = "") -> None:
        super().__init__(verdict.cause)
        self.verdict = verdict
        self.words = words


def ask(*, registry: Registry, reason: str, asked_by: User | None = None) -> TokenRefresh:
    """Queue a refresh; the one that is under way, if there is one."""
    from registries.tasks import refresh_token

    with transaction.atomic():
        refresh, is_new = _row_for(registry, reason=reason, asked_by=asked_by)
        if is_new:
            if reason == TokenRefresh.Reason.ASKED:
                audit.record("asked for a token", registry, actor=asked_by)
            runs.send(refresh_token, refresh)
    return refresh


def begin_with(registry: Registry) -> None:
    """New credentials are saved: forget what was wrong with the old ones, and have the servers log in anew.

    Where tokens are minted that follows the first one, unless it is there already.
    """
    alarms.credentials_saved(registry)
    if registry.method and not registry.has_token:
        ask(registry=registry, reason=TokenRefresh.Reason.SAVED)
    else:
        logins.renew(registry)


def begin_anew(registry: Registry) -> None:
    """Somebody thinks that the stored credentials are right now: what had stopped trying with them tries again."""
    if registry.is_refresh_stopped:
        ask(registry=registry, reason=TokenRefresh.Reason.SAVED)
    logins.retry(registry)


def dispatch() -> int:
    """Queue refreshes of what is due, as many as may run at once; answers how many.

    Called each minute by beat, and whenever a worker gives its place back.
    """
    if not _due().exists():
        return 0
    with transaction.atomic():
        dispatching.take_turns()
        room = settings.DOKREG_REFRESHES_AT_ONCE - TokenRefresh.objects.filter(state__in=ACTIVE).count()
        due = _next_due(max(room, 0))
        for registry in due:
            ask(registry=registry, reason=TokenRefresh.Reason.DUE)
        return len(due)


def run(refresh_id: str) -> None:
    """Run a queued refresh; leaves quietly if it is gone, or another worker has it, or it is needed no more."""
    refresh = runs.claim(TokenRefresh, refresh_id)
    if refresh is not None:
        _run(refresh)


def work(refresh_id: str) -> None:
    """Run a queued refresh, and then for a while what else is due, in its place; then give the place back."""
    end = time.monotonic() + PLACE_SECONDS
    refresh = runs.claim(TokenRefresh, refresh_id)
    while refresh is not None:
        refresh = _run(refresh, may_go_on=time.monotonic() < end)
    patiently(dispatch)


def docker_login(registry: Registry, *, insist: bool = True) -> DockerLogin:
    """What `docker login` is given for a registry; a token that is about to end is minted anew first.

    Without `insist` the cloud is not asked while refreshing fails and waits for its next try. Takes up to
    MINT_DEADLINE seconds, outside of transactions. Raises TokenMissing, SecretUnreadable.
    """
    if not registry.method:
        return credentials.stored(registry).as_it_is
    if not _is_good_for_now(registry) and (insist or not registry.refresh_failures):
        _refresh_in_place(registry)
    if not registry.has_token:
        raise _missing(registry)
    assert registry.token is not None  # noqa: S101 - has_token
    return DockerLogin(registry.url, registry.username, registry.token.reveal())


def due_after(minted: Minted) -> dt.datetime:
    """When a token is to be replaced: at 80 % of its life, or up to a tenth of that earlier."""
    life = minted.expires_at - minted.issued_at
    return minted.issued_at + life * DUE_AT * (1 - random.uniform(0, JITTER))  # noqa: S311 - spreads load


def note_lost(refreshes: Iterable[TokenRefresh]) -> None:
    """Count refreshes whose worker died as failures: what kills a worker each time is not tried without a pause.

    After the first the next one is due at once: a worker is stopped now and then.
    """
    for refresh in refreshes:
        with transaction.atomic():
            registry = _locked(refresh.registry_id)
            if registry is None or registry.refreshes.filter(created_at__gt=refresh.created_at).exists():
                continue
            failures = registry.refresh_failures
            wait = pause(failures - 1, first=FIRST_PAUSE, longest=LONGEST_PAUSE) if failures else dt.timedelta()
            noted = {"refresh_failures": failures + 1, "refresh_due_at": timezone.now() + wait}
            if _same(registry).exclude(method="").update(**noted, last_refresh=refresh):
                alarms.refresh_failed(registry, host_verdicts.worker_lost(), will_retry=True)


def let_be_due(refreshes: Iterable[TokenRefresh]) -> None:
    """Refreshes came to nothing through nobody's fault: let each registry have another one at once."""
    registries = Registry.objects.filter(pk__in={refresh.registry_id for refresh in refreshes})
    registries.exclude(method="").update(refresh_due_at=timezone.now())


def _due() -> Any:
    return _idle().filter(refresh_due_at__lte=timezone.now())


def _next_due(room: int) -> list[Registry]:
    """What gets the free places: one place is for what failed before, the others for that only if nothing else is due.

    So a cloud that hangs takes no places from the others, and what has failed once is not forgotten behind them. Where
    there is one place in all, what did not fail goes first.
    """
    failing = list(_free(_failing()).select_related("organisation")[:room])
    healthy = list(_free(_healthy()).select_related("organisation")[:room])
    has_its_place = TokenRefresh.objects.filter(state__in=ACTIVE, registry__refresh_failures__gt=0).exists()
    if healthy and (has_its_place or settings.DOKREG_REFRESHES_AT_ONCE == 1):
        return healthy
    return [*failing[: 1 if healthy else room], *healthy][:room]


def _healthy() -> Any:
    return _due().filter(refresh_failures=0)


def _failing() -> Any:
    return _due().filter(refresh_failures__gt=0)


def _free(registries: Any) -> Any:
    """Of them those that nobody else has in hand just now; they stay so until the transaction ends."""
    return registries.select_for_update(of=("self",), no_key=True, skip_locked=True)


@functools.cache
def _idle() -> Any:
    """What nobody is minting for; made once, since to make it takes as long as to ask it."""
    under_way = TokenRefresh.objects.filter(registry=OuterRef("pk"), state__in=ACTIVE)
    return Registry.objects.filter(~Exists(under_way)).order_by("refresh_due_at")


def _run(refresh: TokenRefresh, *, may_go_on: bool = False) -> TokenRefresh | None:
    """Run a refresh that this worker has in hand; answers the next one that it has in hand then, if it may go on."""
    registry = patiently(lambda: refresh.registry)
    if not _is_needed(registry, refresh.reason):
        patiently(refresh.delete)
        return None
    ladder = Ladder(STEPS, save=lambda _rungs: None)
    minted: list[Minted] = []
    problem: list[MintFailed] = []
    climb_all(ladder, None, lambda: _mint(registry, ladder, minted, problem))
    refresh.rungs = ladder.rungs

    def end() -> TokenRefresh | None:
        with transaction.atomic():
            if connection.features.has_select_for_update:
                # First, as everybody does who locks both: who deletes a registry locks it and then its refreshes.
                Registry.objects.select_for_update(no_key=True).filter(pk=registry.pk).values("pk").first()
            if minted:
                had_place = _keep(registry, refresh, minted[0])
            else:
                wait = problem[0].retry_after if problem else None
                had_place = _note_failure(registry, refresh, ladder.verdict, wait)
            # What somebody asked for comes on top of the places: it has none to pass on.
            had_place &= refresh.reason == TokenRefresh.Reason.DUE
            return _begin_next() if may_go_on and had_place else None

    return patiently(end)  # a token that is not kept would have to be minted once more


def _begin_next() -> TokenRefresh | None:
    """A refresh of what has been due for the longest, in this worker's hand at once."""
    registry = _free(_healthy()).first() or _free(_failing()).first()
    return _new_row(registry, reason=TokenRefresh.Reason.DUE, **runs.claimed()) if registry else None


def _row_for(registry: Registry, *, reason: str, asked_by: User | None = None) -> tuple[TokenRefresh, bool]:
    """The refresh that is under way, or a new row. Raises TokenMissing if the registry is gone."""
    under_way = TokenRefresh.objects.filter(registry=registry, state__in=ACTIVE)
    while (found := under_way.first()) is None:
        if (refresh := _new_row(registry, reason=reason, asked_by=asked_by)) is not None:
            return refresh, True
        # Somebody else was a moment faster, or has deleted the registry.
        if not Registry.objects.filter(pk=registry.pk).exists():
            raise TokenMissing(verdicts.registry_gone(registry=registry.name))
    return found, False


def _new_row(registry: Registry, **columns: Any) -> TokenRefresh | None:
    """A new row; None if a refresh is under way, or there is no such registry any more."""
    try:
        with transaction.atomic():
            return TokenRefresh.objects.create(organisation_id=registry.organisation_id, registry=registry, **columns)
    except IntegrityError:
        return None


def _is_needed(registry: Registry, reason: str) -> bool:
    """Whether nobody has minted since the refresh was asked for."""
    if not registry.method:
        return False
    if reason == TokenRefresh.Reason.DUE:
        return registry.refresh_due_at is not None and registry.refresh_due_at <= timezone.now()
    return reason != TokenRefresh.Reason.NEEDED or not _is_good_for_now(registry)


def _is_good_for_now(registry: Registry) -> bool:
    if not registry.has_token or registry.token_expires_at is None or registry.token_issued_at is None:
        return False
    life = registry.token_expires_at - registry.token_issued_at
    return registry.token_expires_at - timezone.now() > min(MARGIN, life * MARGIN_OF_LIFE)


def _mint(registry: Registry, ladder: Ladder, minted: list[Minted], problem: list[MintFailed]) -> None:
    what = credentials.stored(registry)
    ladder.hide(what.password)
    try:
        token = what.mint()
    except MintFailed as error:
        problem.append(error)
        ladder.failed("token", error.verdict, words=error.words)
    else:
        minted.append(token)
        ladder.passed("token")


def _keep(registry: Registry, refresh: TokenRefresh, minted: Minted) -> bool:
    """Save a token, unless it was minted with credentials that are no longer the registry's.

    False if the refresh was taken away meanwhile (swept as lost).
    """
    was_unwell = bool(registry.refresh_failures) or not registry.has_token
    registry.token = minted.secret
    registry.login_mark = DockerLogin(registry.url, minted.username, minted.secret).mark
    with transaction.atomic(savepoint=False):
        if not runs.finish(refresh, None, failed=False, issued_at=minted.issued_at, expires_at=minted.expires_at):
            return False
        changed = _same(registry).update(
            token=registry.token,
            username=minted.username,
            token_issued_at=minted.issued_at,
            token_expires_at=minted.expires_at,
            refresh_due_at=due_after(minted),
            refresh_failures=0,
            last_refresh=refresh,
            login_mark=registry.login_mark,
        )
        if changed:
            if was_unwell:
                alarms.token_came(registry)
            logins.renew(registry)
    return True


def _note_failure(
    registry: Registry, refresh: TokenRefresh, verdict: Verdict | None, retry_after: float | None
) -> bool:
    """Note why there is no token, and when it is tried again. False if the refresh was taken away meanwhile."""
    verdict = verdict or host_verdicts.internal_error()
    is_of_account = verdict.permanent and verdict.subject == "credentials"  # else it is mended here, or by the cloud
    is_final = is_of_account and timezone.now() - registry.secret_changed_at > NEW_KEY
    usual = pause(registry.refresh_failures, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
    wished = dt.timedelta(seconds=min(retry_after or 0, LONGEST_WISH.total_seconds()))
    wait = max(usual, wished)
    with transaction.atomic(savepoint=False):
        if not runs.finish(refresh, verdict, failed=True):
            return False
        changed = _same(registry).update(
            refresh_failures=F("refresh_failures") + 1,
            refresh_due_at=None if is_final else timezone.now() + wait,
            last_refresh=refresh,
        )
        if changed:  # else it says nothing of the credentials that are there now
            alarms.refresh_failed(registry, verdict, will_retry=not is_final)
    return True


def _locked(registry_id: str) -> Registry | None:
    """A registry as it is now, which nobody else changes or deletes during this transaction; None if it is gone."""
    return Registry.objects.select_for_update(no_key=True).filter(pk=registry_id).first()


def _same(registry: Registry) -> Any:
    """The row, if its credentials are still those that were minted with."""
    return Registry.objects.filter(pk=registry.pk, credentials_mark=registry.credentials_mark)


def _refresh_in_place(registry: Registry) -> None:
    """Refresh now, or wait for whoever is at it, and read the registry anew. Raises TokenMissing if it is gone."""
    refresh, _is_new = patiently(lambda: _row_for(registry, reason=TokenRefresh.Reason.NEEDED))
    run(refresh.pk)
    end = time.monotonic() + MINT_DEADLINE + runs.RESEND_AFTER.total_seconds()
    under_way = TokenRefresh.objects.filter(pk=refresh.pk, state__in=ACTIVE)
    while patiently(under_way.exists) and time.monotonic() < end:
        give_back()
        time.sleep(LOOK_EVERY_SECONDS)
    try:
        patiently(registry.refresh_from_db)
    except Registry.DoesNotExist:
        raise TokenMissing(verdicts.registry_gone(registry=registry.name)) from None


def _missing(registry: Registry) -> TokenMissing:
    """Why there is no token: what the last try said."""
    last = patiently(lambda: registry.last_refresh)
    rung = last.failing_rung if last else None
    if last is None or rung is None:
        return TokenMissing(host_verdicts.internal_error())
    verdict = Verdict(last.verdict, rung["cause"], rung["fix"], permanent=False, subject="credentials")
    return TokenMissing(verdict, rung["words"])
