"""A large database in a minute: `dokreg.run_module("tests.bench.many", {"registries": 10_000, …})`.

Fills the organisation `acme` (and makes it, with its owner Alice, where there is none) and smaller ones beside it with
rows as they stand after some months: all of them over, and nothing due within the hour, so that no worker touches them.
What is not named is as in `Amounts`, and what stands there already stays. Prints the ids of some rows, as JSON.
"""

import datetime as dt
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

import django

django.setup()

from django.contrib.contenttypes.models import ContentType  # noqa: E402 - Django must be set up first
from django.db import connection, models, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from applications.models import Application, Deployment, Project  # noqa: E402
from organisations.models import AuditEntry, Membership, Organisation, Role, User  # noqa: E402
from organisations.notification_models import Delivery, Notice, NotificationChannel  # noqa: E402
from registries.models import Login, Registry, RegistryTest, Standing, TokenRefresh  # noqa: E402
from registries.testing import rungs_of  # noqa: E402
from servers import keys  # noqa: E402
from servers.ladder import Rung, new_rung  # noqa: E402
from servers.models import Run, Server, ServerTest, SSHKey  # noqa: E402
from servers.testing import STEPS  # noqa: E402

AT_ONCE = 500
ECR_HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
REFUSED = {
    "cause": "The registry refused this username and password.",
    "fix": "Check both, and whether the token has ended.",
    "words": "Error response from daemon: unauthorized: incorrect username or password",
}
AnyModel = TypeVar("AnyModel", bound=models.Model)


