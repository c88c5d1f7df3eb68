"""What the doctor and the metrics say of tokens and logins."""

import datetime as dt
from collections.abc import Iterator

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from dokreg.doctor.checks import ERROR, NAMED, WARNING, Finding, first_of, plural
from dokreg.metrics.families import Family, Values
from registries.models import Login, Registry

OVERDUE = dt.timedelta(minutes=5)  # the dispatcher comes each minute
ENDS_SOON = dt.timedelta(minutes=15)
SECRET_ENDS_SOON = dt.timedelta(days=14)


def look_at_tokens() -> Iterator[Finding]:
    """Those that have ended, end soon, or should have been minted anew long ago."""
    now = timezone.now()
    minted = Registry.objects.exclude(method="")
    ended = minted.filter(token_expires_at__lte=now)
    ending = minted.filter(token_expires_at__gt=now, token_expires_at__lte=now + ENDS_SOON)
    overdue = minted.filter(refresh_due_at__lt=now - OVERDUE, refresh_failures=0)
    stopped = minted.filter(refresh_due_at=None, refresh_failures__gt=0)
    yield Finding("Short-lived tokens", f"{plural(minted.count(), 'registry', 'registries')} with them")
    yield from _if_any("Ended", ended, ERROR, "What is pulled with them is refused.", "Open the registry: it says why.")
    yield from _if_any("Ending within 15 min", ending, WARNING, "They should be fresh by now.", "Open the registry.")
    fix = "See that beat and a worker run; more at once: DOKREG_REFRESHES_AT_ONCE."
    yield from _if_any("Overdue by 5 min", overdue, ERROR, "Refreshes are not made in time.", fix)
    why = "The cloud refuses the stored credentials, and dokreg does not try again by itself."
    yield from _if_any("Not refreshed any more", stopped, WARNING, why, "Open the registry and enter new ones.")


def look_at_secrets() -> Iterator[Finding]:
    until = (timezone.now() + SECRET_ENDS_SOON).date()
    ending = Registry.objects.filter(secret_ends_on__lte=until)
    why = "The registries refuse them from that day on."
    yield from _if_any("Secrets that end within 14 days", ending, WARNING, why, "Make new ones and enter them.")


def look_at_logins() -> Iterator[Finding]:
    failing = Login.objects.filter(failures__gt=0).select_related("server")
    yield Finding("Kept logins", plural(Login.objects.count(), "login"))
    why = "Other tools on those servers are refused, or soon will be."
    if number := failing.count():
        fix = "Open Fleet: the server's page says why."
        yield Finding("Failing", str(number), WARNING, f"{first_of(map(str, failing[:NAMED]), number)}. {why}", fix)


def _if_any(name: str, rows: "QuerySet[Registry]", state: str, why: str, fix: str) -> Iterator[Finding]:
    if number := rows.count():
        named = (f"{registry} ({registry.organisation})" for registry in rows.select_related("organisation")[:NAMED])
        yield Finding(name, str(number), state, f"{first_of(named, number)}. {why}", fix)


def count_tokens() -> Iterator[Family]:
    """By the states of `Registry.token_state`."""
    now = timezone.now()
    lives = Q(token__isnull=False, token_expires_at__gt=now)
    has_been = Q(token_issued_at__isnull=False) | Q(refresh_failures__gt=0)
    counted = Registry.objects.exclude(method="").aggregate(
        fresh=Count("pk", filter=lives & Q(refresh_failures=0)),
        failing=Count("pk", filter=lives & Q(refresh_failures__gt=0)),
        expired=Count("pk", filter=~lives & has_been),
        waiting=Count("pk", filter=~lives & ~has_been),
    )
    values: Values = {(state,): number for state, number in counted.items()}
    yield Family("dokreg_tokens", "Registries with short-lived tokens, by the state of the token.", ("state",), values)
    yield Family("dokreg_registries", "Registries.", (), {(): Registry.objects.count()})


def count_logins() -> Iterator[Family]:
    rows = Login.objects.order_by().values_list("state").annotate(Count("pk"))
    text = "Logins that servers keep, by state."
    yield Family("dokreg_logins", text, ("state",), {(state,): number for state, number in rows})
