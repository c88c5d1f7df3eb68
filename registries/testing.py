"""The Test: climbs SSH → Docker CLI → daemon → login → pull right on the very host that will pull."""

import datetime as dt
import time

from django.db import transaction
from django.utils import timezone

from dokreg import addresses
from dokreg.database import patiently
from dokreg.encryption import SecretUnreadable
from organisations import audit
from organisations.models import Organisation, User
from registries import alarms, credentials, kinds, references, standings, tokens, verdicts
from registries.credentials import Credentials, DockerLogin
from registries.kinds import Kind
from registries.kinds.methods import MintFailed
from registries.models import Draft, Registry, RegistryTest
from registries.pull_right import PullRefused, check_pull_right
from servers import docker, own_host, runs, ssh
from servers import verdicts as host_verdicts
from servers.docker import Host
from servers.ladder import Ladder, Rung, new_rung
from servers.models import Server
from servers.stages import TASK_SECONDS, Stage
from servers.testing import climb_all, climb_to_daemon
from servers.verdicts import Verdict

RESOLVE_SECONDS = 5
TIDY_WITHIN = dt.timedelta(days=1)
TIDY_AT_ONCE = 50
SECONDS_BETWEEN_SAVES = 2.0  # of a batch's tests, which nobody watches one by one


def ask_for_draft(
    *, organisation: Organisation, credentials: Credentials, server: Server | None, image: str, asked_by: User
) -> RegistryTest:
    """Queue a test of credentials that are not saved; they are wiped when it ends."""
    test = _queued(organisation, credentials, server=server, image=image, asked_by=asked_by)
    test.draft_password = credentials.password
    test.credentials_mark = credentials.mark
    return _send(test, about=organisation)


def ask(*, registry: Registry, server: Server | None, image: str = "", asked_by: User | None) -> RegistryTest:
    """Queue a test of a saved registry on a server, or on dokreg's own host for None."""
    return _send(planned(registry=registry, server=server, image=image, asked_by=asked_by), about=registry)


def planned(*, registry: Registry, server: Server | None, image: str = "", asked_by: User | None) -> RegistryTest:
    """The row of a test of a saved registry, before it is saved and sent."""
    test = _queued(registry.organisation, registry, server=server, image=image, asked_by=asked_by)
    test.registry = registry
    test.credentials_mark = registry.credentials_mark
    return test


def adopt_tests(*, registry: Registry, by: User) -> None:
    """Count the person's tests of exactly these credentials, made before saving, as the registry's."""
    mark = registry.credentials_mark
    tests = RegistryTest.objects.of(registry.organisation).filter(registry=None, asked_by=by, credentials_mark=mark)
    adopt(registry=registry, tests=list(tests.order_by("created_at")))


def adopt(*, registry: Registry, tests: list[RegistryTest]) -> None:
    """Count tests of exactly a registry's present credentials, oldest first, as tests of the registry."""
    mark = registry.credentials_mark
    ids = [test.pk for test in tests]
    RegistryTest.objects.filter(pk__in=ids).update(registry=registry, credentials_mark=mark)
    for test in tests:
        test.registry = registry
    standings.note_on_servers(tests)
    newest = RegistryTest.objects.filter(registry=registry, credentials_mark=mark).first()
    if newest is not None:
        Registry.objects.filter(pk=registry.pk).update(last_test=newest, tested_at=newest.created_at)


def run(test_id: str) -> RegistryTest | None:
    """Run a queued test, and answer it; leaves quietly with None if it is gone, or another worker has it."""
    test = runs.claim(RegistryTest, test_id)
    if test is None:
        return None
    server = runs.server_of(test.server_id)
    ladder = Ladder(steps(test), save=runs.saver(test, every=SECONDS_BETWEEN_SAVES if test.batch_id else 0))
    if server is None and test.server_name:
        ladder.failed(ladder.current, host_verdicts.server_gone(server=test.server_name))
    else:
        climb_all(ladder, server, lambda: _climb(test, ladder, server))
    if runs.finish(test, ladder.verdict, failed=ladder.has_failed, draft_password=None):
        patiently(lambda: alarms.tested(test, ladder.verdict))
    return test