@dataclass(frozen=True)
class Amounts:
    """How many rows of each `acme` gets; each neighbour gets so many per mille of them, and one at least."""

    registries: int = 10_000
    servers: int = 1_000
    tests: int = 100_000
    audit: int = 100_000
    refreshes: int = 20_000
    logins: int = 5_000
    applications: int = 1_000
    deployments: int = 20_000
    notices: int = 10_000
    days: int = 60
    neighbours: int = 20  # small organisations, `beside-0` and so on
    neighbour_per_mille: int = 2
    # Two more of Alice's: in `fleet` 50 registries are tested on 200 servers, `thousand` has 1,000 registries.
    fleet: bool = False

    @property
    def of_neighbour(self) -> "Amounts":
        small = {
            name: max(1, number * self.neighbour_per_mille // 1000)
            for name, number in vars(self).items()
            if name not in {"days", "neighbours", "neighbour_per_mille", "fleet"}
        }
        return replace(self, **small)

    @property
    def of_fleet(self) -> "Amounts":
        return replace(self.of_neighbour, registries=50, servers=200, tests=10_000)

    @property
    def of_thousand(self) -> "Amounts":
        return replace(self.of_neighbour, registries=1_000, servers=10, tests=1_000)


def fill(amounts: Amounts) -> Organisation:
    """The organisation with the large number of rows; the database knows afterwards how many there are."""
    large = Organisation.objects.filter(slug="acme").first() or _organisation("acme", "alice")
    for number in range(amounts.neighbours):
        _Filler(_organisation(f"beside-{number}", f"owner-{number}"), amounts.of_neighbour).fill()
    if amounts.fleet:
        _Filler(_organisation("fleet", "alice"), amounts.of_fleet).fill()
        _Filler(_organisation("thousand", "alice"), amounts.of_thousand).fill()
    _Filler(large, amounts).fill()
    with connection.cursor() as cursor:
        # Whether VACUUM has run decides on index-only scans; in production autovacuum does it.
        may_vacuum = connection.vendor == "postgresql" and not connection.in_atomic_block
        cursor.execute("VACUUM ANALYZE" if may_vacuum else "ANALYZE")
    return large


def _organisation(slug: str, owner: str) -> Organisation:
    organisation = Organisation.objects.create(name=slug.title(), slug=slug)
    user = User.objects.filter(username=owner).first() or User.objects.create_user(owner)
    Membership.objects.create(organisation=organisation, user=user, role=Role.OWNER)
    return organisation


class _Filler:
    """Makes the rows of one organisation. Whatever has an end began before now, spread over the days evenly."""

    def __init__(self, organisation: Organisation, amounts: Amounts) -> None:
        self.organisation, self.amounts = organisation, amounts
        self.now = timezone.now()
        self.owner = organisation.members.get()
        self.servers: list[Server] = []
        self.registries: list[Registry] = []

    def fill(self) -> None:
        self._add_servers()
        self._add_registries()
        _save(Login, (self._login(number) for number in range(self.amounts.logins)))
        self._add_applications()
        self._add_notices()
        self._add_audit()

    def _at(self, number: int, of: int) -> dt.datetime:
        """When the row of this number was made, of so many: the last one a minute ago."""
        return self.now - dt.timedelta(minutes=1, seconds=(of - 1 - number) * self.amounts.days * 86_400 / of)

    def _over(self, number: int, of: int) -> dict[str, Any]:
        """The columns of a run that is over."""
        at = self._at(number, of)
        return {
            "organisation": self.organisation, "asked_by": self.owner, "created_at": at, "sent_at": at,
            "started_at": at, "finished_at": at + dt.timedelta(seconds=1), "revision": 7, "worker": "host 1",
        }  # fmt: skip

    def _add_servers(self) -> None:
        pair = keys.generate()
        key = SSHKey(organisation=self.organisation, name="many", public_key=pair.public)
        key.private_key = pair.private
        key.save()
        for number in range(self.amounts.servers):
            host = f"10.{number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"
            server = Server(organisation=self.organisation, name=f"server {number:05}", host=host, ssh_key=key)
            server.host_key = pair.public
            self.servers.append(server)
        tests = [self._server_test(number, server) for number, server in enumerate(self.servers)]
        with transaction.atomic():  # the last tests refer to each other's rows
            _save(Server, self.servers)
            _save(ServerTest, tests)

    def _server_test(self, number: int, server: Server) -> ServerTest:
        rungs = _passed(new_rung(name, label) for name, label in STEPS)
        over = self._over(number, self.amounts.servers)
        server.last_test = ServerTest(server=server, state=Run.State.PASSED, rungs=rungs, **over)
        return server.last_test

    def _add_registries(self) -> None:
        """Each with its share of the tests, on other servers, and of the refreshes if its tokens are minted."""
        self.registries = [self._registry(number) for number in range(self.amounts.registries)]
        minting = [registry for registry in self.registries if registry.method]
        for numbers in _batches(range(self.amounts.registries)):
            of_batch = [self.registries[number] for number in numbers]
            tests = [test for number in numbers for test in self._tests(number)]
            with transaction.atomic():  # the last tests refer to each other's rows
                _save(Registry, of_batch)
                _save(RegistryTest, tests)
                _save(Standing, _standings(tests))
        refreshes = self.amounts.refreshes if minting else 0
        _save(TokenRefresh, (self._refresh(number, minting) for number in range(refreshes)))

    def _registry(self, number: int) -> Registry:
        """Every fifth mints its tokens at AWS."""
        own: dict[str, Any] = {"kind": ["generic", "docker_hub", "gitlab", "ghcr"][number % 4], "url": "docker.io"}
        own |= {"url": f"r{number}.example.com"} if own["kind"] in {"generic", "gitlab"} else {}
        if number % 5 == 1:
            own = {
                "kind": "ecr", "url": ECR_HOST, "method": "access_key", "token": "t" * 1_500,
                "account": {"access_key_id": f"AKIA{number:016}", "role_arn": "", "external_id": ""},
                "token_issued_at": self.now, "token_expires_at": self.now + dt.timedelta(hours=12),
                "refresh_due_at": self.now + dt.timedelta(hours=2, seconds=number % 25_000),
            }  # fmt: skip
        return Registry(
            organisation=self.organisation, name=f"registry {number:06}", password="a-password-of-20-byt",
            username="AWS" if "method" in own else "robot", image_prefix=f"team-{number % 50}",
            credentials_mark=f"{number:064}", login_mark=f"{number:064}",
            created_at=self._at(number, self.amounts.registries), **own,
        )  # fmt: skip

    def _tests(self, number: int) -> Iterator[RegistryTest]:
        """Of one registry, on other servers in turn."""
        registry, step = self.registries[number], len(self.registries)
        for index in range(number, self.amounts.tests, step):
            server = self.servers[(number * 7 + index // step) % len(self.servers)]
            test = RegistryTest(
                registry=registry, server=server, server_name=server.name, kind=registry.kind, url=registry.url,
                username=registry.username, image_prefix=registry.image_prefix, method=registry.method,
                credentials_mark=registry.credentials_mark, **self._over(index, self.amounts.tests),
            )  # fmt: skip
            test.rungs = _passed(rungs_of(test))
            test.state = Run.State.PASSED
            if index % 20 == 0:
                test.state, test.verdict = Run.State.FAILED, "credentials_refused"
                test.rungs[-1] |= {"state": "failed"} | REFUSED
            registry.last_test, registry.tested_at = test, test.created_at
            yield test

    def _refresh(self, number: int, minting: list[Registry]) -> TokenRefresh:
        over = self._over(number, self.amounts.refreshes)
        ends = {"issued_at": over["started_at"], "expires_at": over["started_at"] + dt.timedelta(hours=12)}
        rungs = _passed([new_rung("token", "Token")])
        registry = minting[number % len(minting)]
        return TokenRefresh(registry=registry, state=Run.State.PASSED, rungs=rungs, **ends, **over)

    def _login(self, number: int) -> Login:
        registry = self.registries[number % len(self.registries)]
        server = self.servers[(number + number // len(self.registries)) % len(self.servers)]
        return Login(
            organisation=self.organisation, registry=registry, registry_name=registry.name, server=server,
            url=registry.url, username=registry.username, mark=registry.login_mark, state=Login.State.HELD,
            logged_in_at=self.now,
        )  # fmt: skip

    def _add_applications(self) -> None:
        projects = [
            Project(organisation=self.organisation, name=f"project {number:04}")
            for number in range(self.amounts.applications // 20 + 1)
        ]
        applications = [
            Application(
                organisation=self.organisation, project=projects[number // 20], name=f"application {number:05}",
                server=self.servers[number % len(self.servers)], container_name=f"service-{number}",
                registry=self.registries[number % len(self.registries)], image=f"team/service-{number}:1.4.2",
            )
            for number in range(self.amounts.applications)
        ]  # fmt: skip
        deployments = [self._deployment(number, applications) for number in range(self.amounts.deployments)]
        with transaction.atomic():  # the last deployments refer to each other's rows
            _save(Project, projects)
            _save(Application, applications)
            _save(Deployment, deployments)

    def _deployment(self, number: int, applications: list[Application]) -> Deployment:
        application = applications[number % len(applications)]
        deployment = Deployment(
            application=application, state=Deployment.State.SUCCEEDED, server=application.server,
            server_name=application.server.name, container_name=application.container_name,
            reference=f"docker.io/{application.image}", digest=f"sha256:{number:064}", container_id=f"{number:064}",
            rungs=_passed(new_rung(name, name.title()) for name in ("login", "pull", "start", "health")),
            log="Pulled, started, healthy.\n" * 10, **self._over(number, self.amounts.deployments),
        )  # fmt: skip
        application.last_deployment = application.serving = deployment
        return deployment

    def _add_notices(self) -> None:
        channel = NotificationChannel(
            organisation=self.organisation, name="mail", how=NotificationChannel.How.EMAIL,
            recipients=["ops@example.com"], shown_as="E-mail",
        )  # fmt: skip
        channel.save()
        of = self.amounts.notices
        notices = [
            Notice(
                organisation=self.organisation, level=Notice.Level.SUCCESS, title=f"registry {number:06} works again.",
                path="/acme/settings/registries/", created_at=self._at(number, of),
            )
            for number in range(of)
        ]  # fmt: skip
        _save(Notice, notices)
        sent = (
            Delivery(
                notice=notice, channel=channel, state=Delivery.State.SENT, attempts=1, created_at=notice.created_at,
                due_at=notice.created_at, handed_over_at=notice.created_at, sent_at=notice.created_at,
            )
            for notice in notices
        )  # fmt: skip
        _save(Delivery, sent)

    def _add_audit(self) -> None:
        of, kind = self.amounts.audit, ContentType.objects.get_for_model(Registry)
        _save(AuditEntry, (self._entry(number, of, kind) for number in range(of)))

    def _entry(self, number: int, of: int, kind: ContentType) -> AuditEntry:
        """Two of three are tests, the third is a changed description."""
        registry = self.registries[number % len(self.registries)]
        own: dict[str, Any] = {"action": AuditEntry.Action.ACCESS, "event": "asked for a test"}
        if number % 3 == 0:
            changes = {"image_prefix": [f"team-{number}", registry.image_prefix]}
            own = {"action": AuditEntry.Action.UPDATE, "changes": changes}
        return AuditEntry(
            organisation=self.organisation, content_type=kind, object_pk=registry.pk, object_repr=registry.name,
            actor=self.owner, remote_addr="192.0.2.7", timestamp=self._at(number, of),
            additional_data={"organisation": self.organisation.pk}, **own,
        )  # fmt: skip


def _standings(tests: Iterable[RegistryTest]) -> list[Standing]:
    """The last test of each pair."""
    last = {(test.registry_id, test.server_id): test for test in tests}
    return [
        Standing(organisation=test.organisation, registry=test.registry, server=test.server, last_test=test)
        for test in last.values()
    ]


def _passed(rungs: Iterable[Rung]) -> list[Rung]:
    return [rung | {"state": "passed", "milliseconds": 40} for rung in rungs]


def _save(model: type[AnyModel], rows: Iterable[AnyModel]) -> None:
    for batch in _batches(rows):
        model._default_manager.bulk_create(batch)


def _batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(rows)
    while batch := list(islice(rest, AT_ONCE)):
        yield batch


if __name__ == "__main__":
    large = fill(replace(Amounts(), **json.load(sys.stdin)))
    some = {
        "registry": Registry.objects.of(large).order_by("name")[0].pk,
        "server": Server.objects.of(large).order_by("name")[0].pk,
    }
    sys.stdout.write(json.dumps(some))
