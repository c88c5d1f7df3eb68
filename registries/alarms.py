"""Tells people what goes wrong with a registry: once when it begins, once when it is over, never once per try."""

import datetime as dt
from collections.abc import Collection

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from organisations import audit, notifying
from organisations.notification_models import Notice
from registries.models import Alarm, Registry, RegistryTest
from servers.docker import OWN_HOST
from servers.models import Server
from servers.verdicts import Verdict

Kind = Alarm.Kind
# A cloud that stumbles once or twice is nobody's concern while the old token lives.
FAILURES_BEFORE_ALARM = 3
WARN_DAYS = (14, 3, 1, 0)
# Where the registry or the account is at fault; below stand the server's own troubles.
RUNGS_OF_REGISTRY = frozenset({"token", "login", "pull"})
# The place of what stopped working with credentials that are replaced: nobody knows yet where the new ones work.
SOMEWHERE = ""


def refresh_failed(registry: Registry, verdict: Verdict, *, will_retry: bool) -> None:
    """A token could not be minted. `registry` is as it was before this failure."""
    if will_retry and registry.refresh_failures + 1 < FAILURES_BEFORE_ALARM:
        return
    outlook = "dokreg goes on trying." if will_retry else "dokreg does not try again by itself."
    left = f" The present token works until {_time(registry.token_expires_at)}." if registry.has_token else ""
    text = f"{verdict.cause} {verdict.fix} {outlook}{left}"
    _raise(registry, Kind.REFRESH_FAILING, f"{registry.name}: no new token", text, level=Notice.Level.WARNING)


def token_came(registry: Registry) -> None:
    """A token was minted after failures."""
    _clear(registry, Kind.REFRESH_FAILING, Kind.TOKEN_EXPIRED, told=f"{registry.name} has a fresh token again.")


def tested(test: RegistryTest, verdict: Verdict | None) -> None:
    """A test of a saved registry is over: has it stopped working, does it work again?"""
    registry = test.registry
    if registry is None or test.credentials_mark != registry.credentials_mark:
        return
    rung = test.failing_rung
    if test.state == RegistryTest.State.PASSED:
        works_again(registry, test.place)
    elif rung is not None and verdict is not None and _has_stopped(registry, test, rung["name"], verdict):
        stopped_working(registry, test.place, f"{rung['cause']} {rung['fix']}")


def _has_stopped(registry: Registry, test: RegistryTest, rung: str, verdict: Verdict) -> bool:
    """Whether what a test failed at had worked, and it is not the server that keeps it from working."""
    if rung not in RUNGS_OF_REGISTRY or verdict.subject == "server":
        return False
    worked = _passed(registry)
    if rung == "pull":  # of another image it says nothing: this one's name may be mistyped
        worked = worked.filter(image=test.image, image_prefix=test.image_prefix)
    return worked.exists()


def stopped_working(registry: Registry, place: str, text: str) -> None:
    """A login that had worked is refused at a place."""
    title = f"{registry.name} stopped working on {place}"
    _raise(registry, Kind.NOT_WORKING, title, text, place=place, level=Notice.Level.FAILURE)


def works_again(registry: Registry, place: str) -> None:
    """A login succeeded at a place; people are told once it works everywhere again."""
    _clear(registry, Kind.NOT_WORKING, places=(place, SOMEWHERE), told=f"{registry.name} works again.")


def logged_out(registry: Registry, places: Collection[str]) -> None:
    """These servers are to use the registry no more: nobody waits for it to work there."""
    _close(_open(registry, Kind.NOT_WORKING).filter(place__in=places))


def credentials_saved(registry: Registry) -> None:
    """New credentials are saved, in this transaction: people are told once it is known that they work.

    That is when the first token comes, or the first login succeeds, wherever that is.
    """
    end_saved(registry)
    if not registry.method:
        _close(_open(registry, Kind.REFRESH_FAILING, Kind.TOKEN_EXPIRED))
    elif registry.has_token:
        token_came(registry)
    stopped = _open(registry, Kind.NOT_WORKING)
    if (first := stopped.order_by("created_at").first()) is not None:
        _close(stopped.exclude(pk=first.pk))
        stopped.update(place=SOMEWHERE)
        if _passed(registry).filter(finished_at__gt=first.created_at).exists():  # before they were saved
            works_again(registry, SOMEWHERE)


def end_saved(registry: Registry) -> None:
    """The day on which the secret ends may be another one now: then the old one's warnings are none of the new one."""
    _close(_open(registry, Kind.ENDS_SOON).exclude(text=_text_of_end(registry)))


def login_left_behind(server: Server, host: str) -> None:
    """A server could not be logged out for so long that it is tried no more."""
    audit.record("gave up logging out", server, registry=host)
    notifying.notify(
        organisation=server.organisation,
        level=Notice.Level.WARNING,
        title=f"{server.name} could not be logged out of {host}",
        text=f"It was not reached for a month, and is tried no more. The login may still be in the Docker config of "
        f"{server.user} there: run docker logout {host} on it, or change the secret at the registry.",
        path=server.get_absolute_url(),
    )


def watch() -> None:
    """Look for what nothing but time brings about: tokens that have ended, secrets that are about to."""
    now = timezone.now()
    has_expired = Q(method__gt="", token_expires_at__lte=now)
    expired = Registry.objects.filter(has_expired).exclude(_has_open(Kind.TOKEN_EXPIRED))
    for registry in expired.select_related("organisation"):
        text = "No new one could be minted before. Servers and deployments that use it are refused."
        title = f"{registry.name}: the token has expired"
        _raise(registry, Kind.TOKEN_EXPIRED, title, text, if_still=has_expired)
    ends = Registry.objects.filter(secret_ends_on__lte=now.date() + dt.timedelta(days=max(WARN_DAYS)))
    told = dict(Alarm.objects.filter(kind=Kind.ENDS_SOON, cleared_at=None).values_list("registry", "stage"))
    for registry in ends.select_related("organisation"):
        if _stage(registry) < told.get(registry.pk, max(WARN_DAYS) + 1):
            _warn_of_end(registry)
    _forget_places()


