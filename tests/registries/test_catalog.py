"""Looks at what registries have, as workers answer them, and the quotas that they tell."""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from dokreg.retention import prune
from organisations.models import AuditEntry, Organisation, User
from registries import catalog, quotas, retention
from registries.models import CatalogLook, Quota, Registry
from registries.references import parse
from registries.registry_api import NotAnswered, RateLimit
from servers import ssh
from servers.docker import OWN_HOST, OwnHost
from servers.models import Server
from tests.lab import sshd
from tests.lab.aws import Aws
from tests.lab.docker_hub import DIGEST, DockerHub, tag
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, NewServer
from tests.lab.impostors import HttpImpostor, Request, problem
from tests.lab.registry import BasicRegistry, BearerRegistry, TlsRegistry
from tests.registries.conftest import Trusting
from tests.registries.held import registry_of
from tests.registries.rows import lab_server, make_registry
from tests.registries.worker import Worker

pytestmark = pytest.mark.django_db
FORBIDDING = ["AllowTcpForwarding no"]

Look = Callable[..., CatalogLook]


@pytest.fixture(autouse=True)
def _loopback(settings: Settings) -> Iterator[None]:
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield
    ssh.close_all()


@pytest.fixture
def look(organisation: Organisation, alice: User, worker: Worker) -> Look:
    """Ask for a look, have a worker answer it, and read it."""

    def ask_and_answer(registry: Registry | None, **wanted: Any) -> CatalogLook:
        wanted = {"organisation": organisation, "server": None, "asked_by": alice} | wanted
        asked: CatalogLook = worker(catalog.ask, registry=registry, **wanted)
        asked.refresh_from_db()
        return asked

    return ask_and_answer


@pytest.fixture(scope="module")
def pushed(engine_one: Engine, lab_registry: BasicRegistry, bearer_registry: BearerRegistry) -> None:
    for registry in (lab_registry, bearer_registry):
        reference = f"{registry.host}/acme/looked-at:1.0"
        engine_one.import_image(reference)
        engine_one.push(reference, ALICE)
        engine_one.remove_image(reference)


@pytest.fixture
def server(organisation: Organisation, server_one: sshd.Server) -> Server:
    return lab_server(organisation, server_one, name="web-1")


@pytest.fixture
def strict(organisation: Organisation, new_server: NewServer) -> Server:
    """A server that connects nobody."""
    return lab_server(organisation, new_server(options=FORBIDDING), name="strict")


def test_the_tags_of_a_repository(look: Look, images: Registry, server: Server, pushed: None) -> None:
    found = look(images, server=server, repository="acme/looked-at")
    assert (found.state, found.verdict) == ("passed", "")
    assert found.answer["place"] == "web-1"
    assert (found.answer["total"], found.answer["problem"], found.answer["note"]) == (1, "", "")
    (described,) = found.answer["tags"]
    assert described["name"] == "1.0"
    assert described["digest"].startswith("sha256:")
    assert described["size"] > 0
    assert dt.datetime.fromisoformat(described["created"]) < timezone.now()
    assert described["platforms"] == ["linux/amd64"]


def test_the_repositories_below_the_image_prefix(look: Look, images: Registry, server: Server, pushed: None) -> None:
    Registry.objects.filter(pk=images.pk).update(image_prefix="acme")
    found = look(images, server=server)
    assert "acme/looked-at" in found.answer["repositories"]
    Registry.objects.filter(pk=images.pk).update(image_prefix="elsewhere")
    assert look(images, server=server).answer["repositories"] == []


def test_dokregs_own_host_looks_where_there_is_no_server(look: Look, bearer: Registry, pushed: None) -> None:
    found = look(bearer, repository="acme/looked-at")
    assert (found.state, found.answer["place"]) == ("passed", OWN_HOST)


def test_dokregs_own_host_does_not_look_where_it_may_not(look: Look, bearer: Registry, settings: Settings) -> None:
    settings.DOKREG_LOCAL_DOCKER = False
    assert look(bearer, repository="acme/looked-at").verdict == "own_host_not_used"


def test_a_look_without_an_account(look: Look, server: Server, lab_registry: BasicRegistry) -> None:
    found = look(None, host=lab_registry.host, server=server, repository="acme/looked-at")
    assert (found.state, found.verdict, found.answer) == ("failed", "anonymous_refused", {})


def test_a_minted_token_is_used(ecr: Registry, aws: Aws) -> None:
    login = catalog.access_to(registry=ecr, url=ecr.url, host=OwnHost()).login
    assert login is not None
    assert (login.username, [login.password]) == ("AWS", aws.all_tokens())


