"""What a registry has, asked over the Registry HTTP API V2 (OCI distribution specification) as a server reaches it.

Each question opens its own connections, has one deadline, and writes nothing. What a provider does differently is in
its class (`registries.kinds`).
"""

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from dokreg.scrub import scrub
from registries import api_verdicts, kinds, manifests, verdicts
from registries.challenges import NoToken, authorization_for, challenge_of
from registries.credentials import DockerLogin
from registries.kinds import Kind
from registries.kinds.listing import (
    DESCRIBED_LIMIT,
    REPOSITORIES_LIMIT,
    Declined,
    Repositories,
    Tag,
    TagNames,
    Tags,
    newest_first,
)
from registries.kinds.minting import Answer, Unreadable
from registries.rate_limits import RateLimit, rate_limit_of
from registries.references import Reference, is_digest, is_path, is_tag
from registries.versions import newest_versions
from registries.wire import NotAnswered, Origin, Wire, origin_of
from servers import ssh
from servers.docker import Host
from servers.verdicts import Verdict

__all__ = [
    "Access", "Manifest", "NotAnswered", "RateLimit", "Repositories", "Tag", "TagNames", "Tags",
    "describe_tags", "head_manifest", "list_repositories", "list_tags",
]  # fmt: skip

LIST_SECONDS = 30.0
DESCRIBE_SECONDS = 40.0
HEAD_SECONDS = 20.0
DESCRIBED_AT_ONCE = 4
TAGS_LIMIT = 20_000
_PAGE_SIZE = 1000
_PAGES_LIMIT = 20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_LIMIT = 4
_NO_CATALOGUE = frozenset({404, 405, 501})
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY = 200, 401, 403, 404, 429
_UNKNOWN_CODES = frozenset({"pull_failed", "login_failed"})
_WORDS_LIMIT = 4000
_CATALOG_SCOPE = "registry:catalog:*"
_NEXT = re.compile(r'<([^<>]{1,2048})>\s*;[^,]*\brel="?next\b')
_DIGEST_HEADER = "docker-content-digest"


@dataclass(frozen=True, slots=True)
class Access:
    """From where a registry is asked, and as whom: `registry` is a normalised host, `login` None for anybody."""

    host: Host
    kind: Kind
    registry: str
    login: DockerLogin | None = None

    @property
    def provider(self) -> Kind:
        """Who runs the registry: known from the host, where the provider itself does, else what people said."""
        by_host = kinds.for_host(self.registry)
        return by_host if by_host.is_provider_host(self.registry) else self.kind


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a reference stands for now, and the quota of pulls as the registry told it along with that."""

    digest: str
    rate_limit: RateLimit | None


def list_repositories(*, access: Access, namespace: str = "", seconds: float = LIST_SECONDS) -> Repositories:
    """The repositories below a namespace, or all; at most REPOSITORIES_LIMIT.

    Raises NotAnswered (`no_catalogue`, `listing_denied` and others), or ssh.SSHProblem if there is no connection.
    """
    if access.provider.no_catalogue:
        raise NotAnswered(api_verdicts.no_catalogue(kind=access.provider, host=access.registry))
    if listing := access.provider.listing():
        if not namespace and access.login is None:
            raise NotAnswered(api_verdicts.no_catalogue(kind=access.provider, host=access.registry))
        with _wire(access, listing.url(), seconds) as wire, _judging(access, namespace, wire):
            return listing.list_repositories(wire, access.login, namespace=namespace)
    with _asking(access, seconds=seconds) as api:
        return _catalogue(api, access, namespace=namespace)


def list_tags(*, access: Access, repository: str, seconds: float = LIST_SECONDS) -> TagNames:
    """The names of a repository's tags, at most TAGS_LIMIT. `repository` is its path. Raises as list_repositories."""
    with _asking(access, about=f"{access.registry}/{repository}", seconds=seconds) as api:
        return _tag_names(api, repository)


def describe_tags(
    *, access: Access, repository: str, limit: int = DESCRIBED_LIMIT, seconds: float = DESCRIBE_SECONDS
) -> Tags:
    """A repository's tags with digest, size, age and platforms, the newest first. Raises as list_repositories.

    Of more than `limit` tags those are described that look like the newest versions. What cannot be described is
    there with its name alone.
    """
    if listing := access.provider.listing():
        with _wire(access, listing.url(), seconds) as wire, _judging(access, f"{access.registry}/{repository}", wire):
            return listing.describe_tags(wire, access.login, repository=repository, limit=limit)
    with _asking(access, about=f"{access.registry}/{repository}", seconds=seconds) as api:
        found = _tag_names(api, repository)
        chosen = newest_versions(found.names, limit=min(limit, DESCRIBED_LIMIT))
        describer = _Describer(api, access, repository)
        with ThreadPoolExecutor(DESCRIBED_AT_ONCE, thread_name_prefix="describe") as pool:
            tags = list(pool.map(describer.describe, chosen))
    return Tags(newest_first(tags), len(found.names), found.is_complete, describer.problem)


