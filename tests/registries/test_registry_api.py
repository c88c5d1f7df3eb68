"""Asking real registries what they have, from a real server and from dokreg's own host."""

import datetime as dt
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from registries import registry_api
from registries.references import parse
from registries.versions import newest_versions
from servers.docker import Host
from tests.lab import sshd
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, BOB, NewFolder
from tests.lab.ports import address_off_loopback, free_port
from tests.lab.registry import Account, BasicRegistry, BearerRegistry, Registry, TlsRegistry
from tests.registries.asking import Counting, access, anybody, refusal, remote
from tests.registries.conftest import Trusting

CATALOGUE = frozenset({"*"})
pytestmark = pytest.mark.usefixtures("asking_from_loopback")


# Real registries


@pytest.fixture(scope="module")
def filled(
    engine_one: Engine, lab_registry: BasicRegistry, bearer_registry: BearerRegistry, open_registry: Registry
) -> None:
    """Each registry has acme/web:1 and then acme/web:2, of one content."""
    for registry, account in ((lab_registry, ALICE), (bearer_registry, ALICE), (open_registry, None)):
        for number in ("1", "2"):
            reference = f"{registry.host}/acme/web:{number}"
            engine_one.import_image(reference, marker=number)
            engine_one.push(reference, account)
            engine_one.remove_image(reference)


@pytest.fixture(params=["basic", "bearer", "open"])
def registry(
    request: pytest.FixtureRequest,
    filled: None,
    lab_registry: BasicRegistry,
    bearer_registry: BearerRegistry,
    open_registry: Registry,
) -> Registry:
    return {"basic": lab_registry, "bearer": bearer_registry, "open": open_registry}[request.param]


def test_tags_are_described_the_newest_first(host: Host, registry: Registry) -> None:
    tags = registry_api.describe_tags(access=access(registry.host, host=host), repository="acme/web")
    assert [tag.name for tag in tags.tags] == ["2", "1"]
    assert (tags.total, tags.is_total_exact, tags.problem) == (2, True, None)
    two, one = tags.tags
    assert two.created is not None
    assert one.created is not None
    assert dt.timedelta() < two.created - one.created < dt.timedelta(minutes=5)
    assert abs(dt.datetime.now(dt.UTC) - two.created) < dt.timedelta(hours=1)
    assert two.size is not None
    assert 100_000 < two.size < 10_000_000
    assert two.platforms == ("linux/amd64",)
    assert two.digest != one.digest


def test_a_head_says_what_the_tag_stands_for(host: Host, registry: Registry) -> None:
    at = access(registry.host, host=host)
    manifest = registry_api.head_manifest(access=at, reference=parse(f"{registry.host}/acme/web:2"))
    tags = registry_api.describe_tags(access=at, repository="acme/web").tags
    assert manifest.digest == next(tag.digest for tag in tags if tag.name == "2")
    assert manifest.rate_limit is None
    by_digest = parse(f"{registry.host}/acme/web@{manifest.digest}")
    assert registry_api.head_manifest(access=at, reference=by_digest).digest == manifest.digest


def test_names_of_tags(host: Host, registry: Registry) -> None:
    names = registry_api.list_tags(access=access(registry.host, host=host), repository="acme/web")
    assert sorted(names.names) == ["1", "2"]
    assert names.is_complete


@pytest.mark.parametrize("namespace", ["", "acme", "acme/"])
def test_repositories_are_listed(host: Host, lab_registry: BasicRegistry, filled: None, namespace: str) -> None:
    found = registry_api.list_repositories(access=access(lab_registry.host, host=host), namespace=namespace)
    assert "acme/web" in found.paths
    assert found.is_complete


def test_only_what_is_in_the_namespace_is_listed(lab_registry: BasicRegistry, filled: None) -> None:
    assert registry_api.list_repositories(access=access(lab_registry.host), namespace="acm").paths == ()


def test_a_token_that_may_list_lists(bearer_registry: BearerRegistry, filled: None) -> None:
    with bearer_registry.tokens.limited(ALICE.username, {"catalog": CATALOGUE}):
        assert "acme/web" in registry_api.list_repositories(access=access(bearer_registry.host)).paths


def test_an_account_that_may_not_list_is_told_so(bearer_registry: BearerRegistry, filled: None) -> None:
    refused = refusal(registry_api.list_repositories, access=access(bearer_registry.host))
    assert refused.verdict.code == "listing_denied"


