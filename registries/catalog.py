"""Looks at what a registry has, from the very server that will pull: repositories, or the tags of one.

A look is a row that a worker answers. It is kept for an hour, for whoever asked.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db import transaction

from dokreg.database import patiently
from organisations.models import Organisation, User
from registries import kinds, quotas, registry_api, tokens
from registries.models import CatalogLook, Registry
from registries.references import Reference
from registries.registry_api import Access, Manifest, NotAnswered, Repositories, Tag, Tags
from registries.wire import is_loopback
from servers import docker, runs, ssh
from servers import verdicts as host_verdicts
from servers.docker import Host
from servers.ladder import Ladder
from servers.models import Server
from servers.stages import TASK_SECONDS
from servers.testing import climb_all
from servers.verdicts import Verdict

Found = TypeVar("Found")
STEPS = (("catalog", "Listing"),)
UNDER_WAY = (CatalogLook.State.QUEUED, CatalogLook.State.RUNNING)


def ask(
    *,
    organisation: Organisation,
    registry: Registry | None,
    host: str = "",
    server: Server | None,
    repository: str = "",
    asked_by: User | None,
) -> CatalogLook:
    """Queue a look, or answer the same person's one that is under way for just this.

    With the account of a registry, or for None as anybody at a normalised `host`; from a server, or from dokreg's own
    host for None. `repository` is a path below the host; for "" the repositories are listed.
    """
    from registries.tasks import run_catalog_look

    wanted = {
        "organisation": organisation,
        "registry": registry,
        "url": registry.url if registry else host,
        "server": server,
        "server_name": server.name if server else "",
        "repository": repository,
        "asked_by": asked_by,
    }
    with transaction.atomic():
        under_way = CatalogLook.objects.filter(**wanted, state__in=UNDER_WAY).first()
        if under_way is not None:
            return under_way
        look = CatalogLook.objects.create(**wanted, rungs=Ladder(STEPS, save=lambda _rungs: None).rungs)
        runs.send(run_catalog_look, look)
    return look


def run(look_id: str) -> None:
    """Run a queued look; leaves quietly if it is gone, or another worker has it."""
    look = runs.claim(CatalogLook, look_id)
    if look is None:
        return
    server = runs.server_of(look.server_id)
    ladder = Ladder(STEPS, save=lambda rungs: runs.save_rungs(look, rungs))
    answer: dict[str, Any] = {}
    if server is None and look.server_name:
        ladder.failed("catalog", host_verdicts.server_gone(server=look.server_name))
    else:
        climb_all(ladder, server, lambda: answer.update(_climb(look, server, ladder)))
    runs.finish(look, ladder.verdict, failed=ladder.has_failed, answer=answer)


def access_to(*, registry: Registry | None, url: str, host: Host) -> Access:
    """From this host to a registry with its account, or as anybody to the one at `url`.

    A token that is needed is minted. Raises tokens.TokenMissing, SecretUnreadable.
    """
    if registry is None:
        return Access(host, kinds.for_host(url), url)
    return Access(host, registry.provider, registry.url, tokens.docker_login(registry))


def find_manifest(
    *, organisation: Organisation, registry: Registry | None, server: Server | None, reference: Reference
) -> Manifest:
    """What a reference stands for now, as the server that pulls it gets to know it, or dokreg's own host for None.

    Nothing is pulled. The quota that the registry tells along with it is kept. Takes up to HEAD_SECONDS, and
    MINT_DEADLINE for a token. Raises NotAnswered, ssh.SSHProblem, tokens.TokenMissing, SecretUnreadable.
    """
    end = time.monotonic() + TASK_SECONDS
    access = access_to(registry=registry, url=reference.host, host=docker.host_of(server, end=end))
    asked = _ask_or_stand_in(
        access, lambda access: registry_api.head_manifest(access=access, reference=reference), end=end
    )
    patiently(
        lambda: quotas.note(
            organisation=organisation,
            host=reference.host,
            registry=registry,
            server=None if asked.is_of_stand_in else server,
            rate_limit=asked.answer.rate_limit,
        )
    )
    return asked.answer


def _climb(look: CatalogLook, server: Server | None, ladder: Ladder) -> dict[str, Any]:
    """The answer; empty if there is none, which the ladder then says."""
    end = time.monotonic() + TASK_SECONDS
    try:
        registry = patiently(lambda: look.registry)
        access = access_to(registry=registry, url=look.url, host=docker.host_of(server, end=end))
        if access.login is not None:
            ladder.hide(access.login.password)
        ladder.start("catalog")  # to mint a token may have taken long: the lease begins anew
        asked = _ask_or_stand_in(access, lambda access: _answer(look, access), end=end)
    except (NotAnswered, tokens.TokenMissing) as error:
        ladder.failed("catalog", error.verdict, words=error.words)
        return {}
    ladder.passed("catalog", fact=f"as seen from {asked.place}")
    return {**asked.answer, "place": asked.place, "note": asked.note}


@dataclass(frozen=True, slots=True)
class _Asked(Generic[Found]):
    """What was found from a place, and a sentence on why from there if it is not the one that was to ask."""

    answer: Found
    place: str
    note: str = ""

    @property
    def is_of_stand_in(self) -> bool:
        return bool(self.note)


def _ask_or_stand_in(access: Access, question: Callable[[Access], Found], *, end: float) -> _Asked[Found]:
    """What the server finds; or dokreg's own host, if the server connects nobody and that is allowed."""
    try:
        return _Asked(question(access), access.host.label)
    except ssh.ForwardingForbidden as forbidden:
        # On loopback there is something else at home than on the server, and it must not get the password.
        if is_loopback(access.registry) or not settings.DOKREG_LOCAL_DOCKER:
            raise
        own = dataclasses.replace(access, host=docker.host_of(None, end=end))
        try:
            note = f"{forbidden.verdict.cause} So dokreg asked from its own host."
            return _Asked(question(own), own.host.label, note)
        except ssh.SSHProblem:
            raise forbidden from None


def _answer(look: CatalogLook, access: Access) -> dict[str, Any]:
    if look.repository:
        return _of_tags(registry_api.describe_tags(access=access, repository=look.repository))
    namespace = look.registry.image_prefix if look.registry else ""
    return _of_repositories(registry_api.list_repositories(access=access, namespace=namespace))


def _of_repositories(found: Repositories) -> dict[str, Any]:
    return {"repositories": list(found.paths), "is_complete": found.is_complete}


def _of_tags(found: Tags) -> dict[str, Any]:
    return {
        "tags": [_of_tag(tag) for tag in found.tags],
        "total": found.total,
        "is_total_exact": found.is_total_exact,
        "problem": _sentences(found.problem),
    }


def _of_tag(tag: Tag) -> dict[str, Any]:
    return {
        "name": tag.name,
        "digest": tag.digest,
        "size": tag.size,
        "created": tag.created.isoformat() if tag.created else None,
        "platforms": list(tag.platforms),
    }


def _sentences(verdict: Verdict | None) -> str:
    return f"{verdict.cause} {verdict.fix}" if verdict else ""