def _forget_places() -> None:
    """A server that was renamed or deleted will not be heard of again under its name."""
    here = Server.objects.filter(organisation=OuterRef("organisation"), name=OuterRef("place"))
    elsewhere = Alarm.objects.filter(~Exists(here), kind=Kind.NOT_WORKING, cleared_at=None)
    _close(elsewhere.exclude(place__in=(OWN_HOST, SOMEWHERE)))


def open_alarms(registry: Registry) -> list[Alarm]:
    """What is wrong now, the oldest first."""
    return list(_open(registry).order_by("created_at"))


def _days_left(registry: Registry) -> int:
    assert registry.secret_ends_on is not None  # noqa: S101 - the query says so
    return (registry.secret_ends_on - timezone.now().date()).days


def _stage(registry: Registry) -> int:
    """At how many days before the end people are told now; who comes late to a stage is told of the latest alone."""
    days = _days_left(registry)
    return min(day for day in WARN_DAYS if day >= days) if days > 0 else 0


def _warn_of_end(registry: Registry) -> None:
    """Once at each of the stages."""
    days, stage = _days_left(registry), _stage(registry)
    title = f"{registry.name}: the {_secret_name(registry)} {_when(days)}"
    text = _text_of_end(registry)
    level = Notice.Level.WARNING if days > 0 else Notice.Level.FAILURE
    with transaction.atomic():
        if _lock(registry) and _open(registry, Kind.ENDS_SOON).filter(stage__gt=stage).update(stage=stage, text=text):
            _tell(registry, title, text, level)
        else:
            _raise(registry, Kind.ENDS_SOON, title, text, stage=stage, level=level)


def _secret_name(registry: Registry) -> str:
    """What ends on the day that was entered, as the form of the registry calls it, in the middle of a sentence."""
    name = (registry.minting or registry.provider).secret_name or "secret"
    return name if name[1:2].isupper() else f"{name[:1].lower()}{name[1:]}"


def _when(days: int) -> str:
    if days < 0:
        return "has ended"
    return "ends today" if days == 0 else f"ends in {days} day{'s' if days > 1 else ''}"


def _text_of_end(registry: Registry) -> str:
    """What people are told of an end, the same at all its stages; "" if none is known."""
    if registry.secret_ends_on is None:
        return ""
    return f"It ends on {registry.secret_ends_on:%-d %B %Y}. Make a new one and enter it on the registry's page."


def _raise(
    registry: Registry,
    kind: str,
    title: str,
    text: str,
    *,
    place: str = "",
    stage: int = 0,
    level: str = Notice.Level.FAILURE,
    if_still: Q | None = None,
) -> None:
    """Open an alarm and tell people, unless they know of one of this kind elsewhere; one that is open says why now."""
    with transaction.atomic():
        if not _lock(registry, if_still):
            return
        others = _open(registry, kind)
        if others.filter(place=place).update(text=text):
            return
        is_first = not others.exists()
        Alarm.objects.create(
            organisation_id=registry.organisation_id, registry=registry, kind=kind, text=text, place=place, stage=stage
        )
        if is_first:
            _tell(registry, title, text, level)


def _clear(registry: Registry, *kinds: str, told: str, places: Collection[str] | None = None) -> None:
    """Close alarms, at some places or everywhere, and tell people once none of the kinds is open any more."""
    still_open = _open(registry, *kinds)
    here = still_open if places is None else still_open.filter(place__in=places)
    if not here.exists():  # as nearly always: then nobody need wait for the lock
        return
    with transaction.atomic():
        if _lock(registry) and _close(here) and not still_open.exists():
            _tell(registry, told, "", Notice.Level.SUCCESS)


def _lock(registry: Registry, if_still: Q | None = None) -> bool:
    """Let nobody else open or close an alarm of a registry during this transaction.

    Else of two servers that fail at the same moment neither would know of the other. False if the registry has other
    credentials by now, of which nothing was learned, or is gone.
    """
    same = Registry.objects.filter(if_still or Q(), pk=registry.pk, credentials_mark=registry.credentials_mark)
    return same.select_for_update(no_key=True).first() is not None


def _open(registry: Registry, *kinds: str) -> "QuerySet[Alarm]":
    found = Alarm.objects.filter(registry=registry, cleared_at=None)
    return found.filter(kind__in=kinds) if kinds else found


def _close(alarms: "QuerySet[Alarm]") -> int:
    return alarms.update(cleared_at=timezone.now())


def _passed(registry: Registry) -> "QuerySet[RegistryTest]":
    """Tests of its present credentials that passed."""
    return registry.tests.filter(state=RegistryTest.State.PASSED, credentials_mark=registry.credentials_mark)


def _tell(registry: Registry, title: str, text: str, level: str) -> None:
    notifying.notify(
        organisation=registry.organisation, level=level, title=title, text=text, path=registry.get_absolute_url()
    )


def _has_open(kind: str) -> Q:
    open_ones = Alarm.objects.filter(kind=kind, cleared_at=None)
    return Q(pk__in=open_ones.values("registry"))


def _time(at: dt.datetime | None) -> str:
    return f"{at:%-d %B %Y, %H:%M} UTC" if at else ""