def test_an_account_without_a_right_to_the_repository(bearer_registry: BearerRegistry, filled: None) -> None:
    with bearer_registry.tokens.limited(BOB.username, {"acme/other": frozenset({"pull"})}):
        at = access(bearer_registry.host, username=BOB.username, password=BOB.password)
        refused = refusal(registry_api.list_tags, access=at, repository="acme/web")
    assert refused.verdict.code == "unauthorized"
    assert "acme/web" in refused.verdict.cause


def test_an_unknown_repository_is_named(host: Host, registry: Registry) -> None:
    refused = refusal(registry_api.list_tags, access=access(registry.host, host=host), repository="acme/none")
    assert refused.verdict.code == "repository_not_found"
    assert f"{registry.host}/acme/none" in refused.verdict.cause


def test_an_unknown_tag_is_named(host: Host, registry: Registry) -> None:
    reference = parse(f"{registry.host}/acme/web:none")
    refused = refusal(registry_api.head_manifest, access=access(registry.host, host=host), reference=reference)
    assert refused.verdict.code == "tag_not_found"
    assert str(reference) in refused.verdict.cause


@pytest.mark.parametrize("function", [registry_api.list_tags, registry_api.list_repositories])
def test_a_wrong_password_is_refused(
    function: Callable[..., Any], lab_registry: BasicRegistry, bearer_registry: BearerRegistry, filled: None
) -> None:
    about = {"repository": "acme/web"} if function is registry_api.list_tags else {}
    for registry in (lab_registry, bearer_registry):
        refused = refusal(function, access=access(registry.host, password="wrong"), **about)
        assert refused.verdict.code == "unauthorized"


def test_nobody_in_particular_may_not_ask(lab_registry: BasicRegistry, bearer_registry: BearerRegistry) -> None:
    for registry in (lab_registry, bearer_registry):
        refused = refusal(registry_api.list_tags, access=anybody(registry.host), repository="acme/web")
        assert refused.verdict.code == "anonymous_refused"


def test_nobody_in_particular_may_ask_an_open_registry(open_registry: Registry, filled: None) -> None:
    assert registry_api.list_tags(access=anybody(open_registry.host), repository="acme/web").names


def test_a_password_with_odd_characters_arrives_as_it_is(bearer_registry: BearerRegistry, filled: None) -> None:
    bearer_registry.tokens.passwords["robot$acme+web"] = odd = "a$(b)`c`\"d\"'e'\\f é 😀 %s"
    at = access(bearer_registry.host, username="robot$acme+web", password=odd)
    assert registry_api.list_tags(access=at, repository="acme/web").names


def test_a_secret_stands_for_its_username_as_well(bearer_registry: BearerRegistry, filled: None) -> None:
    bearer_registry.tokens.passwords["dop_v1_x"] = "dop_v1_x"
    at = access(bearer_registry.host, username="", password="dop_v1_x")
    assert registry_api.list_tags(access=at, repository="acme/web").names


def test_an_index_stands_for_all_its_platforms(open_registry: Registry, filled: None) -> None:
    at = access(open_registry.host)
    one, two = sorted(registry_api.describe_tags(access=at, repository="acme/web").tags, key=lambda tag: tag.name)
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": [
            entry(one.digest, architecture="arm64", variant="v8"),
            entry(two.digest, architecture="amd64"),
            entry(two.digest, architecture="unknown", os="unknown"),
        ],
    }
    put(f"http://{open_registry.host}/v2/acme/web/manifests/multi", index)
    tags = registry_api.describe_tags(access=at, repository="acme/web").tags
    multi = next(tag for tag in tags if tag.name == "multi")
    assert multi.platforms == ("linux/arm64/v8", "linux/amd64")
    assert (multi.size, multi.created) == (two.size, two.created)
    head = registry_api.head_manifest(access=at, reference=parse(f"{open_registry.host}/acme/web:multi"))
    assert head.digest == multi.digest
    assert head.digest not in {one.digest, two.digest}
    delete(f"http://{open_registry.host}/v2/acme/web/manifests/{multi.digest}")


def entry(digest: str, **platform: str) -> dict[str, Any]:
    media_type = "application/vnd.docker.distribution.manifest.v2+json"
    return {"mediaType": media_type, "digest": digest, "size": 1, "platform": {"os": "linux"} | platform}


def put(url: str, manifest: dict[str, Any]) -> None:
    httpx.put(
        url, content=json.dumps(manifest), headers={"Content-Type": manifest["mediaType"]}, trust_env=False
    ).raise_for_status()


def delete(url: str) -> None:
    httpx.delete(url, trust_env=False).raise_for_status()


