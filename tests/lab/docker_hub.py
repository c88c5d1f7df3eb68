"""A stand-in for Docker Hub: its own API, which lists, and of its registry the manifests, which count as pulls."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qs

from tests.lab.clouds import Asked, Cloud, random_text
from tests.lab.impostors import Answer, problem

SIX_HOURS = 6 * 3600
MANIFEST = json.dumps({"schemaVersion": 2, "config": {}, "layers": []})
DIGEST = f"sha256:{hashlib.sha256(MANIFEST.encode()).hexdigest()}"


@dataclass
class DockerHub(Cloud):
    username: ClassVar[str] = "acme-bot"

    secrets: dict[str, str] = field(default_factory=lambda: {"acme-bot": "dckr_pat_of-the-bot"})
    # namespace -> repository -> tags, each as the API describes it, the newest first
    images: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    quota: int = 100
    pulls: int = 0
    tells_quota: bool = True
    authorizations: list[str] = field(default_factory=list)  # that came along, request by request

    def add(self, namespace: str, repository: str, *tags: dict[str, Any]) -> None:
        self.images.setdefault(namespace, {})[repository] = list(tags)

    def respond(self, asked: Asked) -> Answer:
        self.authorizations.append(asked.header("Authorization"))
        match asked.path.strip("/").split("/"):
            case ["v2", "auth", "token"]:
                return self._token(json.loads(asked.body))
            case ["v2", "namespaces", namespace, "repositories"]:
                return self._repositories(asked, namespace)
            case ["v2", "namespaces", namespace, "repositories", repository, "tags"]:
                return self._tags(asked, namespace, repository)
            case ["v2", *_path, "manifests", _reference]:
                return self._manifest(asked)
        return Answer(404, json.dumps({"message": "page not found"}))

    def throttled(self) -> Answer:
        return problem(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.")

    def _token(self, form: dict[str, str]) -> Answer:
        identifier = form.get("identifier", "")
        if identifier not in self.secrets or self.secrets[identifier] != form.get("secret"):
            return Answer(401, json.dumps({"detail": "Incorrect authentication credentials"}))
        token = random_text(600)
        self.given(token, identifier)
        return Answer(200, json.dumps({"access_token": token}))

    def _is_refused(self, asked: Asked) -> bool:
        token = asked.header("Authorization").removeprefix("Bearer ")
        return bool(token) and not self.is_alive(token)

    def _repositories(self, asked: Asked, namespace: str) -> Answer:
        if self._is_refused(asked):
            return Answer(401, json.dumps({"message": "unauthorized"}))
        if namespace not in self.images:
            return Answer(404, json.dumps({"message": "object not found", "errinfo": {"namespace": namespace}}))
        rows = [{"name": name, "namespace": namespace} for name in self.images[namespace]]
        return page_of(rows, asked)

    def _tags(self, asked: Asked, namespace: str, repository: str) -> Answer:
        if self._is_refused(asked):
            return Answer(401, json.dumps({"message": "unauthorized"}))
        tags = self.images.get(namespace, {}).get(repository)
        if tags is None:
            return Answer(404, json.dumps({"message": "object not found", "errinfo": {"repository": repository}}))
        return page_of(tags, asked)

    def _manifest(self, asked: Asked) -> Answer:
        is_pull = asked.environ["REQUEST_METHOD"] != "HEAD"
        self.pulls += is_pull
        headers = {"Docker-Content-Digest": DIGEST}
        if self.tells_quota:
            left = max(0, self.quota - self.pulls)
            headers |= {
                "ratelimit-limit": f"{self.quota};w={SIX_HOURS}",
                "ratelimit-remaining": f"{left};w={SIX_HOURS}",
                "docker-ratelimit-source": "192.0.2.7",
            }
        media_type = "application/vnd.docker.distribution.manifest.v2+json"
        return Answer(200, MANIFEST if is_pull else "", media_type, headers)


def page_of(rows: list[dict[str, Any]], asked: Asked) -> Answer:
    query = parse_qs(str(asked.environ.get("QUERY_STRING", "")))
    size, number = min(int(query.get("page_size", ["10"])[0]), 100), int(query.get("page", ["1"])[0])
    shown = rows[(number - 1) * size : number * size]
    following = f"?page={number + 1}" if number * size < len(rows) else None
    return Answer(200, json.dumps({"count": len(rows), "next": following, "previous": None, "results": shown}))


def tag(name: str, pushed: str, *, size: int = 1000, platforms: tuple[str, ...] = ("linux/amd64",)) -> dict[str, Any]:
    """A tag as the API describes it."""
    images = [
        {"os": platform.split("/")[0], "architecture": platform.split("/")[1], "variant": None, "size": size + index}
        for index, platform in enumerate(platforms)
    ]
    digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    return {
        "name": name, "full_size": size, "last_updated": pushed, "tag_last_pushed": pushed, "digest": digest,
        "images": images,
    }  # fmt: skip
