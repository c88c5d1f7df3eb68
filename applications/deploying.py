"""Asking for deployments, and whose turn it is: one at a time per application, a few at a time in all.

A newer wish takes the place of one that still waits. The rows are the truth; what the broker loses is sent again.
"""

from collections import Counter

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from applications import pull_references, verdicts
from applications.models import Application, Deployment
from dokreg.database import patiently
from organisations import audit, dispatching
from organisations.models import User
from registries.references import InvalidReference, parse
from servers import runs
from servers.ladder import Rung, new_rung
from servers.models import Run
from servers.verdicts import Verdict

Action, Reason, State = Deployment.Action, Deployment.Reason, Deployment.State
PLACES_PER_SERVER = 4
UNFINISHED = (State.QUEUED, State.RUNNING)


class CannotDeploy(Exception):
    """What was asked for makes no sense now; `str()` is a sentence for people."""


def ask(*, application: Application, asked_by: User | None, reason: str = Reason.ASKED, note: str = "") -> Deployment:
    """Queue a deployment of what the application's settings name; the one that waits already, if there is one.

    Raises CannotDeploy if that is no reference.
    """
    return _ask(application, Action.DEPLOY, reference_of(application), asked_by, reason=reason, note=note)


def ask_for_rollback(*, application: Application, to: Deployment, asked_by: User | None) -> Deployment:
    """Queue a deployment of the very image that an earlier one has brought. Raises CannotDeploy."""
    if to.state != State.SUCCEEDED or not to.digest:
        raise CannotDeploy("Only a deployment that succeeded can be rolled back to.")
    repository = parse(to.reference).repository
    return _ask(application, Action.ROLLBACK, f"{repository}@{to.digest}", asked_by)


def ask_for(*, application: Application, action: str, asked_by: User | None) -> Deployment:
    """Queue a start, a stop, a restart or the removal of the application's container. Raises CannotDeploy."""
    if action not in {Action.START, Action.STOP, Action.RESTART, Action.REMOVE, Action.DELETE}:
        raise CannotDeploy("There is no such action.")
    if application.serving is None and not has_leftovers(application):
        raise CannotDeploy("The application has no container yet. Deploy it first.")
    return _ask(application, action, "", asked_by)


def has_leftovers(application: Application) -> bool:
    """Whether a deployment that did not come to its end may have left something on a server."""
    return application.deployments.filter(to_tidy=True).exclude(state__in=UNFINISHED).exists()


def reference_of(application: Application) -> str:
    """What its settings name, in full. Raises CannotDeploy."""
    try:
        return str(pull_references.compose(registry=application.registry, image=application.image))
    except InvalidReference as error:
        raise CannotDeploy(str(error)) from error


def cancel(*, deployment: Deployment, by: User) -> bool:
    """End one that waits at once, and ask the worker of one that runs to stop; False if it is too late."""
    verdict = verdicts.cancelled(by=by.get_username())
    with transaction.atomic():
        waiting = Deployment.objects.filter(pk=deployment.pk, state=State.QUEUED)
        running = Deployment.objects.filter(pk=deployment.pk, state=State.RUNNING, cancel_asked_at=None)
        asked = {"cancel_asked_at": timezone.now(), "cancel_asked_by": by.get_username()}
        changed = _end(waiting, deployment, verdict, **asked) or running.update(**asked)
        if changed:
            audit.record("cancelled a deployment", deployment.application, actor=by)
    if changed:
        dispatch()
    return bool(changed)


def dispatch() -> int:
    """Hand over what waits and may run now; answers how many. What pulls nothing does not wait for places."""
    if not _waiting().exists():
        return 0
    with transaction.atomic():
        dispatching.take_turns()
        on_their_way = Deployment.objects.filter(Q(state=State.RUNNING) | Q(state=State.QUEUED, sent_at__isnull=False))
        chosen = list(_waiting().exclude(action__in=Deployment.PULLS)) + _pulls_in_turn(on_their_way)
        for deployment in chosen:
            _send(deployment)
    return len(chosen)


def _pulls_in_turn(on_their_way: "QuerySet[Deployment]") -> list[Deployment]:
    """The oldest first, as many as there are places, and no server more than its share: SSH there has other uses."""
    pulling = on_their_way.filter(action__in=Deployment.PULLS)
    on_server = Counter(pulling.values_list("server_id", flat=True))
    room = settings.DOKREG_DEPLOYMENTS_AT_ONCE - on_server.total()
    chosen: list[Deployment] = []
    for deployment in _waiting().filter(action__in=Deployment.PULLS).iterator():
        if len(chosen) >= room:
            break
        if on_server[deployment.server_id] < PLACES_PER_SERVER:
            on_server[deployment.server_id] += 1
            chosen.append(deployment)
    return chosen


