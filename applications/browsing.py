"""What there is to pick for an application's image: repositories and tags of the registry that its form has chosen.

A look of registries.catalog finds them; here they become what one can type into the form.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.dateparse import parse_datetime

from applications import pull_references, verdicts
from organisations.models import Organisation, User
from registries import catalog, references
from registries.models import CatalogLook, Registry
from registries.references import InvalidHost, InvalidReference, Reference
from servers.models import Server
from servers.verdicts import Verdict

SHORT_DIGEST = 12


class NothingToAsk(Exception):
    """The form does not say yet whom to ask, or from where; `verdict` says what is missing."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.cause)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class FoundTag:
    """A tag with what one types for it; `pinned` is the same by digest, "" where that is not known."""

    name: str
    digest: str
    size: int | None
    created: dt.datetime | None
    platforms: list[str]
    image: str
    pinned: str

    @property
    def short_digest(self) -> str:
        return self.digest.partition(":")[2][:SHORT_DIGEST]


@dataclass(frozen=True, slots=True)
class Found:
    """What a look has found, of that what a person is searching for; `counted` says how many of how many."""

    repositories: list[str]
    tags: list[FoundTag]
    counted: str
    is_empty: bool
    is_complete: bool
    problem: str


def ask(
    *,
    organisation: Organisation,
    registry: Registry | None,
    image: str,
    repository: str | None,
    server: Server | None,
    asked_by: User,
) -> CatalogLook:
    """Queue a look at the registry, or without one, as anybody, at the host of the image.

    At the tags of a repository (its path below the host), at all repositories for "", or for None at what the image
    names. From the server, or dokreg's own host for None where that may be used. Raises NothingToAsk.
    """
    host, named = _source(registry, image)
    if server is None and not settings.DOKREG_LOCAL_DOCKER:
        raise NothingToAsk(verdicts.no_server_to_browse_from())
    return catalog.ask(
        organisation=organisation,
        registry=registry,
        host=host,
        server=server,
        repository=named if repository is None else repository,
        asked_by=asked_by,
    )


def look_of(*, organisation: Organisation, asked_by: User, look_id: str) -> CatalogLook | None:
    """The person's own look, until it is forgotten; without the secrets of its registry."""
    looks = CatalogLook.objects.of(organisation).select_related("registry")
    looks = looks.defer("registry__password", "registry__token", "registry__account")
    return looks.filter(pk=look_id, asked_by=asked_by).first()


def found_by(look: CatalogLook, *, query: str = "") -> Found | None:
    """What the look has found whose names contain the query; None while there is no answer."""
    if not look.answer:
        return None
    wanted = query.strip().lower()
    if look.repository:
        return _found_tags(look, wanted)
    return _found_repositories(look.answer, wanted)


def _source(registry: Registry | None, image: str) -> tuple[str, str]:
    """The host, and the path of the repository that the image names, "" if it names none there."""
    if registry is not None:
        return registry.url, _named(registry, image)
    try:
        if image.strip().endswith("/"):
            return references.normalise_host(image), ""
        reference = references.parse(image)
    except (InvalidHost, InvalidReference) as error:
        raise NothingToAsk(verdicts.no_registry_to_browse(why=str(error) if image.strip() else "")) from error
    return reference.host, reference.path


def _named(registry: Registry, image: str) -> str:
    try:
        return pull_references.compose(registry=registry, image=image).path
    except InvalidReference:
        return ""


def _found_repositories(answer: dict[str, Any], wanted: str) -> Found:
    every = answer["repositories"]
    listed = [path for path in every if wanted in path]
    total = _number(len(every), "repository", "repositories")
    if not answer["is_complete"]:
        total = f"The first {total}"
    return Found(
        repositories=listed,
        tags=[],
        counted=_counted(len(listed), len(every), total=total, wanted=wanted),
        is_empty=not every,
        is_complete=answer["is_complete"],
        problem="",
    )


def _found_tags(look: CatalogLook, wanted: str) -> Found:
    answer = look.answer
    every, total = answer["tags"], _number(answer["total"], "tag", "tags")
    listed = [tag for tag in every if wanted in tag["name"].lower() or wanted in (tag["digest"] or "")]
    is_complete = answer["is_total_exact"] and answer["total"] <= len(every)
    if not is_complete:
        total = f"{len(every):,} of {'' if answer['is_total_exact'] else 'more than '}{total}"
    return Found(
        repositories=[],
        tags=[_tag(look, tag) for tag in listed],
        counted=_counted(len(listed), len(every), total=total, wanted=wanted),
        is_empty=not every,
        is_complete=is_complete,
        problem=answer["problem"],
    )


def _counted(number: int, every: int, *, total: str, wanted: str) -> str:
    return f"{number:,} of the {every:,} listed" if wanted else total


def _number(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _tag(look: CatalogLook, tag: dict[str, Any]) -> FoundTag:
    digest = tag["digest"] or ""
    tagged = Reference(look.url, look.repository, tag["name"])
    pinned = Reference(look.url, look.repository, digest=digest)
    return FoundTag(
        name=tag["name"],
        digest=digest,
        size=tag["size"],
        created=parse_datetime(tag["created"]) if tag["created"] else None,
        platforms=tag["platforms"],
        image=pull_references.shortest(registry=look.registry, reference=tagged),
        pinned=pull_references.shortest(registry=look.registry, reference=pinned) if digest else "",
    )
