"""The quota of pulls, as Docker Hub tells it in the headers of a manifest (draft-polli-ratelimit-headers)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# "100;w=21600": so many in a window of so many seconds. The window may be left out.
_QUOTA = re.compile(r"\s*(?P<number>\d{1,9})\s*(?:;\s*w\s*=\s*(?P<window>\d{1,9})\b)?", re.ASCII)
_SOURCE = re.compile(r"[\w.:@/+-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many pulls are left of `limit` in a window of so many seconds; for `source`, an address or an account's id.

    What the registry did not say is None, or "".
    """

    limit: int | None
    remaining: int | None
    window_seconds: int | None
    source: str


def rate_limit_of(headers: Mapping[str, str]) -> RateLimit | None:
    """The quota in the headers of an answer, by their names in lower case; None if there is none."""
    limit = _QUOTA.match(headers.get("ratelimit-limit", ""))
    remaining = _QUOTA.match(headers.get("ratelimit-remaining", ""))
    if limit is None and remaining is None:
        return None
    window = next((found["window"] for found in (limit, remaining) if found and found["window"]), None)
    source = _SOURCE.match(headers.get("docker-ratelimit-source", "").strip())
    return RateLimit(
        limit=int(limit["number"]) if limit else None,
        remaining=int(remaining["number"]) if remaining else None,
        window_seconds=int(window) if window else None,
        source=source[0] if source else "",
    )
