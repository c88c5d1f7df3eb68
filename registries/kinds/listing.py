"""What registries list, and how a provider with an API of its own for that is asked."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from registries.kinds.minting import Answer
from servers.verdicts import Verdict

REPOSITORIES_LIMIT = 200
DESCRIBED_LIMIT = 50
_LARGEST_NUMBER = 2**60
_EPOCHS = 1980  # by then those of Unix, tar and zip have begun
_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Repositories:
    """Paths of repositories, sorted, at most REPOSITORIES_LIMIT; `is_complete` tells whether there are no others."""

    paths: tuple[str, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class TagNames:
    """Names of tags in the registry's order; `is_complete` tells whether there are no others."""

    names: tuple[str, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag and what it stands for: `size` is in bytes as they are pulled, `platforms` are as `linux/arm64/v8`.

    What is not known is "", None or empty.
    """

    name: str
    digest: str = ""
    size: int | None = None
    created: dt.datetime | None = None
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tags:
    """Tags, the newest first, at most DESCRIBED_LIMIT of `total`; `is_total_exact` is false if there are even more.

    `problem` is why some of them have a name alone.
    """

    tags: tuple[Tag, ...]
    total: int
    is_total_exact: bool = True
    problem: Verdict | None = None


class Declined(Exception):
    """The provider's API did not give what was asked for."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("The provider declined.")
        self.answer = answer


class Caller(Protocol):
    """What sends requests, and keeps to a deadline."""

    def ask(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send one request. Raises NotAnswered."""


class Account(Protocol):
    """Whose rights are used."""

    @property
    def username(self) -> str: ...

    @property
    def password(self) -> str: ...


class Listing(Protocol):
    """A provider's own API, in the place of the registry's. Raises Declined, Unreadable, and what the caller raises."""

    def url(self) -> str:
        """Where it is, by dokreg's settings."""

    def list_repositories(self, caller: Caller, account: Account | None, *, namespace: str) -> Repositories:
        """The repositories of a namespace; of the account's own for ""."""

    def describe_tags(self, caller: Caller, account: Account | None, *, repository: str, limit: int) -> Tags:
        """The newest tags of a repository."""


def newest_first(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """Sorted by age; those whose age is not known come last, as they came."""
    return tuple(sorted(tags, key=lambda tag: tag.created or _NEVER, reverse=True))


def size_of(value: object) -> int | None:
    """A number of bytes, or of things, that a provider names, or None."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _LARGEST_NUMBER else None


def moment_of(value: object) -> dt.datetime | None:
    """A moment in the form of RFC 3339, or None.

    Builds that are to come out the same each time carry the beginning of an epoch: that is no age.
    """
    try:
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None or moment.year <= _EPOCHS:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def platform_of(fields: Mapping[str, Any]) -> str:
    """`os/architecture` or `os/architecture/variant`; "" where that is not known."""
    parts = [fields.get(name) for name in ("os", "architecture", "variant")]
    words = [part for part in parts if isinstance(part, str) and part.isascii() and part.isalnum()]
    named = len(words) >= 2 and "unknown" not in words  # attestations are of no platform
    return "/".join(words)[:60] if named else ""