def test_without_a_token_there_is_the_reason_why(look: Look, ecr: Registry, aws: Aws) -> None:
    Registry.objects.filter(pk=ecr.pk).update(token=None, token_expires_at=None)
    ecr.refresh_from_db()
    with aws.having(answers_500=True):
        found = look(ecr, repository="acme/none")
    assert (found.state, found.verdict) == ("failed", "mint_cloud_failed")


def test_a_failure_has_cause_and_fix_and_no_secret(organisation: Organisation, alice: User, look: Look) -> None:
    secret = "pa55word-to-be-hidden"

    def echo(request: Request) -> Any:
        return problem(403, "DENIED", f"{secret} is not allowed here")

    with HttpImpostor(echo) as impostor:
        registry = make_registry(organisation, alice, url=impostor.host, password=secret)
        found = look(registry, repository="acme/web")
    (rung,) = found.rungs
    assert (found.state, rung["state"], found.verdict) == ("failed", "failed", "denied")
    assert rung["cause"]
    assert rung["fix"]
    assert "not allowed here" in rung["words"]
    assert secret not in str(found.rungs)


# A server that connects nobody


def test_dokregs_own_host_stands_in_and_says_so(
    look: Look, organisation: Organisation, alice: User, strict: Server, tls_registry: TlsRegistry, trusting: Trusting
) -> None:
    trusting(tls_registry.authority)
    registry = registry_of(organisation, alice, tls_registry.host)
    found = look(registry, server=strict)
    assert (found.state, found.answer["place"]) == ("passed", OWN_HOST)
    assert "strict" in found.answer["note"]
    assert OWN_HOST in f"{found.answer['note']} {found.answer['place']}"


def test_it_does_not_if_it_may_not(
    look: Look, organisation: Organisation, alice: User, strict: Server, tls_registry: TlsRegistry, settings: Settings
) -> None:
    settings.DOKREG_LOCAL_DOCKER = False
    found = look(registry_of(organisation, alice, tls_registry.host), server=strict)
    assert (found.state, found.verdict) == ("failed", "forwarding_forbidden")


def test_it_does_not_for_what_is_on_the_servers_own_loopback(look: Look, images: Registry, strict: Server) -> None:
    """Another machine's loopback is another place, and must not be given the password."""
    found = look(images, server=strict, repository="acme/looked-at")
    assert (found.state, found.verdict) == ("failed", "forwarding_forbidden")


# The life of a look


def test_an_impatient_second_click_starts_nothing(organisation: Organisation, images: Registry, alice: User) -> None:
    wanted: dict[str, Any] = {"organisation": organisation, "registry": images, "server": None, "asked_by": alice}
    first = catalog.ask(**wanted)
    assert catalog.ask(**wanted) == first
    assert catalog.ask(**wanted, repository="acme/web") != first
    CatalogLook.objects.filter(pk=first.pk).update(state="passed")
    assert catalog.ask(**wanted) != first


def test_another_persons_look_is_another(organisation: Organisation, images: Registry, alice: User, bob: User) -> None:
    looks = {
        catalog.ask(organisation=organisation, registry=images, server=None, asked_by=person).pk
        for person in (alice, bob)
    }
    assert len(looks) == 2


def test_a_look_is_no_entry_in_the_audit_trail(look: Look, bearer: Registry) -> None:
    before = AuditEntry.objects.count()
    look(bearer, repository="acme/looked-at")
    assert AuditEntry.objects.count() == before


def test_a_server_that_was_deleted_meanwhile(
    organisation: Organisation, images: Registry, alice: User, server: Server, worker: Worker
) -> None:
    asked = worker.commit(
        catalog.ask, organisation=organisation, registry=images, server=server, repository="x", asked_by=alice
    )
    server.delete()
    worker.work()
    asked.refresh_from_db()
    assert (asked.state, asked.verdict) == ("failed", "server_gone")


def test_a_look_whose_registry_is_gone_is_gone(
    organisation: Organisation, images: Registry, alice: User, worker: Worker
) -> None:
    worker.commit(catalog.ask, organisation=organisation, registry=images, server=None, asked_by=alice)
    images.delete()
    worker.work()
    assert not CatalogLook.objects.exists()


def test_looks_are_forgotten_after_an_hour(look: Look, bearer: Registry, worker: Worker) -> None:
    old, young, waiting = look(bearer), look(bearer), look(bearer)
    long_ago = timezone.now() - retention.LOOKS_KEPT - dt.timedelta(seconds=1)
    CatalogLook.objects.filter(pk__in=[old.pk, waiting.pk]).update(created_at=long_ago)
    CatalogLook.objects.filter(pk=waiting.pk).update(state="running", worker="", lease_until=timezone.now())
    prune()
    assert set(CatalogLook.objects.all()) == {young, waiting}


