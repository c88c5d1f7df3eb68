"""Docker Hub, which lists through an API of its own and tells a quota of pulls; a stand-in speaks for it."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from registries import kinds, registry_api
from registries.rate_limits import RateLimit, rate_limit_of
from registries.references import parse
from registries.registry_api import Access
from servers.docker import Host, OwnHost
from tests.lab.docker_hub import DIGEST, DockerHub, tag
from tests.registries.asking import access, anybody, refusal

pytestmark = pytest.mark.usefixtures("asking_from_loopback")


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