def head_manifest(*, access: Access, reference: Reference, seconds: float = HEAD_SECONDS) -> Manifest:
    """What a reference stands for now. Docker Hub does not count this as a pull. Raises as list_repositories."""
    wanted = reference.digest or reference.tag or "latest"
    with _asking(access, about=str(reference), seconds=seconds) as api:
        where = f"{reference.path}/manifests/{quote(wanted)}"
        answer = api.ask("HEAD", where, scope=_pull(reference.path), accept=manifests.ACCEPT)
        digest = answer.headers.get(_DIGEST_HEADER, "")
        if not is_digest(digest):  # the specification allows to leave it out
            body = api.ask("GET", where, scope=_pull(reference.path), accept=manifests.ACCEPT).body
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        return Manifest(digest, rate_limit_of(answer.headers))


class _Api:
    """A registry's API during one question: knows who one is once that was asked for."""

    def __init__(self, access: Access, wire: Wire, origin: Origin) -> None:
        self.wire = wire
        self._login = access.login
        self._origin = origin
        self._authorizations: dict[str, str] = {}
        self._lock = threading.Lock()

    def ask(self, method: str, where: str, *, scope: str, accept: str = "application/json") -> Answer:
        """A successful answer. `where` is below /v2/. Raises Declined, NoToken, NotAnswered, Unreadable."""
        url = f"{self._origin}/v2/{where}"
        said = self._authorizations.get(scope)
        answer = self._send(method, url, accept=accept, authorization=said)
        if answer.status == _UNAUTHORIZED and (told := self._introduce(answer, scope, said)) is not None:
            answer = self._send(method, url, accept=accept, authorization=told)
        if answer.status != _OK:
            raise Declined(answer)
        return answer

    def _introduce(self, answer: Answer, scope: str, said: str | None) -> str | None:
        """What answers the registry's challenge, once for a scope; None if there is nothing else to say than before."""
        with self._lock:
            if scope in self._authorizations:
                told = self._authorizations[scope]
                return told if told != said else None
            challenge = challenge_of(answer)
            if challenge is None:
                return None
            header = authorization_for(challenge, login=self._login, scope=scope, wire=self.wire)
            if header is not None:
                self._authorizations[scope] = header
            return header

    def _send(self, method: str, url: str, *, accept: str, authorization: str | None) -> Answer:
        for _ in range(_REDIRECTS_LIMIT + 1):
            headers = {"Accept": accept}
            # On a redirect to another place who one is stays here.
            if authorization is not None and _leads_to(url) == self._origin:
                headers["Authorization"] = authorization
            answer = self.wire.ask(method, url, headers=headers)
            if answer.status not in _REDIRECTS:
                return answer
            url = _next_url(url, answer.headers.get("location", ""))
        raise NotAnswered(api_verdicts.sent_around(address=self._origin.authority))


class _Describer:
    """Describes tags of one repository, in several threads; after a problem that all would have, no more of them."""

    def __init__(self, api: _Api, access: Access, repository: str) -> None:
        self.problem: Verdict | None = None
        self._api = api
        self._access = access
        self._repository = repository
        self._is_over = False

    def describe(self, name: str) -> Tag:
        """The tag, with its name alone if it cannot be described."""
        if self._is_over:
            return Tag(name)
        try:
            with _judging(self._access, f"{self._access.registry}/{self._repository}:{name}", self._api.wire):
                return manifests.describe(name, manifest=self._manifest, blob=self._blob)
        except (NotAnswered, ssh.SSHProblem) as error:
            self.problem = self.problem or error.verdict
            self._is_over |= isinstance(error, ssh.SSHProblem) or error.verdict.code in _ENDS_DESCRIBING
            return Tag(name)

    def _manifest(self, reference: str) -> bytes:
        where = f"{self._repository}/manifests/{quote(reference)}"
        return self._api.ask("GET", where, scope=_pull(self._repository), accept=manifests.ACCEPT).body

    def _blob(self, digest: str) -> bytes:
        where = f"{self._repository}/blobs/{quote(digest)}"
        return self._api.ask("GET", where, scope=_pull(self._repository), accept="*/*").body


_ENDS_DESCRIBING = frozenset({"registry_timeout", "too_many_requests", "pull_limit", "unauthorized", "denied"})


def _catalogue(api: _Api, access: Access, *, namespace: str) -> Repositories:
    beginning = f"{namespace.strip('/')}/" if namespace.strip("/") else ""
    found: set[str] = set()
    is_complete = False
    where = f"_catalog?n={_PAGE_SIZE}"
    for _ in range(_PAGES_LIMIT):
        try:
            answer = api.ask("GET", where, scope=_CATALOG_SCOPE)
        except Declined as declined:
            if declined.answer.status in _NO_CATALOGUE:
                raise NotAnswered(api_verdicts.no_catalogue(kind=access.provider, host=access.registry)) from None
            if access.login is not None and _lacks_right(declined.answer):
                raise NotAnswered(api_verdicts.listing_denied(kind=access.provider, host=access.registry)) from None
            raise
        found |= {path for path in _texts(answer, "repositories") if path.startswith(beginning) and is_path(path)}
        where = _next_page(answer)
        is_complete = not where
        if is_complete or len(found) > REPOSITORIES_LIMIT:
            break
    paths = sorted(found)
    return Repositories(tuple(paths[:REPOSITORIES_LIMIT]), is_complete and len(paths) <= REPOSITORIES_LIMIT)


