"""The image of a deployment on its server: the login, unless nothing has to be fetched, and the pull.

The reference is from when the deployment was asked for. The application's registry may be another one by now, so that
its credentials are compared with the reference's host before anybody is given them.
"""

import time

from applications import verdicts
from applications.job import STALLED_SECONDS, Failed, Job
from applications.pulling import PullProgress
from registries import tokens
from registries import verdicts as registry_verdicts
from registries.credentials import DockerLogin
from registries.kinds import get as kind_of
from registries.references import Reference, parse
from registries.testing import LoginClimber
from servers import docker, engine
from servers.engine import Engine, EngineRefused

NOT_NEEDED = "Not needed: the image is on the server"


def is_there(job: Job, reference: Reference) -> bool:
    """Whether the very image is on the server: then nobody needs to log in, and the registry may be away."""
    names = {rung["name"] for rung in job.ladder.rungs}
    if "token" in names:
        job.ladder.passed("token", fact=NOT_NEEDED)
        job.ladder.start(job.ladder.current)
    docker.reach(job.host, on_stage=job.climb)
    if job.ladder.has_failed:
        return False
    with engine.connect(job.host, deadline=job.seconds_left, on_wait=job.beat) as daemon:
        found = _has_image(daemon, f"{reference.repository}@{reference.digest}")
    if found and "login" in names:
        job.ladder.passed("login", fact=NOT_NEEDED)
    return found


def log_in(job: Job, reference: Reference) -> DockerLogin | None:
    """Log in as the pull will; None for a public image, whose daemon is looked for all the same.

    The reference is from when the deployment was asked for; the registry may be another one by now, and its
    credentials must not go to the host of before.
    """
    registry = job.application.registry
    if registry is None:
        docker.reach(job.host, on_stage=job.climb)
        return None
    _refuse_other_host(reference, registry.url)
    if registry.method:
        job.ladder.start("token")
        try:
            login = tokens.docker_login(registry)
        except tokens.TokenMissing as error:
            job.ladder.failed("token", error.verdict, words=error.words)
            return None
        job.ladder.passed("token", goes_on=True)
    else:
        login = tokens.docker_login(registry)
    _refuse_other_host(reference, login.registry)  # it was read anew if a token was minted
    job.hide(login.password)
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


def bring(job: Job, daemon: Engine, login: DockerLogin | None) -> str:
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
