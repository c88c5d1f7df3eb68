"""The registry providers that dokreg knows, one module each."""

from registries.kinds.acr import Acr
from registries.kinds.alibaba import Alibaba
from registries.kinds.base import Kind, UnknownKind
from registries.kinds.digitalocean import DigitalOcean
from registries.kinds.docker_hub import DockerHub
from registries.kinds.ecr import Ecr, EcrPublic
from registries.kinds.generic import Generic
from registries.kinds.ghcr import Ghcr
from registries.kinds.gitlab import GitLab
from registries.kinds.google import Google
from registries.kinds.harbor import Harbor
from registries.kinds.ibm import Ibm
from registries.kinds.nexus import Nexus
from registries.kinds.ocir import Ocir
from registries.kinds.quay import Quay
from registries.kinds.scaleway import Scaleway

__all__ = ["Kind", "UnknownKind", "all_kinds", "for_host", "get"]

# In the order in which people see them. The generic one takes any host and so comes last.
_KINDS: tuple[Kind, ...] = (
    DockerHub(),
    Ghcr(),
    GitLab(),
    Ecr(),
    EcrPublic(),
    Google(),
    Acr(),
    Quay(),
    Harbor(),
    Nexus(),
    DigitalOcean(),
    Scaleway(),
    Ocir(),
    Ibm(),
    Alibaba(),
    Generic(),
)
_BY_SLUG = {kind.slug: kind for kind in _KINDS}


def all_kinds() -> tuple[Kind, ...]:
    """Every kind, in the order of display."""
    return _KINDS


def get(slug: str) -> Kind:
    """The kind with this slug. Raises UnknownKind."""
    try:
        return _BY_SLUG[slug]
    except KeyError:
        known = ", ".join(_BY_SLUG)
        raise UnknownKind(f"There is no kind of registry of this name. Choose one of: {known}.") from None


def for_host(host: str) -> Kind:
    """The kind that a normalised host belongs to, or the generic one."""
    return next(kind for kind in _KINDS if kind.matches(host))
