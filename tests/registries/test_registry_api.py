"""Asking registries what they have: real ones, from a real server and from dokreg's own host, and hostile ones."""

import datetime as dt
import gzip
import itertools
import json
import os
import shutil
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pytest_django import Settings

from registries import kinds, registry_api
from registries.credentials import DockerLogin
from registries.rate_limits import RateLimit, rate_limit_of
from registries.references import parse
from registries.registry_api import Access, NotAnswered
from registries.versions import newest_versions
from servers import ssh
from servers.docker import Host, OwnHost, RemoteHost
from servers.models import Server as ServerRow
from servers.models import SSHKey
from tests.lab import sshd
from tests.lab.docker_hub import DIGEST, DockerHub, tag
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, BOB, NewFolder
from tests.lab.impostors import (
    Answer,
    Behaviour,
    HttpImpostor,
    Request,
    Silent,
    TcpImpostor,
    broken,
    login_page,
    not_a_registry,
    overloaded,
    problem,
    pull_limit,
    too_many_requests,
)
from tests.lab.ports import address_off_loopback, free_port
from tests.lab.registry import Account, BasicRegistry, BearerRegistry, Registry, TlsRegistry

CATALOGUE = frozenset({"*"})


@pytest.fixture(autouse=True)
def _loopback(settings: Settings) -> Iterator[None]:
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield
    ssh.close_all()


@pytest.fixture(params=["server", "own host"])
def host(request: pytest.FixtureRequest, server_one: sshd.Server) -> Host:
    return OwnHost() if request.param == "own host" else remote(server_one)


def remote(server: sshd.Server) -> RemoteHost:
    key = SSHKey(public_key=server.public_key)
    key.private_key = server.private_key
    row = {"host": server.host, "port": server.port, "user": server.user, "host_key": server.host_key}
    return RemoteHost(ServerRow(name="web-1", ssh_key=key, **row))


def access(
    registry: str,
    *,
    host: Host | None = None,
    username: str = ALICE.username,
    password: str = ALICE.password,
    kind: str = "generic",
) -> Access:
    return Access(host or OwnHost(), kinds.get(kind), registry, DockerLogin(registry, username, password))


def anybody(registry: str, kind: str = "generic") -> Access:
    return Access(OwnHost(), kinds.get(kind), registry)


def refusal(function: Callable[..., Any], **arguments: Any) -> NotAnswered:
    with pytest.raises(NotAnswered) as refused:
        function(**arguments)
    return refused.value


def code_of(behaviour: Behaviour, function: Callable[..., Any] = registry_api.list_tags, **arguments: Any) -> str:
    """The code of what a registry with this behaviour is said to be."""
    with HttpImpostor(behaviour) as impostor:
        arguments = {"repository": "acme/web"} | arguments if function is registry_api.list_tags else arguments
        return refusal(function, access=access(impostor.host), **arguments).verdict.code


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


class Counting(OwnHost):
    """A host that counts what is connected through it, and where to."""

    def __init__(self, inner: Host) -> None:
        super().__init__()
        self.inner = inner
        self.asked: list[str] = []

    @property
    def connections(self) -> int:
        return len(self.asked)

    def connect(self, host: str, port: int, *, deadline: float) -> Any:
        self.asked.append(f"{host}:{port}")
        return self.inner.connect(host, port, deadline=deadline)


def test_nothing_is_left_open(server_one: sshd.Server, lab_registry: BasicRegistry, filled: None) -> None:
    at = access(lab_registry.host, host=remote(server_one))
    registry_api.describe_tags(access=at, repository="acme/web")
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        registry_api.describe_tags(access=at, repository="acme/web")
        refusal(registry_api.list_tags, access=at, repository="acme/none")
    end = time.monotonic() + 5
    while (threading.active_count(), len(os.listdir("/proc/self/fd"))) > before:
        assert time.monotonic() < end
        time.sleep(0.02)


# TLS


def test_an_authority_that_dokreg_does_not_know(host: Host, tls_registry: TlsRegistry) -> None:
    refused = refusal(registry_api.list_tags, access=access(tls_registry.host, host=host), repository="acme/web")
    assert refused.verdict.code == "certificate_unknown_to_dokreg"
    assert refused.verdict.permanent


