"""What an application pulls, in full, of its registry and the image that somebody typed."""

from dataclasses import dataclass, field

from organisations.models import Organisation
from registries import references
from registries.models import Registry
from registries.references import InvalidReference, Reference

MOST_OFFERED = 5
# Docker puts it before a single name.
_DOCKER_HUB_PREFIX = "library"


@dataclass(frozen=True, slots=True)
class PullReference:
    """The full reference, or why there is none; and the registries that are saved for the image's host."""

    reference: Reference | None = None
    complaint: str = ""
    offered: list[Registry] = field(default_factory=list)


def compose(*, registry: Registry | None, image: str) -> Reference:
    """Raises InvalidReference, also for what is wrong with the registry's own host or prefix."""
    if registry is None:
        return references.parse(image)
    try:
        return references.compose(host=registry.url, image_prefix=registry.image_prefix, image=image)
    except (references.InvalidHost, references.InvalidImagePrefix) as error:
        raise InvalidReference(str(error)) from error


def shortest(*, registry: Registry | None, reference: Reference) -> str:
    """The shortest that one can type for `compose` to answer this reference; in full if nothing less does."""
    full = str(reference)
    below_host = full.removeprefix(f"{reference.host}/")
    prefix = registry.image_prefix if registry is not None else _DOCKER_HUB_PREFIX
    for image in (below_host.removeprefix(f"{prefix}/"), below_host):
        if _is_composed(registry, image, reference):
            return image
    return full


def _is_composed(registry: Registry | None, image: str, reference: Reference) -> bool:
    try:
        return compose(registry=registry, image=image) == reference
    except InvalidReference:
        return False


def describe(*, organisation: Organisation, registry: Registry | None, image: str) -> PullReference:
    """The same for a form, where a person is still typing: an image of another saved registry offers that one."""
    try:
        reference = compose(registry=registry, image=image)
    except InvalidReference as error:
        return PullReference(complaint=str(error), offered=_of_host(organisation, image) if registry else [])
    # Without a registry it is pulled as by anybody; there may be an account for its host.
    return PullReference(reference, offered=[] if registry else _of_host(organisation, image))


def _of_host(organisation: Organisation, image: str) -> list[Registry]:
    try:
        host = references.parse(image).host
    except InvalidReference:
        return []
    return list(Registry.objects.of(organisation).filter(url=host).order_by("name")[:MOST_OFFERED])