def _lacks_right(answer: Answer) -> bool:
    """Whether the account itself was accepted: a token was given, and is not enough, or the status says so."""
    challenge = challenge_of(answer)
    return answer.status == _FORBIDDEN or (
        answer.status == _UNAUTHORIZED and challenge is not None and bool(challenge.realm)
    )


def _tag_names(api: _Api, repository: str) -> TagNames:
    # In the registry's order, and each once.
    names: dict[str, None] = {}
    where = f"{repository}/tags/list?n={_PAGE_SIZE}"
    for _ in range(_PAGES_LIMIT):
        answer = api.ask("GET", where, scope=_pull(repository))
        names |= dict.fromkeys(filter(is_tag, _texts(answer, "tags")))
        where = _next_page(answer)
        if not where or len(names) > TAGS_LIMIT:
            break
    kept = tuple(names)[:TAGS_LIMIT]
    return TagNames(kept, not where and len(kept) == len(names))


def _texts(answer: Answer, name: str) -> list[str]:
    """A list in an answer; null, which registries write for an empty one, is one. Raises Unreadable."""
    found = answer.fields().get(name) or []
    if not isinstance(found, list):
        raise Unreadable(f"there is no list of {name} in it")
    return [text for text in found if isinstance(text, str)]


def _next_page(answer: Answer) -> str:
    """Where the list goes on, below /v2/; "" at its end. Only the path is taken: the place stays the same."""
    link = _NEXT.search(answer.headers.get("link", ""))
    parts = urlsplit(link[1]) if link else None
    if parts is None or "/v2/" not in parts.path:
        return ""
    return f"{parts.path.partition('/v2/')[2]}?{parts.query}"


def _next_url(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return ""  # of which the next request says that it is no address


def _leads_to(url: str) -> Origin | None:
    try:
        return origin_of(url)
    except ValueError:
        return None


def _pull(repository: str) -> str:
    return f"repository:{repository}:pull"


@contextlib.contextmanager
def _asking(access: Access, *, about: str = "", seconds: float) -> Iterator[_Api]:
    """The API, for questions about an image or the whole registry; what goes wrong is judged."""
    base = f"https://{access.provider.api_host(access.registry)}"
    with _wire(access, base, seconds) as wire, _judging(access, about, wire):
        yield _Api(access, wire, wire.spoken_by(origin_of(base)))


def _wire(access: Access, base: str, seconds: float) -> Wire:
    return Wire(access.host, seconds=seconds, to_loopback=origin_of(base).is_loopback)


@contextlib.contextmanager
def _judging(access: Access, about: str, wire: Wire) -> Iterator[None]:
    """Turn what was answered in the way of errors into NotAnswered; `about` is the image, "" the whole registry."""
    try:
        yield
    except (Declined, NoToken) as error:
        words = _words(access, error.answer, wire)
        raise NotAnswered(_verdict(access, error, words, about), words) from None
    except Unreadable as error:
        verdict = api_verdicts.answer_unreadable(address=access.registry, detail=str(error))
        raise NotAnswered(verdict) from None


def _verdict(access: Access, error: Declined | NoToken, words: str, about: str) -> Verdict:
    status = error.answer.status
    if status in {_UNAUTHORIZED, _FORBIDDEN} and access.login is None:
        return api_verdicts.anonymous_refused(host=access.registry, what=about or "its repositories")
    kind, host, server, user = access.provider, access.registry, access.host.label, access.host.user
    text = _as_docker_says_it(error.answer, words)
    if isinstance(error, NoToken) or not about:
        verdict = verdicts.of_login(text, status=1, kind=kind, host=host, server=server, user=user)
    else:
        verdict = verdicts.of_pull(text, kind=kind, host=host, reference=about, server=server, user=user)
    return api_verdicts.odd_answer(host=host, status=status) if verdict.code in _UNKNOWN_CODES else verdict


def _as_docker_says_it(answer: Answer, words: str) -> str:
    """An error in the form that Docker gives it: the status, the codes and the messages."""
    if answer.status == _TOO_MANY:
        return f"http 429 toomanyrequests: {words}"
    if answer.status == _NOT_FOUND and "json" in answer.headers.get("content-type", ""):
        # A HEAD has no body to say what is not found, and APIs of providers have no codes for it.
        known = "unknown" in words.lower()
        words = words if known else f"name unknown: {words}" if answer.body else "manifest unknown"
    return f"http {answer.status} {words}"


def _words(access: Access, answer: Answer, wire: Wire) -> str:
    """What a registry says about an error, as the specification has it, else all of it; bounded, without secrets."""
    errors = answer.error().get("errors")
    told = [error for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []
    text = "; ".join(f"{error.get('code', '')}: {error.get('message', '')}" for error in told) or answer.text
    password = [access.login.password] if access.login else []
    return scrub(text, [*password, *wire.hidden])[:_WORDS_LIMIT]