def test_an_authority_that_dokreg_was_told_of(
    host: Host, tls_registry: TlsRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "authority.pem"
    bundle.write_text(tls_registry.authority.own.certificate_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    refused = refusal(registry_api.list_tags, access=access(tls_registry.host, host=host), repository="acme/web")
    assert refused.verdict.code == "repository_not_found"


@pytest.mark.parametrize(
    ("names", "expired", "code"),
    [(("elsewhere.example",), False, "certificate_wrong_name"), ((), True, "certificate_expired")],
)
def test_a_certificate_that_does_not_hold(
    new_folder: NewFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    expired: bool,
    code: str,
) -> None:
    with TlsRegistry(new_folder(), [ALICE], *names, expired=expired) as registry:
        bundle = tmp_path / "authority.pem"
        bundle.write_text(registry.authority.own.certificate_pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
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


# Registries that misbehave


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (broken, "registry_failing"),
        (overloaded, "registry_failing"),
        (not_a_registry, "not_a_registry"),
        (login_page, "answer_unreadable"),
        (too_many_requests, "pull_limit"),
        (pull_limit, "pull_limit"),
    ],
)
def test_errors_are_recognised(behaviour: Behaviour, code: str) -> None:
    assert code_of(behaviour) == code


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_registry_without_a_catalogue(status: int) -> None:
    def answer(_: Request) -> Answer:
        return problem(status, "UNSUPPORTED", "The operation is unsupported.")

    assert code_of(answer, registry_api.list_repositories) == "no_catalogue"


def test_github_is_not_even_asked() -> None:
    counted = Counting(OwnHost())
    refused = refusal(registry_api.list_repositories, access=access("ghcr.io", host=counted, kind="ghcr"))
    assert refused.verdict.code == "no_catalogue"
    assert counted.asked == []


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{", '{"tags": 7}', '{"tags": {"a": 1}}', "[" * 100_000, '{"tags": ' + "9" * 5000 + "}", "\udcff\udcfe"],
    ids=["empty", "list", "half", "number", "object", "deep", "digits", "bytes"],
)
def test_what_is_no_list_of_tags_is_said_to_be_unreadable(body: str) -> None:
    assert code_of(lambda _: Answer(200, body)) == "answer_unreadable"


def test_null_is_an_empty_list() -> None:
    with HttpImpostor(lambda _: Answer(200, '{"name": "acme/web", "tags": null}')) as impostor:
        assert registry_api.list_tags(access=access(impostor.host), repository="acme/web").names == ()


def test_names_that_are_no_tags_are_left_out() -> None:
    odd = [
        "../../etc",
        "a b",
        "<script>",
        "-x",
        ".x",
        "a\u0000",
        "é",
        "x" * 129,
        "",
        "a/b",
        "a:b",
        "a%2Fb",
        7,
        None,
        {},
    ]
    with HttpImpostor(lambda _: Answer(200, json.dumps({"tags": [*odd, "fine-1.0_x", "fine-1.0_x"]}))) as impostor:
        assert registry_api.list_tags(access=access(impostor.host), repository="acme/web").names == ("fine-1.0_x",)


def test_names_that_are_no_repositories_are_left_out() -> None:
    odd = ["../etc", "Acme/Web", "a b", "/a", "a//b", "", None, "a/" * 200]
    with HttpImpostor(lambda _: Answer(200, json.dumps({"repositories": [*odd, "acme/web"]}))) as impostor:
        assert registry_api.list_repositories(access=access(impostor.host)).paths == ("acme/web",)


def test_lists_go_on_at_the_same_place_whatever_the_link_says() -> None:
    def pages(request: Request) -> Answer:
        if "last=" in request.path:
            return Answer(200, json.dumps({"tags": ["2"]}))
        link = '<https://evil.example/v2/acme/web/tags/list?n=1&last=1>; rel="next"'
        return Answer(200, json.dumps({"tags": ["1"]}), headers={"Link": link})

    with HttpImpostor(pages) as impostor:
        assert registry_api.list_tags(access=access(impostor.host), repository="acme/web").names == ("1", "2")


def test_a_list_without_an_end_is_left() -> None:
    count = itertools.count()

    def pages(_: Request) -> Answer:
        link = f'</v2/acme/web/tags/list?last={next(count)}>; rel="next"'
        return Answer(200, json.dumps({"tags": [f"tag-{next(count)}"]}), headers={"Link": link})

    with HttpImpostor(pages) as impostor:
        found = registry_api.list_tags(access=access(impostor.host), repository="acme/web")
        assert len(impostor.requests) < 100
    assert not found.is_complete


def test_more_repositories_than_one_shows() -> None:
    paths = [f"acme/app-{number:04}" for number in range(1000)]
    with HttpImpostor(lambda _: Answer(200, json.dumps({"repositories": paths}))) as impostor:
        found = registry_api.list_repositories(access=access(impostor.host))
    assert len(found.paths) == 200
    assert not found.is_complete


class Endless(TcpImpostor):
    """An answer that never ends."""

    def talk(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while not self._stopped.is_set():
            connection.sendall(b"x" * 65536)


class EndlessChunks(TcpImpostor):
    """The same, chunk by chunk of one byte."""

    def talk(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not self._stopped.is_set():
            connection.sendall(b"1\r\nx\r\n" * 1000)


class Compressed(TcpImpostor):
    """An answer that is compressed, which nobody asked for."""

    def talk(self, connection: socket.socket) -> None:
        connection.recv(65536)
        body = gzip.compress(b"0" * 100_000)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)


class DrippingBody(TcpImpostor):
    """An answer that comes a byte at a time, so that no single read takes long."""

    def talk(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not self._stopped.wait(0.1):
            connection.sendall(b" ")


class DrippingHead(TcpImpostor):
    """The same, of the headers."""

    def talk(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not self._stopped.wait(0.1):
            connection.sendall(b"x")


class Continuing(TcpImpostor):
    """Says without end that one may go on."""

    def talk(self, connection: socket.socket) -> None:
        connection.recv(65536)
        while not self._stopped.wait(0.01):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


class HangingUp(TcpImpostor):
    """Half an answer."""

    def talk(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")


class Babbling(TcpImpostor):
    """No HTTP at all."""

    def talk(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"220 mail.example ESMTP\r\n")


@pytest.mark.parametrize(
    ("impostor", "code"),
    [
        (Endless, "answer_too_long"),
        (EndlessChunks, "answer_too_long"),
        (Compressed, "answer_unreadable"),
        (DrippingBody, "registry_timeout"),
        (DrippingHead, "registry_timeout"),
        (Continuing, "registry_timeout"),
        (Silent, "registry_timeout"),
        (HangingUp, "connection_broken"),
        (Babbling, "answer_unreadable"),
    ],
)
def test_nobody_is_held_up(host: Host, impostor: type[TcpImpostor], code: str) -> None:
    began = time.monotonic()
    seconds = 1 if code == "registry_timeout" else 10
    with impostor() as peer:
        at = access(peer.host, host=host)
        refused = refusal(registry_api.list_tags, access=at, repository="acme/web", seconds=seconds)
    assert refused.verdict.code == code
    assert time.monotonic() - began < 5


# Where credentials go


def asking(**headers: str) -> Answer:
    return Answer(401, "{}", headers=headers)


def test_credentials_do_not_follow_a_redirect_elsewhere() -> None:
    def elsewhere(request: Request) -> Answer:
        if not request.authorization:
            return asking(**{"WWW-Authenticate": 'Basic realm="x"'})
        return Answer(307, headers={"Location": f"http://{other.host}/v2/acme/web/tags/list"})

    with HttpImpostor(lambda _: Answer(200, '{"tags": ["1"]}')) as other, HttpImpostor(elsewhere) as impostor:
        assert registry_api.list_tags(access=access(impostor.host), repository="acme/web").names == ("1",)
    assert other.requests
    assert {request.authorization for request in other.requests} == {""}


def test_credentials_are_not_given_to_a_challenge_after_a_redirect() -> None:
    """Who is sent elsewhere and asked there who they are does not say it there."""

    def elsewhere(_: Request) -> Answer:
        return Answer(307, headers={"Location": f"http://{other.host}/v2/x"})

    with (
        HttpImpostor(lambda _: asking(**{"WWW-Authenticate": 'Basic realm="x"'})) as other,
        HttpImpostor(elsewhere) as impostor,
    ):
        refusal(registry_api.list_tags, access=access(impostor.host), repository="acme/web")
    assert {request.authorization for request in other.requests} == {""}


def test_a_redirect_to_plain_http_off_loopback_is_not_followed() -> None:
    assert code_of(lambda _: Answer(307, headers={"Location": "http://registry.example/"})) == "not_encrypted"


@pytest.mark.parametrize("location", ["", "ftp://x/", "http://[", "http://127.0.0.1:x/", "/v2/a\u00a0b", "/v2/loop"])
def test_a_redirect_to_nowhere_is_not_followed_for_ever(location: str) -> None:
    codes = {"sent_around", "answer_unreadable"}
    assert code_of(lambda _: Answer(307, headers={"Location": quote(location, safe=":/[")})) in codes


@pytest.mark.parametrize(
    ("realm", "code"),
    [
        ("http://tokens.example/token", "not_encrypted"),
        ("ftp://tokens.example/token", "answer_unreadable"),
        ("http://[", "answer_unreadable"),
        ("nonsense", "answer_unreadable"),
    ],
)
def test_a_realm_that_is_not_safe_gets_nothing(realm: str, code: str) -> None:
    assert code_of(lambda _: asking(**{"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'})) == code


def test_a_realm_on_loopback_is_only_for_a_registry_on_loopback(
    new_folder: NewFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpImpostor(login_page) as other, TlsBearer(new_folder(), f"http://{other.host}/token") as registry:
        bundle = tmp_path / "authority.pem"
        bundle.write_text(registry.authority.own.certificate_pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        refused = refusal(registry_api.list_tags, access=access(registry.host), repository="acme/web")
    assert refused.verdict.code == "not_encrypted"
    assert other.requests == []


class TlsBearer(TlsRegistry):
    """Sends people to a realm of somebody else's choice."""

    def __init__(self, folder: Path, realm: str) -> None:
        super().__init__(folder, [ALICE])
        self.realm = realm

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        token = {"realm": self.realm, "service": "x", "issuer": "x"}
        bundle = self.folder / "tokens.crt"
        bundle.write_text(self.authority.own.certificate_pem)
        return settings | {"auth": {"token": token | {"rootcertbundle": str(bundle)}}}


def test_a_realm_that_sends_elsewhere_is_not_followed() -> None:
    with HttpImpostor(login_page) as other:

        def send_around(request: Request) -> Answer:
            if request.path.startswith("/token"):
                return Answer(302, headers={"Location": f"http://{other.host}/"})
            return asking(**{"WWW-Authenticate": f'Bearer realm="http://{impostor.host}/token"'})

        with HttpImpostor(send_around) as impostor:
            refused = refusal(registry_api.list_tags, access=access(impostor.host), repository="acme/web")
        assert other.requests == []
    assert refused.verdict.code == "sent_around"


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Evil: 1", "é", 7, None, ["x"]])
def test_a_token_that_is_none_is_not_sent(token: object) -> None:
    def realm(request: Request) -> Answer:
        if request.path.startswith("/token"):
            return Answer(200, json.dumps({"token": token, "access_token": token}))
        return asking(**{"WWW-Authenticate": f'Bearer realm="http://{impostor.host}/token"'})

    with HttpImpostor(realm) as impostor:
        refused = refusal(registry_api.list_tags, access=access(impostor.host), repository="acme/web")
        assert {request.authorization.partition(" ")[0] for request in impostor.requests} <= {"", "Basic"}
    assert refused.verdict.code == "answer_unreadable"


def test_a_registry_that_says_a_secret_back_does_not_get_it_written_down() -> None:
    secret = "pa55word-to-be-hidden"

    def echo(request: Request) -> Answer:
        if not request.authorization:
            return asking(**{"WWW-Authenticate": 'Basic realm="x"'})
        return problem(418, "TEAPOT", f"{secret} {request.authorization} {quote(secret)}")

    with HttpImpostor(echo) as impostor:
        refused = refusal(registry_api.list_tags, access=access(impostor.host, password=secret), repository="acme/web")
    told = f"{refused.words} {refused.verdict}"
    assert "TEAPOT" in told
    assert secret not in told
    assert b64encode(f"{ALICE.username}:{secret}".encode()).decode() not in told


# What cannot be described


def test_a_tag_that_cannot_be_described_is_there_with_its_name() -> None:
    def answer(request: Request) -> Answer:
        if request.path.endswith("/tags/list?n=1000"):
            return Answer(200, json.dumps({"tags": ["1", "2", "3", "4"]}))
        if request.path.endswith("/manifests/2"):
            return problem(404, "MANIFEST_UNKNOWN", "manifest unknown")
        if request.path.endswith("/manifests/3"):
            return Answer(200, "no JSON")
        created = '{"created": "2024-05-06T07:08:09.123456789Z", "os": "linux", "architecture": "arm64"}'
        manifest: dict[str, Any] = {
            "layers": [],
            "config": {"mediaType": "x.image.x", "digest": f"sha256:{'0' * 64}", "size": 5},
        }
        if request.path.endswith("/manifests/4"):
            manifest |= {"layers": [{"size": -1}], "config": None}
        return Answer(200, created if "/blobs/" in request.path else json.dumps(manifest))

    with HttpImpostor(answer) as impostor:
        found = registry_api.describe_tags(access=access(impostor.host), repository="acme/web")
    assert [tag.name for tag in found.tags] == ["1", "4", "3", "2"]
    one, four, three, two = found.tags
    assert one.created == dt.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=dt.UTC)
    assert (one.size, one.platforms) == (5, ("linux/arm64",))
    assert (four.size, four.created, bool(four.digest)) == (None, None, True)
    assert two.digest == three.digest == ""
    assert found.problem is not None


def test_after_a_limit_no_more_is_asked() -> None:
    def answer(request: Request) -> Answer:
        if "/tags/list" in request.path:
            return Answer(200, json.dumps({"tags": [str(number) for number in range(100)]}))
        return too_many_requests(request)

    with HttpImpostor(answer) as impostor:
        found = registry_api.describe_tags(access=access(impostor.host), repository="acme/web")
        assert len(impostor.requests) <= 1 + 2 * registry_api.DESCRIBED_AT_ONCE
    assert (len(found.tags), found.total) == (50, 100)
    assert found.problem is not None
    assert found.problem.code == "pull_limit"


# Docker Hub


@pytest.fixture
def hub(settings: Settings) -> Iterator[DockerHub]:
    with DockerHub() as hub:
        settings.DOKREG_DOCKER_HUB_URL = hub.url
        hub.add(
            "acme",
            "web",
            tag("2", "2026-02-02T00:00:00.123456Z", size=2000, platforms=("linux/arm64", "linux/amd64")),
            tag("1", "2026-01-01T00:00:00Z"),
        )
        yield hub


def at_hub(host: Host | None = None, password: str = "dckr_pat_of-the-bot") -> Access:
    return access("docker.io", host=host, username="acme-bot", password=password, kind="docker_hub")


def test_docker_hubs_own_api_lists_and_describes(host: Host, hub: DockerHub) -> None:
    hub.add("acme-bot", "own")
    assert registry_api.list_repositories(access=at_hub(host), namespace="acme").paths == ("acme/web",)
    assert registry_api.list_repositories(access=at_hub(host)).paths == ("acme-bot/own",)
    tags = registry_api.describe_tags(access=at_hub(host), repository="acme/web")
    assert [(tag.name, tag.size, tag.platforms) for tag in tags.tags] == [
        ("2", 2001, ("linux/arm64", "linux/amd64")),
        ("1", 1000, ("linux/amd64",)),
    ]
    assert tags.tags[0].created == dt.datetime(2026, 2, 2, 0, 0, 0, 123456, tzinfo=dt.UTC)
    assert tags.tags[0].digest.startswith("sha256:")
    assert hub.pulls == 0


def test_docker_hub_is_asked_without_an_account_too(hub: DockerHub) -> None:
    at = anybody("docker.io", kind="docker_hub")
    assert registry_api.describe_tags(access=at, repository="acme/web").total == 2
    assert set(hub.authorizations) == {""}
    assert refusal(registry_api.list_repositories, access=at).verdict.code == "no_catalogue"


def test_of_many_tags_docker_hub_gives_the_newest(hub: DockerHub) -> None:
    hub.add("acme", "many", *(tag(f"1.{number}", f"2026-01-01T{number % 24:02}:00:00Z") for number in range(120)))
    tags = registry_api.describe_tags(access=at_hub(), repository="acme/many")
    assert (len(tags.tags), tags.total) == (50, 120)


def test_more_than_a_page_of_repositories(hub: DockerHub) -> None:
    for number in range(250):
        hub.add("big", f"app-{number:03}")
    found = registry_api.list_repositories(access=at_hub(), namespace="big")
    assert (len(found.paths), found.is_complete) == (200, False)


def test_docker_hub_refuses_a_wrong_token(hub: DockerHub) -> None:
    refused = refusal(registry_api.describe_tags, access=at_hub(password="wrong"), repository="acme/web")
    assert refused.verdict.code == "unauthorized"


def test_docker_hub_does_not_know_the_repository(hub: DockerHub) -> None:
    refused = refusal(registry_api.describe_tags, access=at_hub(), repository="acme/none")
    assert refused.verdict.code == "repository_not_found"


@pytest.mark.parametrize(
    ("habit", "code"),
    [
        ({"hangs": True}, "registry_timeout"),
        ({"drips": True}, "registry_timeout"),
        ({"talks_nonsense": True}, "answer_unreadable"),
        ({"answers_500": True}, "registry_failing"),
        ({"throttles": True}, "pull_limit"),
        ({"sends_elsewhere": "https://evil.example/"}, "odd_answer"),
    ],
)
def test_docker_hub_misbehaves(hub: DockerHub, habit: dict[str, Any], code: str) -> None:
    with hub.having(**habit):
        refused = refusal(registry_api.describe_tags, access=at_hub(), repository="acme/web", seconds=1)
    assert refused.verdict.code == code


def test_docker_hubs_registry_is_at_another_name(hub: DockerHub) -> None:
    class Elsewhere(Exception):
        pass

    class Nowhere(OwnHost):
        def connect(self, host: str, port: int, *, deadline: float) -> Any:
            raise Elsewhere(f"{host}:{port}")

    with pytest.raises(Elsewhere, match=r"registry-1\.docker\.io:443"):
        registry_api.head_manifest(access=at_hub(Nowhere()), reference=parse("acme/web:1"))
    # Whatever kind somebody took it for: by manifests each tag would cost a pull.
    generic = access("docker.io", username="acme-bot", password="dckr_pat_of-the-bot")
    assert registry_api.describe_tags(access=generic, repository="acme/web").total == 2


def test_a_head_is_no_pull_and_tells_the_quota(host: Host) -> None:
    with DockerHub() as hub:
        hub.pulls = 24
        registry = hub.url.removeprefix("http://")
        at = Access(host, kinds.get("generic"), registry)
        manifest = registry_api.head_manifest(access=at, reference=parse(f"{registry}/acme/web:1"))
        assert hub.pulls == 24
        hub.tells_quota = False
        assert registry_api.head_manifest(access=at, reference=parse(f"{registry}/acme/web:1")).rate_limit is None
    assert manifest.digest == DIGEST
    assert manifest.rate_limit == RateLimit(limit=100, remaining=76, window_seconds=21600, source="192.0.2.7")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "99;w=21600"}, RateLimit(100, 99, 21600, "")),
        ({"ratelimit-limit": "200 ; w = 60"}, RateLimit(200, None, 60, "")),
        ({"ratelimit-remaining": "0"}, RateLimit(None, 0, None, "")),
        ({"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "7"}, RateLimit(100, 7, None, "")),
        ({"ratelimit-limit": "unlimited"}, None),
        ({"ratelimit-limit": "-5"}, None),
        ({"ratelimit-limit": "99999999999999999999"}, RateLimit(999999999, None, None, "")),
        ({"docker-ratelimit-source": "192.0.2.7"}, None),
        (
            {"ratelimit-limit": "1", "docker-ratelimit-source": "2001:db8::7 <script>"},
            RateLimit(1, None, None, "2001:db8::7"),
        ),
    ],
)
def test_the_headers_of_the_quota(headers: dict[str, str], expected: RateLimit | None) -> None:
    assert rate_limit_of(headers) == expected


# The order of tags


def test_the_newest_versions_are_chosen() -> None:
    tags = ["main", "1.2", "1.10.0", "1.9", "v2.0.0-rc1", "2.0.0", "latest", "1.2.1", "2.0.0-alpine", "sha-5ab12cd"]
    assert newest_versions(tags, limit=8) == [
        "latest", "2.0.0", "v2.0.0-rc1", "2.0.0-alpine", "1.10.0", "1.9", "1.2.1", "1.2",
    ]  # fmt: skip
    assert newest_versions(["9" * 128, "1"], limit=1) == ["9" * 128]
