"""One deployment from its first rung to its last: login, pull, start, wait until it runs, switch over.

The login happens in a `DOCKER_CONFIG` folder of its own, which is gone before the pull begins. Everything after it is
asked of the daemon over its API: the credentials are a header of the one request that pulls. What ran before is
written down before any of it is stopped, and put back on every way out but success.
"""

import time

from django.conf import settings
from django.db import transaction

from applications import acting, bringing, container, containers, deploying, polling, recovery, telling, verdicts
from applications.containers import Container, NotUp
from applications.job import Failed, Job
from applications.journal import CancelAsked, Journal, TakenAway
from applications.models import Application, Deployment
from dokreg.database import patiently
from dokreg.encryption import SecretUnreadable
from registries.references import parse
from servers import docker, engine, runs, ssh
from servers import verdicts as host_verdicts
from servers.engine import Engine, EngineGone, EngineRefused
from servers.ladder import Ladder
from servers.models import Server
from servers.testing import climb_all
from servers.verdicts import Verdict

ELSEWHERE_SECONDS = 60.0
Action, State = Deployment.Action, Deployment.State


def run(deployment_id: str) -> None:
    """Run a queued deployment; leaves quietly if it is gone, another worker has it, or the application is busy."""
    deployment = deploying.claim(deployment_id)
    if deployment is None:
        return
    applications = Application.objects.select_related("registry", "serving__server__ssh_key")
    application = patiently(lambda: applications.get(pk=deployment.application_id))
    server = runs.server_of(deployment.server_id)
    if server is None:
        _end_unbegun(deployment, application, host_verdicts.server_gone(server=deployment.server_name))
        return
    try:
        job = _job(deployment, application, server)
    except SecretUnreadable:
        _end_unbegun(deployment, application, host_verdicts.secret_unreadable())
        return
    climb_all(job.ladder, server, lambda: _climb(job))
    _finish(job)
    patiently(deploying.dispatch)


def _job(deployment: Deployment, application: Application, server: Server) -> Job:
    """Raises SecretUnreadable for the server's SSH key."""
    end = time.monotonic() + settings.DOKREG_DEPLOYMENT_SECONDS
    journal = Journal(deployment)
    ladder = Ladder(deploying.steps(deployment, application), save=journal.save_rungs)
    return Job(deployment, application, server, docker.host_of(server, end=end), ladder, journal, end)


def _end_unbegun(deployment: Deployment, application: Application, verdict: Verdict) -> None:
    """Nothing can be done on the server at all."""
    ladder = Ladder(deploying.steps(deployment, application), save=lambda _rungs: None)
    ladder.failed("ssh", verdict)
    deployment.rungs = ladder.rungs
    if runs.finish(deployment, verdict, failed=True):
        patiently(lambda: telling.failed(deployment, application, verdict))
    patiently(deploying.dispatch)


def _climb(job: Job) -> None:
    """Everything between the first rung and the last. What goes wrong ends at the rung where it went wrong."""
    act = _deploy if job.deployment.pulls else acting.act
    try:
        act(job)
    except Failed as error:
        _fail(job, error.verdict, error.words)
    except NotUp as error:
        _fail(job, error.verdict, error.words)
    except EngineRefused as error:
        words = job.ladder.scrubbed(error.words)
        _fail(job, verdicts.of_engine(words, server=job.server.name), words)
    except EngineGone:
        _fail(job, _why_gone(job), "")
    except CancelAsked:
        job.is_cancelled = True
        patiently(lambda: job.deployment.refresh_from_db(fields=["cancel_asked_by"]))
        _fail(job, verdicts.cancelled(by=job.deployment.cancel_asked_by), "")
    except TakenAway:
        return


def _fail(job: Job, verdict: Verdict, words: str) -> None:
    verdict = job.journal.shown(verdict)
    job.journal.say(verdict.cause)
    if words:
        job.journal.say(words)
    job.ladder.failed(job.ladder.current, verdict, words=job.journal.scrubbed(words))


def _why_gone(job: Job) -> Verdict:
    if time.monotonic() >= job.end:
        return host_verdicts.deadline_passed()
    return host_verdicts.connection_lost(address=job.server.address)


def _finish(job: Job) -> None:
    ladder, deployment, journal = job.ladder, job.deployment, job.journal
    if journal.is_taken_away:
        return  # swept as lost meanwhile, which has it tidied
    failed = ladder.has_failed
    if failed and deployment.to_tidy:
        deployment.to_tidy = not recovery.put_back(deployment, say=journal.say)
        if deployment.to_tidy:
            journal.say(verdicts.not_put_back(server=job.server.name).cause)
    state = State.CANCELLED if job.is_cancelled else ""
    also = journal.rest | {"to_tidy": deployment.to_tidy and failed}

    def end() -> bool:
        with transaction.atomic():
            is_mine = runs.finish(deployment, ladder.verdict, failed=failed, state=state, **also)
            if is_mine and not failed:
                _note_success(job)
            return is_mine

    if not patiently(end):
        return  # swept as lost meanwhile, which has it tidied
    if not failed and deployment.action != Action.DELETE:
        patiently(lambda: telling.succeeded_again(deployment, job.application))
    elif failed and not job.is_cancelled:
        patiently(lambda: telling.failed(deployment, job.application, ladder.verdict))