def test_a_registry_with_10_000_tags_on_disk(open_registry: Registry, filled: None) -> None:
    """The registry reads them from its disk; each of them is the same image."""
    source = open_registry.folder / "data/docker/registry/v2/repositories/acme/web/_manifests"
    target = open_registry.folder / "data/docker/registry/v2/repositories/acme/many"
    shutil.copytree(source.parent, target)
    shutil.rmtree(target / "_manifests" / "tags")
    link = (source / "tags/1/current/link").read_text()
    for number in range(10_000):
        current = target / f"_manifests/tags/1.0.{number}/current"
        current.mkdir(parents=True)
        (current / "link").write_text(link)
    tags = registry_api.describe_tags(access=access(open_registry.host), repository="acme/many")
    assert (tags.total, tags.is_total_exact, tags.problem, len(tags.tags)) == (10_000, True, None, 50)
    assert {tag.name for tag in tags.tags} == {f"1.0.{number}" for number in range(9_950, 10_000)}
    assert all(tag.size for tag in tags.tags)


def test_one_look_opens_few_connections(server_one: sshd.Server, lab_registry: BasicRegistry, filled: None) -> None:
    counted = Counting(remote(server_one))
    registry_api.describe_tags(access=access(lab_registry.host, host=counted), repository="acme/web")
    assert counted.connections <= 2 + registry_api.DESCRIBED_AT_ONCE


def test_nothing_is_left_open(server_one: sshd.Server, lab_registry: BasicRegistry, filled: None) -> None:
    at = access(lab_registry.host, host=remote(server_one))
    registry_api.describe_tags(access=at, repository="acme/web")
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        registry_api.describe_tags(access=at, repository="acme/web")
        refusal(registry_api.list_tags, access=at, repository="acme/none")
    end = time.monotonic() + 30
    while (threading.active_count(), len(os.listdir("/proc/self/fd"))) > before:
        assert time.monotonic() < end
        time.sleep(0.02)


# TLS


def test_an_authority_that_dokreg_does_not_know(host: Host, tls_registry: TlsRegistry) -> None:
    refused = refusal(registry_api.list_tags, access=access(tls_registry.host, host=host), repository="acme/web")
    assert refused.verdict.code == "certificate_unknown_to_dokreg"
    assert refused.verdict.permanent


def test_an_authority_that_dokreg_was_told_of(host: Host, tls_registry: TlsRegistry, trusting: Trusting) -> None:
    trusting(tls_registry.authority)
    refused = refusal(registry_api.list_tags, access=access(tls_registry.host, host=host), repository="acme/web")
    assert refused.verdict.code == "repository_not_found"


@pytest.mark.parametrize(
    ("names", "expired", "code"),
    [(("elsewhere.example",), False, "certificate_wrong_name"), ((), True, "certificate_expired")],
)
def test_a_certificate_that_does_not_hold(
    new_folder: NewFolder,
    trusting: Trusting,
    names: tuple[str, ...],
    expired: bool,
    code: str,
) -> None:
    with TlsRegistry(new_folder(), [ALICE], *names, expired=expired) as registry:
        trusting(registry.authority)
        refused = refusal(registry_api.list_tags, access=access(registry.host), repository="acme/web")
    assert refused.verdict.code == code


def test_plain_http_off_loopback_gets_no_credentials(new_folder: NewFolder) -> None:
    with BasicRegistry(new_folder(), [ALICE], address=address_off_loopback()) as registry:
        refused = refusal(registry_api.list_tags, access=access(registry.host), repository="acme/web")
    assert refused.verdict.code == "plain_http"


def test_a_certificate_on_loopback_is_not_checked_as_docker_does_not(new_folder: NewFolder) -> None:
    with LoopbackTls(new_folder(), [ALICE]) as registry:
        refused = refusal(registry_api.list_tags, access=access(registry.host), repository="acme/web")
    assert refused.verdict.code == "repository_not_found"


class LoopbackTls(TlsRegistry):
    """Behind a certificate that nobody knows, on loopback."""

    def __init__(self, folder: Path, accounts: Sequence[Account]) -> None:
        super().__init__(folder, accounts)
        self.address = "127.0.0.1"
        self.port = free_port()


# The order of tags


def test_the_newest_versions_are_chosen() -> None:
    tags = ["main", "1.2", "1.10.0", "1.9", "v2.0.0-rc1", "2.0.0", "latest", "1.2.1", "2.0.0-alpine", "sha-5ab12cd"]
    assert newest_versions(tags, limit=8) == [
        "latest", "2.0.0", "v2.0.0-rc1", "2.0.0-alpine", "1.10.0", "1.9", "1.2.1", "1.2",
    ]  # fmt: skip
    assert newest_versions(["9" * 128, "1"], limit=1) == ["9" * 128]