def steps(test: RegistryTest) -> list[tuple[str, str]]:
    """The rungs of this test: a token only where one is minted, SSH only where there is a server, and so on."""
    token = [("token", "Token")] if test.method else []
    first = ("ssh", "SSH") if test.server_name else ("host", "dokreg's own host")
    last = [("pull", "Pull right")] if test.image else []
    return [*token, first, ("cli", "Docker CLI"), ("daemon", "Docker daemon"), ("login", "Login"), *last]


def rungs_of(test: RegistryTest) -> list[Rung]:
    """Its ladder, before anybody has stepped on it."""
    return [new_rung(name, label) for name, label in steps(test)]


def _queued(
    organisation: Organisation,
    what: Credentials | Registry,
    *,
    server: Server | None,
    image: str,
    asked_by: User | None,
) -> RegistryTest:
    return RegistryTest(
        organisation=organisation,
        server=server,
        server_name=server.name if server else "",
        image=image,
        kind=what.kind,
        url=what.url,
        username=what.username,
        image_prefix=what.image_prefix,
        method=what.method,
        account=what.account,
        asked_by=asked_by,
    )


def _send(test: RegistryTest, *, about: Registry | Organisation) -> RegistryTest:
    from registries.tasks import run_registry_test

    test.rungs = rungs_of(test)
    with transaction.atomic():
        test.save()
        standings.note([test])
        audit.record("asked for a test", about, actor=test.asked_by, registry=test.url, place=test.place)
        runs.send(run_registry_test, test)
    return test


def _climb(test: RegistryTest, ladder: Ladder, server: Server | None) -> None:
    end = time.monotonic() + TASK_SECONDS
    what = patiently(lambda: _credentials_of_test(test))
    ladder.hide(what.password)
    login = _docker_login(test, what, ladder)
    if login is None:
        return
    ladder.hide(login.password)
    host = docker.host_of(server, end=end)
    if server is None and (verdict := _refusal_of_own_host(login.registry)):
        ladder.failed(ladder.current, verdict)
        return
    with_trial = not kinds.get(what.kind).proves_password(login.registry)
    climber = LoginClimber(ladder, host, kinds.get(what.kind), login, with_trial=with_trial)
    docker.login(
        host,
        run_id=test.pk,
        registry=login.registry,
        username=login.username,
        password=login.password,
        with_trial=with_trial,
        on_stage=climber.climb,
    )
    if test.image and not ladder.has_failed:
        _check_pull(test.image, ladder, host, what, login)


def _credentials_of_test(test: RegistryTest) -> Credentials:
    if test.rotation is not None:
        return credentials.staged(test.rotation)
    if test.registry is not None:
        what = credentials.stored(test.registry)
        # It may have been changed since the test was asked for: the row says what is really tested.
        test.credentials_mark = what.mark
        RegistryTest.objects.filter(pk=test.pk).update(
            kind=what.kind,
            url=what.url,
            username=what.username,
            image_prefix=what.image_prefix,
            method=what.method,
            account=what.account,
            credentials_mark=what.mark,
        )
        return what
    if test.draft_password is None:
        raise SecretUnreadable("The draft's secret is gone.")
    return Credentials(
        kind=test.kind,
        url=test.url,
        username=test.username,
        password=test.draft_password.reveal(),
        image_prefix=test.image_prefix,
        method=test.method,
        account=test.account,
    )


def _docker_login(test: RegistryTest, what: Credentials, ladder: Ladder) -> DockerLogin | None:
    """What Docker is given; None if no token could be had, which the ladder then says."""
    if not what.method:
        return what.as_it_is
    try:
        login, ends_at = _minted(test, what)
    except (MintFailed, tokens.TokenMissing) as error:
        ladder.failed("token", error.verdict, words=error.words)
        return None
    ladder.hide(login.password)
    ladder.passed("token", fact=f"works until {ends_at:%-d %b %Y, %H:%M} UTC", goes_on=True)
    return login


def _minted(test: RegistryTest, what: Credentials) -> tuple[DockerLogin, dt.datetime]:
    """A saved registry has its token; one that is being changed, the token staged with it; a draft gets one."""
    if test.rotation is not None:
        staged = test.rotation
        if staged.token is None or staged.token_expires_at is None:
            raise SecretUnreadable("The staged token is gone.")
        return DockerLogin(what.url, what.username, staged.token.reveal()), staged.token_expires_at
    if test.registry is not None:
        # A batch does not ask a cloud again and again that has just refused.
        login = tokens.docker_login(test.registry, insist=test.batch_id is None)
        return login, test.registry.token_expires_at or timezone.now()
    minted = what.mint()
    return DockerLogin(what.url, minted.username, minted.secret), minted.expires_at


