"""What a manifest says about its image: OCI image specification, and Docker's image manifests of version 2.

An index stands for several images. Its size and age are those for linux/amd64, or else of the first.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from registries.kinds.listing import Tag, moment_of, platform_of, size_of
from registries.kinds.minting import Answer, Unreadable
from registries.references import is_digest

_INDEXES = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
_IMAGES = frozenset(
    {"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
)
ACCEPT = ", ".join(sorted(_INDEXES | _IMAGES))
USUAL_PLATFORM = "linux/amd64"
PLATFORMS_LIMIT = 30

Fetch = Callable[[str], bytes]


def describe(name: str, *, manifest: Fetch, blob: Fetch) -> Tag:
    """A tag by its manifest, that of one image of it, and the image's configuration.

    `manifest` fetches one by tag or digest, `blob` one by digest. Raises Unreadable, and what they raise.
    """
    body = manifest(name)
    fields = _fields(body)
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    entries = fields.get("manifests")
    if isinstance(entries, list):
        images = [entry for entry in entries if isinstance(entry, dict)]
        platforms = [platform_of(_platform(entry)) for entry in images]
        shown = tuple(dict.fromkeys(filter(None, platforms)))[:PLATFORMS_LIMIT]
        chosen = _chosen(images, platforms)
        if chosen is None:
            return Tag(name, digest, platforms=shown)
        image = _fields(manifest(chosen))
        configuration = _configuration(image, blob)
        return Tag(name, digest, _size(image), moment_of(configuration.get("created")), shown)
    configuration = _configuration(fields, blob)
    platform = platform_of(configuration)
    created = moment_of(configuration.get("created"))
    return Tag(name, digest, _size(fields), created, (platform,) if platform else ())


def _chosen(images: list[dict[str, Any]], platforms: list[str]) -> str | None:
    """The digest of the image that stands for all."""
    named = [index for index, platform in enumerate(platforms) if platform]
    usual = next((index for index in named if platforms[index] == USUAL_PLATFORM), None)
    best = usual if usual is not None else next(iter(named), 0 if images else None)
    digest = str(images[best].get("digest", "")) if best is not None else ""
    return digest if is_digest(digest) else None


def _platform(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    platform = entry.get("platform")
    return platform if isinstance(platform, dict) else {}


def _size(image: Mapping[str, Any]) -> int | None:
    """The bytes of all that is pulled; None where it is not said."""
    layers, config = image.get("layers"), image.get("config")
    if not isinstance(layers, list):
        return None
    parts = [part for part in (config, *layers) if isinstance(part, dict)]
    sizes = [size_of(part.get("size")) for part in parts]
    return None if not sizes or None in sizes else size_of(sum(size for size in sizes if size is not None))


def _configuration(image: Mapping[str, Any], blob: Fetch) -> dict[str, Any]:
    """An image's configuration; empty where there is none, as of what is no image but kept like one."""
    config = image.get("config")
    digest = str(config.get("digest", "")) if isinstance(config, dict) else ""
    media_type = str(config.get("mediaType", "")) if isinstance(config, dict) else ""
    if not is_digest(digest) or "image" not in media_type:
        return {}
    return _fields(blob(digest))


def _fields(body: bytes) -> dict[str, Any]:
    try:
        return Answer(0, {}, body).fields()
    except Unreadable:
        raise Unreadable("a manifest, or the configuration of an image, is not a JSON object") from None