def test_a_look_whose_worker_died_is_lost(look: Look, bearer: Registry, worker: Worker) -> None:
    left = look(bearer)
    before = timezone.now() - dt.timedelta(minutes=5)
    CatalogLook.objects.filter(pk=left.pk).update(state="running", worker="elsewhere:1", lease_until=before)
    worker()
    left.refresh_from_db()
    assert (left.state, left.verdict) == ("lost", "worker_lost")


def test_an_answer_is_bounded(look: Look, organisation: Organisation, alice: User, settings: Settings) -> None:
    with DockerHub() as hub:
        settings.DOKREG_DOCKER_HUB_URL = hub.url
        hub.add("acme", "web", *(tag(f"1.{number}", "2026-01-01T00:00:00Z") for number in range(300)))
        for number in range(300):
            hub.add("many", f"app-{number}")
        hub.secrets["robot"] = "s3cret"
        registry = make_registry(organisation, alice, kind="docker_hub", url="docker.io", image_prefix="many")
        tags, repositories = look(registry, repository="acme/web"), look(registry)
    assert (len(tags.answer["tags"]), tags.answer["total"]) == (50, 300)
    assert (len(repositories.answer["repositories"]), repositories.answer["is_complete"]) == (200, False)


# Quotas

SIX_HOURS = 6 * 3600


def note(organisation: Organisation, remaining: int, registry: Registry | None, server: Server | None) -> None:
    limit = RateLimit(limit=100, remaining=remaining, window_seconds=SIX_HOURS, source="192.0.2.7")
    quotas.note(organisation=organisation, host="docker.io", registry=registry, server=server, rate_limit=limit)


def test_what_was_said_last_stands_for_each_account_and_place(
    organisation: Organisation, images: Registry, server: Server
) -> None:
    pairs: list[tuple[Registry | None, Server | None]] = [
        (images, server), (images, None), (None, server), (None, None),
    ]  # fmt: skip
    for remaining in (90, 80):
        for number, (registry, place) in enumerate(pairs):
            note(organisation, remaining + number, registry, place)
    rows = {(quota.registry, quota.server): quota.remaining for quota in Quota.objects.all()}
    assert rows == {pair: 80 + number for number, pair in enumerate(pairs)}


def test_those_of_a_registry_the_newest_first(organisation: Organisation, images: Registry, server: Server) -> None:
    note(organisation, 90, images, server)
    note(organisation, 70, images, None)
    note(organisation, 50, None, server)
    assert [(quota.remaining, quota.place) for quota in quotas.of_registry(images)] == [(70, OWN_HOST), (90, "web-1")]
    note(organisation, 60, images, server)
    assert [quota.remaining for quota in quotas.of_registry(images)] == [60, 70]


def test_a_registry_that_says_nothing_changes_nothing(organisation: Organisation, images: Registry) -> None:
    note(organisation, 90, images, None)
    quotas.note(organisation=organisation, host="docker.io", registry=images, server=None, rate_limit=None)
    assert quotas.of_registry(images).get().remaining == 90


def test_a_manifest_that_is_found_tells_the_quota(organisation: Organisation, alice: User, server: Server) -> None:
    with DockerHub() as hub:
        host = hub.url.removeprefix("http://")
        hub.secrets["robot"] = "s3cret"
        registry = make_registry(organisation, alice, url=host)
        wanted: dict[str, Any] = {"organisation": organisation, "reference": parse(f"{host}/acme/web:1")}
        hub.pulls = 1
        for at in (server, None):
            assert catalog.find_manifest(**wanted, registry=registry, server=at).digest == DIGEST
        hub.pulls = 2
        catalog.find_manifest(**wanted, registry=None, server=server)
        assert hub.pulls == 2
    seen = [(quota.place, quota.remaining, quota.limit, quota.window_seconds) for quota in quotas.of_registry(registry)]
    assert seen == [(OWN_HOST, 99, 100, SIX_HOURS), ("web-1", 99, 100, SIX_HOURS)]
    assert Quota.objects.get(registry=None).remaining == 98


def test_a_quota_seen_by_who_stood_in_is_not_the_servers(
    organisation: Organisation, alice: User, strict: Server, tls_registry: TlsRegistry, trusting: Trusting
) -> None:
    trusting(tls_registry.authority)
    registry = registry_of(organisation, alice, tls_registry.host)
    with pytest.raises(NotAnswered) as refused:
        catalog.find_manifest(
            organisation=organisation,
            registry=registry,
            server=strict,
            reference=parse(f"{tls_registry.host}/acme/none:1"),
        )
    assert refused.value.verdict.code == "tag_not_found"
    assert not Quota.objects.exists()


def test_a_manifest_is_not_asked_for_where_that_may_not_be(
    organisation: Organisation, images: Registry, strict: Server
) -> None:
    reference = parse(f"{images.url}/acme/looked-at:1.0")
    with pytest.raises(ssh.ForwardingForbidden):
        catalog.find_manifest(organisation=organisation, registry=images, server=strict, reference=reference)
