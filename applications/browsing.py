"""What may be picked for an application's image: repositories and tags, as a look at the registry found them."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.utils.dateparse import parse_datetime

from applications import pull_references
from organisations.models import Organisation, User
from registries import catalog, references
from registries.models import CatalogLook, Registry
from registries.references import DOCKER_HUB, InvalidReference
from servers.models import Server

SHORT_DIGEST = 12


@dataclass(frozen=True, slots=True)
class TagChoice:
    """One tag; `image` and `pinned` are what goes into the field for the tag, and for its digest."""

    name: str
    digest: str
    size: int | None
    created: dt.datetime | None
    platforms: str
    image: str
    pinned: str

    @property
    def short_digest(self) -> str:
        return self.digest.partition(":")[2][:SHORT_DIGEST]


@dataclass(frozen=True, slots=True)
class RepositoryChoice:
    """One repository; `image` is its name as it goes into the field."""

    path: str
    image: str


def ask(
    *, organisation: Organisation, registry: Registry | None, server: Server | None, image: str, asked_by: User
) -> CatalogLook:
    """Have looked for the tags of the repository that `image` names, or for all repositories if it names none."""
    host, repository = registry.url if registry else DOCKER_HUB, ""
    try:
        reference = pull_references.compose(registry=registry, image=image)
        host, repository = reference.host, reference.path
    except InvalidReference:
        pass  # nothing is typed yet, or half a name: the list helps
    return catalog.ask(
        organisation=organisation,
        registry=registry,
        host=host,
        server=server,
        repository=repository,
        asked_by=asked_by,
    )


def repositories_of(look: CatalogLook, *, query: str = "") -> list[RepositoryChoice]:
    """Those whose path has the query in it."""
    paths = [str(path) for path in look.answer.get("repositories", [])]
    return [RepositoryChoice(path, _typed(look, path)) for path in paths if query.lower() in path.lower()]


def tags_of(look: CatalogLook, *, query: str = "") -> list[TagChoice]:
    """The newest first, those whose name has the query in it."""
    name = _typed(look, look.repository)
    rows = look.answer.get("tags", [])
    return [_tag(row, name) for row in rows if query.lower() in str(row["name"]).lower()]


def _tag(row: dict[str, Any], name: str) -> TagChoice:
    digest = str(row.get("digest") or "")
    created = row.get("created")
    return TagChoice(
        name=str(row["name"]),
        digest=digest,
        size=row.get("size"),
        created=parse_datetime(str(created)) if created else None,
        platforms=", ".join(row.get("platforms") or []),
        image=f"{name}:{row['name']}",
        pinned=f"{name}@{digest}" if digest else "",
    )


def _typed(look: CatalogLook, path: str) -> str:
    """A repository as one types it: without what the registry adds by itself."""
    if look.registry is not None:
        prefix = references.normalise_image_prefix(look.registry.image_prefix, host=look.registry.url)
        short = path.removeprefix(f"{prefix}/") if prefix else path
        return short if _composes_to(look.registry, short, path) else f"{look.url}/{path}"
    return path.removeprefix("library/") if look.url == DOCKER_HUB else f"{look.url}/{path}"


def _composes_to(registry: Registry, image: str, path: str) -> bool:
    try:
        return pull_references.compose(registry=registry, image=image).path == path
    except InvalidReference:
        return False