def claim(deployment_id: str) -> Deployment | None:
    """The deployment, if this worker is the one that may run it, and no other of the application runs."""

    def take() -> Deployment | None:
        with transaction.atomic():
            return runs.claim(Deployment, deployment_id)

    try:
        return patiently(take)
    except IntegrityError:
        return None


def steps(deployment: Deployment, application: Application) -> list[tuple[str, str]]:
    """The rungs of its ladder: name and label."""
    reach = [("ssh", "SSH"), ("cli", "Docker CLI"), ("daemon", "Docker daemon")]
    if not deployment.pulls:
        return [*reach, ("container", "Container")]
    registry = application.registry
    token = [("token", "Token")] if registry is not None and registry.method else []
    login = [("login", "Login")] if registry is not None else []
    last = [("pull", "Pull"), ("start", "Start"), ("up", "Runs"), ("switch", "Switch over")]
    return [*token, *reach, *login, *last]


def _ask(
    application: Application,
    action: str,
    reference: str,
    asked_by: User | None,
    *,
    reason: str = Reason.ASKED,
    note: str = "",
) -> Deployment:
    with transaction.atomic():
        locked = Application.objects.select_for_update(of=("self",)).select_related(
            "organisation", "server", "registry", "serving__server"
        )
        application = locked.filter(pk=application.pk).first() or _gone()
        waiting = application.deployments.filter(state=State.QUEUED).first()
        if waiting is not None and (waiting.action, waiting.reference) == (action, reference):
            return waiting
        if waiting is not None and asked_by is None and waiting.action != Action.DEPLOY:
            raise CannotDeploy(f"{waiting.get_action_display()}, which somebody asked for, waits for its turn.")
        if waiting is not None and not _supersede(waiting):
            raise CannotDeploy("Another deployment has begun at this very moment. Ask again.")
        server = application.server if action in Deployment.PULLS else application.container_server
        deployment = Deployment(
            organisation_id=application.organisation_id,
            application=application,
            action=action,
            reason=reason,
            note=note[:300],
            asked_by=asked_by,
            server=server,
            server_name=server.name,
            container_name=application.container_name,
            reference=reference,
            sent_at=None,
        )
        deployment.rungs = rungs_of(deployment, application)
        _save(deployment)
        Application.objects.filter(pk=application.pk).update(last_deployment=deployment)
        if asked_by is not None:
            facts = {"action": deployment.get_action_display(), "reference": reference}
            audit.record("asked for a deployment", application, actor=asked_by, **facts)
        transaction.on_commit(dispatch)
    return deployment


def _save(deployment: Deployment) -> None:
    """The sweep asks for what is to be put right without a lock on the application, and may be a moment faster."""
    try:
        with transaction.atomic():
            deployment.save()
    except IntegrityError:
        raise CannotDeploy("The server is being put right at this very moment. Ask again.") from None


def rungs_of(deployment: Deployment, application: Application) -> list[Rung]:
    return [new_rung(name, label) for name, label in steps(deployment, application)]


def _gone() -> Application:
    raise CannotDeploy("The application was deleted in the meantime.")


def _supersede(waiting: Deployment) -> bool:
    rows = Deployment.objects.filter(pk=waiting.pk, state=State.QUEUED)
    return bool(_end(rows, waiting, verdicts.superseded()))


def _end(rows: "QuerySet[Deployment]", deployment: Deployment, verdict: Verdict, **also: object) -> int:
    """End what has not begun."""
    rungs = deployment.rungs
    for rung in rungs:
        rung["state"] = "skipped"
    if rungs:
        rungs[0].update(state="failed", cause=verdict.cause, fix=verdict.fix)
    return rows.update(
        state=State.CANCELLED,
        verdict=verdict.code,
        rungs=rungs,
        finished_at=timezone.now(),
        revision=deployment.revision + 1,
        **also,
    )


def _waiting() -> "QuerySet[Deployment]":
    """The oldest first, of applications of which nothing runs."""
    busy = Deployment.objects.filter(application=OuterRef("application"), state=State.RUNNING)
    rows = Deployment.objects.filter(~Exists(busy), state=State.QUEUED, sent_at=None)
    return rows.order_by("created_at")


def _send(deployment: Deployment) -> None:
    from applications.tasks import run_deployment

    now = timezone.now()
    # The sweep counts from here how long nobody has taken it.
    unsent = Deployment.objects.filter(pk=deployment.pk, state=Run.State.QUEUED, sent_at=None)
    if unsent.update(sent_at=now, created_at=now):
        runs.send(run_deployment, deployment)
