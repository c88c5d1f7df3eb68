"""The names of registries and images, as Docker understands them.

The rules are those of the distribution project's reference grammar and of Docker's own shorthand for it
(`nginx` is `docker.io/library/nginx:latest`). Whatever this module returns can be given to `docker pull`.
"""

import ipaddress
import re
from dataclasses import dataclass

DOCKER_HUB = "docker.io"

# The CLI stores a login for Docker Hub under this one key; an empty host and `docker.io` both lead to it.
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_DOCKER_HUB_ALIASES = frozenset(
    {"registry.hub.docker.com", "hub.docker.com", "index.docker.io", "registry-1.docker.io"}
)
_DOCKER_HUB_NAMESPACE = "library"
_DEFAULT_TAG = "latest"

_HOST_LIMIT = 253
_LABEL_LIMIT = 63
_PORT_LIMIT = 65535
_NAME_LIMIT = 255
_TAG_LIMIT = 128
_REFERENCE_LIMIT = 1024
_SHOWN_LIMIT = 80

_SCHEME = re.compile(r"^(?P<scheme>[a-z][a-z0-9+.-]*)://", re.IGNORECASE | re.ASCII)
_FORBIDDEN_CHARACTER = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*", re.ASCII)
_TAG = re.compile(r"\w[\w.-]*", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}", re.ASCII)
_IMAGE_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


class InvalidHost(ValueError):
    """The text is no registry host; `str()` is a sentence for people."""


class InvalidReference(ValueError):
    """The text is no image reference; `str()` is a sentence for people."""


class InvalidImagePrefix(ValueError):
    """The text is no image prefix; `str()` is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image: `host` as `normalise_host` returns it, `path` below it, a tag or a digest or both."""

    host: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def repository(self) -> str:
        """`host/path`, without tag and digest."""
        return f"{self.host}/{self.path}"

    @property
    def name(self) -> str:
        """The last part of the path: `web` of `ghcr.io/acme/web:1`."""
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        """The full reference, as one gives it to `docker pull`."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def normalise_host(text: str) -> str:
    """`host` or `host:port` in lower case; `docker.io` for Docker Hub under any of its names.

    Forgives white space around it, `https://` and `http://` before it and slashes after it.

    Raises InvalidHost.
    """
    stripped = text.strip()
    bare = _without_scheme(stripped)
    if not stripped or _is_docker_hub(bare):
        return DOCKER_HUB
    _refuse_foreign_parts(bare)
    authority, _, path = bare.partition("/")
    host = _normalise_authority(authority)
    if path.strip("/"):
        raise InvalidHost(
            f'A registry\'s address has no path. Write only "{host}" here; '
            f'"{_shown(path.strip("/"))}" belongs into the image prefix.'
        )
    return host


def is_docker_hub_alias(text: str) -> bool:
    """Whether this is Docker Hub under a name by which Docker would keep the login under a key of its own.

    `docker login registry-1.docker.io` succeeds, and yet `docker pull acme/web` stays anonymous. An empty
    host, `docker.io` and `https://index.docker.io/v1/` all lead to the right key: observed with Docker 20.10
    and 28.
    """
    bare = text.strip().lower()
    return bare != _DOCKER_HUB_KEY and _hub_name(_without_scheme(bare)) in _DOCKER_HUB_ALIASES


def parse(text: str) -> Reference:
    """Read an image reference by Docker's rules.

    The first part is a host if it has a dot or a colon or is `localhost`, otherwise the image is on Docker
    Hub; a single name there is in `library/`; without tag and digest the tag is `latest`.

    Raises InvalidReference.
    """
    first, rest = _split_host(_checked_text(text))
    host = _host_of_reference(first) if first else DOCKER_HUB
    path, tag, digest = _split_path(rest)
    return _reference(host=host, path=path, tag=tag, digest=digest)


def compose(*, host: str, image_prefix: str, image: str) -> Reference:
    """Join a registry's host and image prefix with an image's name, tag and digest.

    An image that carries the registry's host is complete: the prefix is not put before it. An image that
    carries the prefix does not get it twice.

    Raises InvalidReference (also if the image carries another host), InvalidHost, InvalidImagePrefix.
    """
    host = normalise_host(host)
    prefix = normalise_image_prefix(image_prefix, host=host)
    first, rest = _split_host(_checked_text(image))
    path, tag, digest = _split_path(rest)
    if first:
        _refuse_other_host(_host_of_reference(first), host)
    elif prefix and not _carries_prefix(path, prefix):
        path = f"{prefix}/{path}"
    return _reference(host=host, path=path, tag=tag, digest=digest)


def normalise_image_prefix(text: str, *, host: str) -> str:
    """The path before an image's name, without slashes around it and without the registry's host; or "".

    `host` is as `normalise_host` returns it, or "" for Docker Hub.

    Raises InvalidImagePrefix.
    """
    host = host or DOCKER_HUB
    prefix = _without_scheme(text.strip()).strip("/")
    first, _, rest = prefix.partition("/")
    if first and _names_host(first, host):
        prefix = rest.strip("/")
    if prefix:
        _check_image_prefix(prefix, host)
    return prefix


def is_path(text: str) -> bool:
    """Whether this can be the path of a repository below its host."""
    return len(text) <= _NAME_LIMIT and all(map(_COMPONENT.fullmatch, text.split("/")))


def is_tag(text: str) -> bool:
    """Whether this can be a tag."""
    return len(text) <= _TAG_LIMIT and _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether this is a digest of a manifest."""
    return _DIGEST.fullmatch(text) is not None


