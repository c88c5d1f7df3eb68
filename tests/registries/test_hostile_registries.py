"""Asking what is no registry, or one that means harm."""

import datetime as dt
import gzip
import itertools
import json
import socket
import time
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from registries import registry_api
from servers.docker import Host, OwnHost
from tests.lab.fixtures import ALICE, NewFolder
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
from tests.lab.registry import TlsRegistry
from tests.patience import SOON
from tests.registries.asking import Counting, access, code_of, refusal
from tests.registries.conftest import Trusting

pytestmark = pytest.mark.usefixtures("asking_from_loopback")


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
    """The same, in very small chunks."""

    def talk(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not self._stopped.is_set():
            connection.sendall(b"10\r\n0123456789abcdef\r\n" * 1000)


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
    seconds = 2 if code == "registry_timeout" else 60
    with impostor() as peer:
        at = access(peer.host, host=host)
        refused = refusal(registry_api.list_tags, access=at, repository="acme/web", seconds=seconds)
    assert refused.verdict.code == code
    assert time.monotonic() - began < SOON


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


def test_a_realm_on_loopback_is_only_for_a_registry_on_loopback(new_folder: NewFolder, trusting: Trusting) -> None:
    with HttpImpostor(login_page) as other, TlsBearer(new_folder(), f"http://{other.host}/token") as registry:
        trusting(registry.authority)
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


def test_a_registry_that_asks_who_one_is_only_for_manifests() -> None:
    """Then several ask at once, and each is asked who it is."""

    def answer(request: Request) -> Answer:
        if "/tags/list" in request.path:
            return Answer(200, json.dumps({"tags": [str(number) for number in range(20)]}))
        if not request.authorization:
            time.sleep(0.05)
            return asking(**{"WWW-Authenticate": 'Basic realm="x"'})
        return Answer(200, "{}")

    with HttpImpostor(answer) as impostor:
        found = registry_api.describe_tags(access=access(impostor.host), repository="acme/web")
    assert found.problem is None
    assert all(tag.digest for tag in found.tags)


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
