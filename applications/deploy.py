"""One deployment from its first rung to its last: login, pull, start, wait until it runs, switch over.

The login happens in a `DOCKER_CONFIG` folder of its own, which is gone before the pull begins. Everything after it is
asked of the daemon over its API: the credentials are a header of the one request that pulls. What ran before is
written down before any of it is stopped, and put back on every way out but success.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from applications import container, containers, deploying, polling, recovery, telling, verdicts
from applications.containers import Container, NotUp
from applications.journal import CancelAsked, Journal, TakenAway
from applications.models import Application, Deployment
from applications.pulling import PullProgress
from dokreg.encryption import SecretUnreadable
from registries import tokens
from registries import verdicts as registry_verdicts
from registries.credentials import DockerLogin
from registries.kinds import get as kind_of
from registries.references import Reference, parse
from registries.testing import LoginClimber
from servers import docker, engine, runs, ssh
from servers import verdicts as host_verdicts
from servers.docker import Host
from servers.engine import Engine, EngineGone, EngineRefused
from servers.ladder import Ladder
from servers.models import Server
from servers.stages import Stage
from servers.testing import climb_all, climb_to_daemon
from servers.verdicts import Verdict

STALLED_SECONDS = 180
NOT_NEEDED = "Not needed: the image is on the server"
ELSEWHERE_SECONDS = 60.0
Action, State = Deployment.Action, Deployment.State


class Failed(Exception):
    """It cannot go on; `verdict` says why, at the rung that is being climbed."""

    def __init__(self, verdict: Verdict, *, words: str = "") -> None:
        super().__init__(verdict.cause)
        self.verdict, self.words = verdict, words


@dataclass(slots=True)
class Job:
    """A deployment that this worker has in hand, and what it works with."""

    deployment: Deployment
    application: Application
    server: Server
    host: Host
    ladder: Ladder
    journal: Journal
    end: float  # of time.monotonic()
    is_cancelled: bool = False
    reservation: Verdict | None = None
    moves_by: float = float("inf")  # when what is being pulled must have moved

    @property
    def seconds_left(self) -> float:
        return max(1.0, self.end - time.monotonic())

    def beat(self) -> None:
        """About once a second. Raises CancelAsked, TakenAway, and Failed for a pull that stands still."""
        self.journal.beat()
        if time.monotonic() >= self.moves_by:
            reference = self.deployment.reference
            raise Failed(verdicts.pull_stalled(seconds=STALLED_SECONDS, reference=reference))


def run(deployment_id: str) -> None:
    """Run a queued deployment; leaves quietly if it is gone, another worker has it, or the application is busy."""
    deployment = deploying.claim(deployment_id)
    if deployment is None:
        return
    applications = Application.objects.select_related("registry", "serving__server__ssh_key")
    application = applications.get(pk=deployment.application_id)
    server = Server.objects.select_related("ssh_key").filter(pk=deployment.server_id).first()
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
    deploying.dispatch()


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
        telling.failed(deployment, application, verdict)
    deploying.dispatch()


def _climb(job: Job) -> None:
    """Everything between the first rung and the last. What goes wrong ends at the rung where it went wrong."""
    act = _deploy if job.deployment.pulls else _act
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
        job.deployment.refresh_from_db(fields=["cancel_asked_by"])
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
    with transaction.atomic():
        if not runs.finish(deployment, ladder.verdict, failed=failed, state=state, **also):
            return  # swept as lost meanwhile, which has it tidied
        if not failed:
            _note_success(job)
    if not failed and deployment.action != Action.DELETE:
        telling.succeeded_again(deployment, job.application)
    elif failed and not job.is_cancelled:
        telling.failed(deployment, job.application, ladder.verdict)


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


# Login and pull


def _deploy(job: Job) -> None:
    journal, deployment = job.journal, job.deployment
    journal.say(f"{deployment.get_action_display()} of {deployment.reference} on {job.server.name}")
    reference = parse(deployment.reference)
    login = None
    if not reference.digest or not _is_there(job, reference):
        login = None if job.ladder.has_failed else _login(job, reference)
    if job.ladder.has_failed:
        return
    journal.beat()
    environment = container.environment_of(job.application)
    _hide(job, container.recognisable(environment))
    with engine.connect(job.host, deadline=job.seconds_left, on_wait=job.beat) as daemon:
        recovery.tidy_leftovers(daemon, job.application, job.server, say=journal.say)
        image = _bring_image(job, daemon, login)
        _replace(job, daemon, image=image, environment=environment)
    if problem := _retire_elsewhere(job) or job.reservation:
        job.ladder.warned("switch", problem)
    else:
        job.ladder.passed("switch")


def _hide(job: Job, secrets: list[str]) -> None:
    """Take secrets out of everything that is said from now on."""
    for secret in secrets:
        job.ladder.hide(secret)
        job.journal.hide(secret)


def _is_there(job: Job, reference: Reference) -> bool:
    """Whether the very image is on the server: then nobody needs to log in, and the registry may be away."""
    names = {rung["name"] for rung in job.ladder.rungs}
    if "token" in names:
        job.ladder.passed("token", fact=NOT_NEEDED)
        job.ladder.start(job.ladder.current)
    docker.reach(job.host, on_stage=lambda stage: _climb_stage(job, stage))
    if job.ladder.has_failed:
        return False
    with engine.connect(job.host, deadline=job.seconds_left, on_wait=job.beat) as daemon:
        is_there = _has_image(daemon, f"{reference.repository}@{reference.digest}")
    if is_there and "login" in names:
        job.ladder.passed("login", fact=NOT_NEEDED)
    return is_there


def _login(job: Job, reference: Reference) -> DockerLogin | None:
    """Log in as the pull will; None for a public image, whose daemon is looked for all the same.

    The reference is from when the deployment was asked for; the registry may be another one by now, and its
    credentials must not go to the host of before.
    """
    registry = job.application.registry
    if registry is None:
        docker.reach(job.host, on_stage=lambda stage: _climb_stage(job, stage))
        return None
    _refuse_other_host(reference, registry.url)
    if registry.method:
        job.ladder.start("token")
        try:
            login = tokens.docker_login(registry)
        except tokens.TokenMissing as error:
            job.ladder.failed("token", error.verdict, words=error.words)
            return None
        job.ladder.passed("token")
        job.ladder.start(job.ladder.current)
    else:
        login = tokens.docker_login(registry)
    _refuse_other_host(reference, login.registry)  # it was read anew if a token was minted
    _hide(job, [login.password])
    climber = LoginClimber(job.ladder, job.host, kind_of(registry.kind), login, with_trial=False)
    docker.login(
        job.host,
        run_id=job.deployment.pk,
        registry=login.registry,
        username=login.username,
        password=login.password,
        with_trial=False,
        on_stage=climber.climb,
    )
    if not job.ladder.has_failed:
        job.journal.say(f"Logged in to {login.registry}")
    return login


def _refuse_other_host(reference: Reference, host: str) -> None:
    if host != reference.host:
        raise Failed(verdicts.other_host(host=reference.host, registry=host))


def _climb_stage(job: Job, stage: Stage) -> None:
    if not job.ladder.has_failed:
        climb_to_daemon(job.ladder, stage, server=job.server.name, user=job.server.user)


def _bring_image(job: Job, daemon: Engine, login: DockerLogin | None) -> str:
    """Pull, and answer `repository@digest`, which nothing can change any more."""
    job.ladder.start("pull")
    reference = parse(job.deployment.reference)
    if reference.digest and _has_image(daemon, f"{reference.repository}@{reference.digest}"):
        job.journal.say("The image is on the server already")
        digest = reference.digest
    else:
        digest = _pull(job, daemon, login)
    job.journal.note(digest=digest)
    job.ladder.passed("pull", fact=digest)
    return f"{reference.repository}@{digest}"


def _has_image(daemon: Engine, name: str) -> bool:
    try:
        daemon.get(f"/images/{name}/json")
    except EngineRefused as error:
        if error.is_missing:
            return False
        raise
    return True


def _pull(job: Job, daemon: Engine, login: DockerLogin | None) -> str:
    reference = parse(job.deployment.reference)
    auth = (
        ""
        if login is None
        else engine.registry_auth(registry=login.registry, username=login.username, password=login.password)
    )
    progress = PullProgress()
    tag = reference.digest or reference.tag or "latest"
    job.moves_by = time.monotonic() + STALLED_SECONDS
    try:
        for message in daemon.pull(repository=reference.repository, tag=tag, auth=auth):
            job.moves_by = time.monotonic() + STALLED_SECONDS
            if line := progress.take(message):
                job.journal.say(line)
            job.journal.progress(progress.facts)
    except EngineRefused as error:
        progress.error = error.words
    job.moves_by = float("inf")
    if progress.error:
        raise _pull_failed(job, progress.error)
    return reference.digest or _digest_of(daemon, job.deployment.reference, progress.digest)


def _pull_failed(job: Job, error: str) -> Failed:
    words = job.ladder.scrubbed(error)
    registry, reference = job.application.registry, parse(job.deployment.reference)
    known = verdicts.of_known_refusal(words, server=job.server.name)
    verdict = known or registry_verdicts.of_pull(
        words,
        kind=kind_of(registry.kind if registry else "generic"),
        host=reference.host,
        reference=str(reference),
        server=job.server.name,
        user=job.server.user,
    )
    return Failed(verdict, words=words)


def _digest_of(daemon: Engine, reference: str, told: str) -> str:
    """The digest under which the image was pulled just now; `told` decides where it was pulled under several."""
    name = parse(reference)
    found = daemon.get(f"/images/{name}/json").get("RepoDigests") or []
    digests: list[str] = [text.rpartition("@")[2] for text in found if _is_of(text, name.repository)]
    if told in digests:
        return told
    if len(digests) == 1:
        return digests[0]
    raise Failed(verdicts.no_digest(reference=reference))


def _is_of(text: str, repository: str) -> bool:
    return parse(text).repository == repository


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
            _remove_all(job, daemon, containers.of_application(daemon, job.application.pk))
    except (ssh.SSHProblem, EngineGone, EngineRefused, SecretUnreadable):
        return verdicts.old_left_elsewhere(server=old.name)
    return None


# What pulls nothing


def _act(job: Job) -> None:
    docker.reach(job.host, on_stage=lambda stage: _climb_stage(job, stage))
    if job.ladder.has_failed:
        return
    job.ladder.start("container")
    if job.deployment.action == Action.TIDY:
        recovery.tidy_all(job.host, job.application, job.server, say=job.journal.say)
        job.ladder.passed("container")
        return
    job.journal.is_shielded = True
    with engine.connect(job.host, deadline=job.seconds_left, on_wait=job.journal.beat) as daemon:
        recovery.tidy_leftovers(daemon, job.application, job.server, say=job.journal.say)
        found = containers.of_application(daemon, job.application.pk)
        if not found and job.deployment.action not in {Action.REMOVE, Action.DELETE}:
            raise Failed(verdicts.container_missing(server=job.server.name))
        _ACTS[job.deployment.action](job, daemon, found)
    job.ladder.passed("container")


def _start(job: Job, daemon: Engine, found: list[Container]) -> None:
    containers.start(daemon, found[0].id)
    containers.wait_until_up(daemon, found[0].id, settle_seconds=1, on_look=lambda _word: job.journal.beat())
    job.journal.say(f"Started container {found[0].id[:12]}")


def _stop_all(job: Job, daemon: Engine, found: list[Container]) -> None:
    for one in found:
        containers.stop(daemon, one.id, seconds=job.application.stop_seconds)
        job.journal.say(f"Stopped container {one.id[:12]}")


def _restart(job: Job, daemon: Engine, found: list[Container]) -> None:
    _stop_all(job, daemon, found[:1])
    _start(job, daemon, found)


def _remove_all(job: Job, daemon: Engine, found: list[Container]) -> None:
    _stop_all(job, daemon, found)
    for one in found:
        containers.remove(daemon, one.id)
        job.journal.say(f"Removed container {one.id[:12]}")


_ACTS: dict[str, Callable[[Job, Engine, list[Container]], None]] = {
    Action.START: _start,
    Action.STOP: _stop_all,
    Action.RESTART: _restart,
    Action.REMOVE: _remove_all,
    Action.DELETE: _remove_all,
}
