"""Looking for a new digest behind an application's tag, every so many minutes, where its members want that.

Asked for is the head of the manifest alone, from the server that would pull: that is no pull, neither for a quota nor
for anybody's traffic. What a digest's deployment came to does not matter here: each is asked for once.
"""

import contextlib
import datetime as dt
import functools
import time

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from applications import deploying
from applications.deploying import CannotDeploy
from applications.models import Application, Deployment
from dokreg.backoff import pause
from dokreg.database import patiently
from dokreg.encryption import SecretUnreadable
from registries import catalog, kinds, tokens
from registries.references import Reference, parse
from registries.registry_api import NotAnswered
from servers import draining, runs, ssh
from servers import verdicts as host_verdicts
from servers.ladder import without_secrets
from servers.verdicts import Verdict

AT_ONCE = 4  # each takes a worker's thread, which those who click need as well
IN_TURN_SECONDS = 45.0  # less than the minute after which others are handed over
LONGEST_PAUSE = dt.timedelta(days=1)


def dispatch() -> int:
    """Hand over some of the applications whose turn it is; answers how many. Whoever polls one takes the others."""
    from applications.tasks import poll_application

    taken = [application for application in _due()[:AT_ONCE] if _take(application)]
    for application in taken:
        transaction.on_commit(functools.partial(runs.send_id, poll_application, application.pk))
    return len(taken)


def poll_in_turn(application_id: str) -> None:
    """Poll one, and then what else is due, one after the other, until nothing is or others are handed over."""
    end = time.monotonic() + IN_TURN_SECONDS
    poll(application_id)
    while time.monotonic() < end and not draining.is_ending() and (following := _take_next()) is not None:
        poll(following.pk)


def poll(application_id: str) -> Deployment | None:
    """Ask what the tag stands for now; the deployment of it, if that is new."""
    application = _found(application_id)
    if application is None or not application.poll_minutes:
        return None
    try:
        reference = parse(deploying.reference_of(application))
        digest = "" if reference.digest else _digest_of(application, reference)
    except CannotDeploy as error:
        complaint = str(error)
    except (NotAnswered, ssh.SSHProblem, tokens.TokenMissing) as error:
        complaint = _sentences(application, error.verdict)
    except SecretUnreadable:
        complaint = _sentences(application, host_verdicts.secret_unreadable())
    else:
        try:
            return patiently(lambda: _take_digest(application, digest))
        except CannotDeploy as error:  # somebody's wish waits; the next look finds the digest as new as this one
            complaint = str(error)
    _note_failure(application, complaint)
    return None


def see_quota(application_id: str) -> None:
    """Learn how many pulls are left after one, where the registry tells that."""
    application = _found(application_id)
    if application is None:
        return
    # Nobody asked for it: why it cannot be learned shows where somebody does.
    with contextlib.suppress(CannotDeploy, NotAnswered, ssh.SSHProblem, tokens.TokenMissing, SecretUnreadable):
        _digest_of(application, parse(deploying.reference_of(application)))


def tells_quota(reference: Reference) -> bool:
    """Whether the registry of this host counts pulls and says so."""
    return kinds.for_host(reference.host).tells_quota


def _found(application_id: str) -> Application | None:
    rows = Application.objects.select_related("organisation", "registry", "server__ssh_key", "serving")
    return patiently(rows.filter(pk=application_id).first)  # its next turn is some time away


def _digest_of(application: Application, reference: Reference) -> str:
    return catalog.find_manifest(
        organisation=application.organisation,
        registry=application.registry,
        server=application.server,
        reference=reference,
    ).digest


def _due() -> "QuerySet[Application]":
    return Application.objects.filter(poll_due_at__lte=timezone.now()).order_by("poll_due_at")


def _take_next() -> Application | None:
    """The first that nobody else has taken; each is polled by one, whoever looks."""
    return next((application for application in _due()[: AT_ONCE * 2] if _take(application)), None)


def _take(application: Application) -> bool:
    """Move its next turn on; the conditional UPDATE must change exactly one row."""
    usual = dt.timedelta(minutes=application.poll_minutes)
    failures = application.poll_failures
    wait = pause(failures, first=usual, longest=max(usual, LONGEST_PAUSE)) if failures else usual
    due = Application.objects.filter(pk=application.pk, poll_due_at=application.poll_due_at)
    return bool(due.update(poll_due_at=timezone.now() + wait))


def _take_digest(application: Application, digest: str) -> Deployment | None:
    known = {application.polled_digest, application.serving.digest if application.serving else digest}
    with transaction.atomic():
        rows = Application.objects.filter(pk=application.pk, polled_digest=application.polled_digest)
        changed = rows.update(polled_at=timezone.now(), polled_digest=digest, poll_failures=0, poll_cause="")
        if not changed or not digest or digest in known:
            return None
        return deploying.ask(
            application=application, asked_by=None, reason=Deployment.Reason.POLL, note=f"The tag became {digest[:19]}"
        )


def _note_failure(application: Application, cause: str) -> None:
    unnoted = Application.objects.filter(pk=application.pk, polled_at=application.polled_at)
    noted = {"polled_at": timezone.now(), "poll_failures": F("poll_failures") + 1, "poll_cause": cause}
    patiently(lambda: unnoted.update(**noted))


def _sentences(application: Application, verdict: Verdict) -> str:
    """A verdict may quote what the registry answered, which may be what it was sent."""
    registry = application.registry
    secrets = [registry.password, registry.token] if registry is not None else []
    opened: list[str] = []
    for secret in secrets:
        with contextlib.suppress(SecretUnreadable):  # then it was not sent either
            opened += [secret.reveal()] if secret is not None else []
    clean = without_secrets(verdict, opened)
    return f"{clean.cause} {clean.fix}"