def _refusal_of_own_host(registry: str) -> Verdict | None:
    """Why dokreg's own host does not talk to this registry, or None."""
    host, _colon, port = registry.rpartition(":") if registry.count(":") == 1 else (registry, "", "")
    try:
        own_host.checked_endpoints(host.strip("[]"), int(port or 443), deadline=RESOLVE_SECONDS)
    except ssh.Refused as refused:
        return refused.verdict
    except addresses.NameNotFound:
        return None  # the daemon may know the name, or reach it through a proxy; Docker's own words are better
    return None


class LoginClimber:
    """Turns the stages of the login script into rungs."""

    def __init__(self, ladder: Ladder, host: Host, kind: Kind, login: DockerLogin, *, with_trial: bool) -> None:
        self.ladder, self.host, self.kind, self.docker_login = ladder, host, kind, login
        self.with_trial = with_trial
        self.login_milliseconds = 0

    def climb(self, stage: Stage) -> None:
        if self.ladder.has_failed:
            return
        climb_to_daemon(self.ladder, stage, server=self.host.label, user=self.host.user)
        if stage.name == "login":
            self._login(stage)
        elif stage.name == "trial":
            self._trial(stage)

    def _login(self, stage: Stage) -> None:
        self.login_milliseconds = stage.milliseconds
        if stage.status != 0:
            words = verdicts.clean_output(self.ladder.scrubbed(stage.output))
            verdict = verdicts.of_login(
                words,
                status=stage.status,
                kind=self.kind,
                host=self.docker_login.registry,
                server=self.host.label,
                user=self.host.user,
            )
            self.ladder.failed("login", verdict, words=words, milliseconds=stage.milliseconds)
        elif not self.with_trial:
            self._passed()

    def _trial(self, stage: Stage) -> None:
        if stage.status == 0:
            verdict = verdicts.accepts_any_password(host=self.docker_login.registry)
            self.ladder.warned("login", verdict, milliseconds=self.login_milliseconds)
        else:
            self._passed()

    def _passed(self) -> None:
        fact = f"as {self.docker_login.username}" if self.docker_login.username else "with the secret as the username"
        self.ladder.passed("login", fact=fact, milliseconds=self.login_milliseconds)


def _check_pull(image: str, ladder: Ladder, host: Host, what: Credentials, login: DockerLogin) -> None:
    ladder.start("pull")
    reference = references.compose(host=what.url, image_prefix=what.image_prefix, image=image)
    try:
        digest = check_pull_right(
            host,
            reference=reference,
            registry=login.registry,
            username=login.username,
            password=login.password,
        )
    except PullRefused as refused:
        words = ladder.scrubbed(refused.words)
        verdict = verdicts.of_pull(
            words,
            kind=kinds.get(what.kind),
            host=what.url,
            reference=str(reference),
            server=host.label,
            user=host.user,
        )
        ladder.failed("pull", verdict, words=words)
    else:
        ladder.passed("pull", fact=f"{reference} is {digest}")


def cut_off() -> list[str]:
    """Lost tests whose server has not been tidied yet; given up a day after they were lost."""
    recent = RegistryTest.objects.filter(to_tidy=True, finished_at__gt=timezone.now() - TIDY_WITHIN)
    return list(recent.values_list("pk", flat=True)[:TIDY_AT_ONCE])


def tidy_after(test_id: str) -> None:
    """Remove what a lost test may have left on its host. A host that is away is tried again by the next sweep."""
    test = RegistryTest.objects.select_related("server__ssh_key").filter(pk=test_id, to_tidy=True).first()
    if test is None:
        return
    if test.server is not None or not test.server_name:  # else the server was deleted, and is not ours any more
        try:
            docker.tidy(docker.host_of(test.server), run_id=test.pk)
        except ssh.Unreachable:
            return
        except (ssh.SSHProblem, SecretUnreadable):
            pass  # no change of ours will let us in again
    RegistryTest.objects.filter(pk=test.pk).update(to_tidy=False)


def end_drafts() -> int:
    """Delete what was pasted or typed and never saved; answers how many."""
    return Draft.objects.filter(expires_at__lt=timezone.now()).delete()[0]