def _note_success(job: Job) -> None:
    from applications.tasks import see_quota

    rows = Application.objects.filter(pk=job.application.pk)
    if job.deployment.pulls:
        rows.update(serving=job.deployment)
        if polling.tells_quota(parse(job.deployment.reference)):
            transaction.on_commit(lambda: runs.send_id(see_quota, job.application.pk))
    elif job.deployment.action == Action.REMOVE:
        rows.update(serving=None)
    elif job.deployment.action == Action.DELETE:
        rows.delete()


def _deploy(job: Job) -> None:
    journal, deployment = job.journal, job.deployment
    journal.say(f"{deployment.get_action_display()} of {deployment.reference} on {job.server.name}")
    reference = parse(deployment.reference)
    login = None
    if not reference.digest or not bringing.is_there(job, reference):
        login = None if job.ladder.has_failed else bringing.log_in(job, reference)
    if job.ladder.has_failed:
        return
    journal.beat()
    environment = container.environment_of(job.application)
    job.hide(*container.recognisable(environment))
    with engine.connect(job.host, deadline=job.seconds_left, on_wait=job.beat) as daemon:
        recovery.tidy_leftovers(daemon, job.application, job.server, say=journal.say)
        image = bringing.bring(job, daemon, login)
        _replace(job, daemon, image=image, environment=environment)
    if problem := _retire_elsewhere(job) or job.reservation:
        job.ladder.warned("switch", problem)
    else:
        job.ladder.passed("switch")


# Start, wait, switch over


def _replace(job: Job, daemon: Engine, *, image: str, environment: dict[str, str]) -> None:
    """Let a new container take the place of those that are there."""
    application, deployment = job.application, job.deployment
    job.ladder.start("start")
    _refuse_foreign_name(job, daemon)
    before = containers.of_application(daemon, application.pk)
    replaces = [{"id": old.id, "ran": old.is_running} for old in before]
    job.journal.note(replaces=replaces, to_tidy=True)
    body = container.creation(application, deployment, image=image, environment=environment)
    new = containers.create(daemon, name=container.temporary_name(deployment), body=body)
    job.journal.note(container_id=new)
    if not container.starts_beside(application):
        _stop(job, daemon, before)
    containers.start(daemon, new)
    job.journal.say(f"Started container {new[:12]}")
    job.ladder.passed("start", fact=new[:12])
    job.ladder.start("up")
    _wait_until_up(job, daemon, new)
    job.ladder.passed("up")
    job.ladder.start("switch")
    _switch(job, daemon, before, new)


def _refuse_foreign_name(job: Job, daemon: Engine) -> None:
    found = containers.inspect(daemon, job.deployment.container_name)
    # Docker finds a container by the beginning of its id as well.
    has_name = found is not None and found.get("Name") == f"/{job.deployment.container_name}"
    if found is not None and has_name and containers.owner_of(found) != job.application.pk:
        raise Failed(verdicts.name_taken(name=job.deployment.container_name, server=job.server.name))


def _wait_until_up(job: Job, daemon: Engine, new: str) -> None:
    seen = ""

    def look(word: str) -> None:
        nonlocal seen
        if word != seen:
            seen = word
            job.journal.say(f"The new container is {word}")
        job.journal.beat()

    containers.wait_until_up(daemon, new, settle_seconds=job.application.settle_seconds, on_look=look)
    if lines := containers.last_lines(daemon, new):
        job.journal.say("Its first lines:")
        job.journal.say(lines)


def _stop(job: Job, daemon: Engine, olds: list[Container]) -> None:
    for old in olds:
        if old.is_running:
            job.journal.say(f"Stopping container {old.id[:12]}, so that the new one can have its ports")
            containers.stop(daemon, old.id, seconds=job.application.stop_seconds)


def _switch(job: Job, daemon: Engine, olds: list[Container], new: str) -> None:
    """The new one holds, and is not given up because somebody cancels, or because an old one is in the way."""
    job.journal.is_shielded = True
    for old in olds:
        if old.is_running:
            containers.stop(daemon, old.id, seconds=job.application.stop_seconds)
    # From here on there is no way back: Docker may refuse to let go of an old one that it has half removed.
    job.journal.note(to_tidy=False)
    try:
        for old in olds:
            containers.remove(daemon, old.id)
            job.journal.say(f"Removed container {old.id[:12]}")
        containers.rename(daemon, new, job.deployment.container_name)
    except EngineRefused as error:
        job.journal.say(error.words)
        job.reservation = verdicts.old_not_removed(name=job.deployment.container_name, server=job.server.name)


def _retire_elsewhere(job: Job) -> Verdict | None:
    """The application was moved: the container on the server before is not needed any more."""
    serving = job.application.serving
    old = serving.server if serving is not None else None
    if old is None or old.pk == job.server.pk:
        return None
    job.journal.say(f"Removing the old container on {old.name}")
    try:
        seconds = ELSEWHERE_SECONDS + job.application.stop_seconds
        with engine.connect(docker.host_of(old), deadline=seconds, on_wait=job.journal.beat) as daemon:
            acting.remove_all(job, daemon, containers.of_application(daemon, job.application.pk))
    except (ssh.SSHProblem, EngineGone, EngineRefused, SecretUnreadable):
        return verdicts.old_left_elsewhere(server=old.name)
    return None