def _shown(text: str) -> str:
    """The text as one may repeat it in a sentence: bounded, and without characters that break it."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= _SHOWN_LIMIT else f"{printable[:_SHOWN_LIMIT]}…"


def _without_scheme(text: str) -> str:
    match = _SCHEME.match(text)
    if match is None or match["scheme"].lower() not in {"http", "https"}:
        return text
    return text[match.end() :]


def _hub_name(bare: str) -> str:
    return bare.lower().rstrip("/").removesuffix("/v1")


def _is_docker_hub(bare: str) -> bool:
    name = _hub_name(bare)
    return name == DOCKER_HUB or name in _DOCKER_HUB_ALIASES


def _refuse_foreign_parts(bare: str) -> None:
    """Refuse what an address of the web may have and a registry's host may not; never repeats it."""
    if "@" in bare:
        raise InvalidHost(
            "A registry's address has no username or password in it. Write the host alone, "
            "and the credentials into their own fields."
        )
    if _SCHEME.match(bare):
        raise InvalidHost("A registry is reached over https. Write the host alone, for example ghcr.io.")
    if "?" in bare or "#" in bare:
        raise InvalidHost('A registry\'s address has no "?" or "#" in it. Write the host alone.')
    if "\\" in bare:
        raise InvalidHost("A registry's address has no backslash in it. Write the host alone.")
    if _FORBIDDEN_CHARACTER.search(bare):
        raise InvalidHost("A registry's address has no spaces or control characters in it. Write the host alone.")


def _normalise_authority(authority: str) -> str:
    if authority.startswith("["):
        return _normalise_ipv6(authority)
    name, colon, port = authority.partition(":")
    if ":" in port:
        raise InvalidHost(
            "This address has more than one colon. Write host:port, "
            "and an IPv6 address in brackets, for example [2001:db8::1]:5000."
        )
    return _with_port(_normalise_name(name, has_port=bool(colon)), port=port if colon else None)


def _normalise_ipv6(authority: str) -> str:
    literal, bracket, after = authority[1:].partition("]")
    if not bracket or (after and not after.startswith(":")):
        raise InvalidHost("Write an IPv6 address in brackets, for example [2001:db8::1]:5000.")
    try:
        address = ipaddress.IPv6Address(literal)
    except ValueError:
        raise InvalidHost("The part in brackets is not an IPv6 address. Check it for typing errors.") from None
    if address.scope_id:
        raise InvalidHost("Docker takes no zone in an IPv6 address. Leave out the part from the % on.")
    return _with_port(f"[{address.compressed}]", port=after[1:] if after else None)


def _with_port(name: str, *, port: str | None) -> str:
    if port is None:
        return name
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= _PORT_LIMIT):
        raise InvalidHost(f"The part after the colon must be a port, a number from 1 to {_PORT_LIMIT}.")
    return f"{name}:{int(port)}"


def _normalise_name(name: str, *, has_port: bool) -> str:
    ascii_name = _to_ascii(name)
    if ascii_name.startswith("-"):
        raise InvalidHost('A registry\'s address cannot begin with "-".')
    if len(ascii_name) > _HOST_LIMIT:
        raise InvalidHost(f"A host name has at most {_HOST_LIMIT} characters; this one has {len(ascii_name)}.")
    for label in ascii_name.split("."):
        _check_label(label)
    if not has_port and "." not in ascii_name and ascii_name != "localhost":
        raise InvalidHost(
            "This address has neither a dot nor a port, so Docker would take it for a name on Docker Hub. "
            "Write the full name, for example registry.example.com, or add the port."
        )
    return ascii_name


def _to_ascii(name: str) -> str:
    if name.isascii() or len(name) > _HOST_LIMIT:
        return name.lower()
    try:
        return name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise InvalidHost("This is not a host name that the DNS knows. Check it for typing errors.") from None


def _check_label(label: str) -> None:
    if not label:
        raise InvalidHost("A part of the host name is empty. Check the dots in it.")
    if len(label) > _LABEL_LIMIT:
        raise InvalidHost(
            f"Between its dots a host name has at most {_LABEL_LIMIT} characters; one part has {len(label)}."
        )
    if not _LABEL.fullmatch(label):
        raise InvalidHost(
            f'"{_shown(label)}" cannot be part of a host name: use letters, digits and hyphens, '
            "with no hyphen at either end."
        )


