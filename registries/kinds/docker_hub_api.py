"""Docker Hub's own API, which lists what its registry does not; as its reference documents it.

To describe tags by their manifests would count as that many pulls. This counts as none.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from django.conf import settings

from registries.kinds.listing import (
    DESCRIBED_LIMIT,
    REPOSITORIES_LIMIT,
    Account,
    Caller,
    Declined,
    Repositories,
    Tag,
    Tags,
    moment_of,
    newest_first,
    platform_of,
    size_of,
)
from registries.kinds.minting import Answer, Unreadable, text_in
from registries.references import is_digest, is_path, is_tag

OK = 200
PAGE_SIZE = 100  # the most that it gives


class HubListing:
    """hub.docker.com; asked with an access token that username and secret are traded for, or as anybody."""

    def url(self) -> str:
        return str(settings.DOKREG_DOCKER_HUB_URL)

    def list_repositories(self, caller: Caller, account: Account | None, *, namespace: str) -> Repositories:
        owner = namespace.partition("/")[0] or (account.username.lower() if account else "")
        headers = self._headers(caller, account)
        paths: list[str] = []
        is_last = False
        for page in range(1, REPOSITORIES_LIMIT // PAGE_SIZE + 1):
            where = f"/v2/namespaces/{quote(owner, safe='')}/repositories?page_size={PAGE_SIZE}&page={page}"
            answer = self._get(caller, where, headers)
            found = [f"{owner}/{text_in(row, 'name')}" for row in _results(answer)]
            paths += [path for path in found if is_path(path)]
            is_last = not answer.get("next")
            if is_last:
                break
        return Repositories(tuple(sorted(paths)[:REPOSITORIES_LIMIT]), is_last)

    def describe_tags(self, caller: Caller, account: Account | None, *, repository: str, limit: int) -> Tags:
        owner, _slash, name = repository.partition("/")
        size = min(limit, DESCRIBED_LIMIT)
        where = f"/v2/namespaces/{quote(owner, safe='')}/repositories/{quote(name, safe='')}/tags?page_size={size}"
        answer = self._get(caller, where, self._headers(caller, account))
        tags = [_tag(row) for row in _results(answer) if is_tag(str(row.get("name", "")))][:size]
        total = size_of(answer.get("count")) or len(tags)
        return Tags(newest_first(tags), max(total, len(tags)))

    def _headers(self, caller: Caller, account: Account | None) -> dict[str, str]:
        if account is None:
            return {}
        form = json.dumps({"identifier": account.username, "secret": account.password}).encode()
        answer = caller.ask(
            "POST", f"{self.url()}/v2/auth/token", headers={"Content-Type": "application/json"}, body=form
        )
        token = text_in(_fields(answer), "access_token")
        if not token.isascii() or not token.isprintable():
            raise Unreadable("its access token has characters that no token has")
        return {"Authorization": f"Bearer {token}"}

    def _get(self, caller: Caller, where: str, headers: Mapping[str, str]) -> dict[str, Any]:
        return _fields(caller.ask("GET", f"{self.url()}{where}", headers=headers))


def _fields(answer: Answer) -> dict[str, Any]:
    if answer.status != OK:
        raise Declined(answer)
    return answer.fields()


def _results(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    results = answer.get("results")
    if not isinstance(results, list) or not all(isinstance(row, dict) for row in results):
        raise Unreadable("there is no list of results in it")
    return results


def _tag(row: Mapping[str, Any]) -> Tag:
    images = [image for image in row.get("images") or () if isinstance(image, dict)]
    platforms = tuple(filter(None, map(platform_of, images)))
    chosen = next((image for image in images if platform_of(image) == "linux/amd64"), images[0] if images else {})
    digest = str(row.get("digest") or chosen.get("digest") or "")
    return Tag(
        name=str(row["name"]),
        digest=digest if is_digest(digest) else "",
        size=size_of(chosen.get("size")) or size_of(row.get("full_size")),
        created=moment_of(row.get("tag_last_pushed")) or moment_of(row.get("last_updated")),
        platforms=platforms,
    )