def _checked_text(text: str) -> str:
    """The reference without white space around it, free of what no reference can have."""
    bare = text.strip()
    if not bare:
        raise InvalidReference("The image is missing. Write its name, for example acme/web:1.4.")
    if len(bare) > _REFERENCE_LIMIT:
        raise InvalidReference(f"An image reference has at most {_REFERENCE_LIMIT} characters.")
    if _FORBIDDEN_CHARACTER.search(bare):
        raise InvalidReference("An image reference has no spaces or control characters in it.")
    if bare.startswith("-"):
        raise InvalidReference('An image reference cannot begin with "-".')
    if _SCHEME.match(bare):
        raise InvalidReference("An image reference has no https:// before it. Begin with the host or the name.")
    return bare


def _split_host(text: str) -> tuple[str, str]:
    """The host as it was written, or "", and the rest."""
    first, slash, rest = text.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return (first, rest) if is_host else ("", text)


def _host_of_reference(first: str) -> str:
    try:
        return normalise_host(first)
    except InvalidHost as error:
        raise InvalidReference(f"The host at the beginning is not right. {error}") from None


def _names_host(first: str, host: str) -> bool:
    try:
        return normalise_host(first) == host
    except InvalidHost:
        return False


def _split_path(text: str) -> tuple[str, str | None, str | None]:
    """Path, tag and digest; the tag defaults to `latest` only if there is neither."""
    named, at, digest = text.partition("@")
    path, colon, tag = named.partition(":")
    if at and not _DIGEST.fullmatch(digest):
        raise InvalidReference(
            "The part after the @ is not a digest. It looks like sha256: and 64 digits from 0-9 and a-f."
        )
    if colon:
        _check_tag(tag)
    default = None if at else _DEFAULT_TAG
    return path, tag if colon else default, digest if at else None


def _check_tag(tag: str) -> None:
    if len(tag) > _TAG_LIMIT:
        raise InvalidReference(f"A tag has at most {_TAG_LIMIT} characters; this one has {len(tag)}.")
    if not _TAG.fullmatch(tag):
        raise InvalidReference(
            f'"{_shown(tag)}" is not a tag: use letters, digits, "_", "." and "-", '
            'and neither "." nor "-" at the beginning.'
        )


def _reference(*, host: str, path: str, tag: str | None, digest: str | None) -> Reference:
    if _IMAGE_ID.fullmatch(path):
        raise InvalidReference("This is the id of an image, which cannot be pulled. Write its name.")
    if host == DOCKER_HUB and path and "/" not in path:
        path = f"{_DOCKER_HUB_NAMESPACE}/{path}"
    reference = Reference(host=host, path=path, tag=tag, digest=digest)
    _check_path(path)
    if len(reference.repository) > _NAME_LIMIT:
        raise InvalidReference(f"The name of an image, with its host, has at most {_NAME_LIMIT} characters.")
    return reference


def _check_path(path: str) -> None:
    if not path:
        raise InvalidReference("The image's name is missing after the host. Write, for example, acme/web:1.4.")
    if path != path.lower():
        raise InvalidReference(
            f'The name of an image is written in lower case: "{_shown(path.lower())}", not "{_shown(path)}".'
        )
    for component in path.split("/"):
        if not _COMPONENT.fullmatch(component):
            raise InvalidReference(_component_sentence(component, whole=path))


def _component_sentence(component: str, *, whole: str) -> str:
    if not component:
        return f'"{_shown(whole)}" has an empty part. Check the slashes in it.'
    return (
        f'"{_shown(component)}" cannot be part of an image\'s name: use lower-case letters and digits, '
        'with ".", "_" or "-" only between them.'
    )


def _refuse_other_host(found: str, expected: str) -> None:
    if found != expected:
        raise InvalidReference(
            f"The image is on {found}, but the registry chosen for it is {expected}. "
            "Choose the registry of that host, or leave the host out of the image's name."
        )


def _carries_prefix(path: str, prefix: str) -> bool:
    """Whether the path begins with the prefix.

    A path that equals a prefix of several parts is that image itself: on GitLab an image may have the very
    name of its project. A single name is not: grafana/grafana is common.
    """
    return path.startswith(f"{prefix}/") or (path == prefix and "/" in prefix)


def _check_image_prefix(prefix: str, host: str) -> None:
    if len(f"{host}/{prefix}") >= _NAME_LIMIT:
        raise InvalidImagePrefix(f"The image prefix is too long: host, prefix and name have {_NAME_LIMIT} characters.")
    if ":" in prefix or "@" in prefix:
        raise InvalidImagePrefix(
            'The image prefix is the path before an image\'s name, such as "acme/team". '
            f"It has no port, tag or digest, and no other host than {host}."
        )
    if prefix != prefix.lower():
        raise InvalidImagePrefix(
            f'The image prefix is written in lower case, as Docker wants it: "{_shown(prefix.lower())}".'
        )
    for component in prefix.split("/"):
        if not _COMPONENT.fullmatch(component):
            raise InvalidImagePrefix(_component_sentence(component, whole=prefix))
