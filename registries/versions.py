"""The order of tags by what they seem to mean: `latest`, then versions, the higher the earlier, then other names."""

import heapq
import re
from collections.abc import Iterable

_VERSION = re.compile(r"v?\d", re.IGNORECASE | re.ASCII)
_PART = re.compile(r"\d+|[a-z]+", re.IGNORECASE | re.ASCII)
_NUMBER, _END, _WORD = 2, 1, 0  # 1.2.1 comes after 1.2, and 1.2 after 1.2-rc1

Key = tuple[bool, bool, tuple[tuple[int, int, str], ...]]


def newest_versions(tags: Iterable[str], *, limit: int) -> list[str]:
    """At most `limit` of the tags, what seems the newest first."""
    return heapq.nlargest(limit, tags, key=version_key)


def version_key(tag: str) -> Key:
    """Sorts a tag among others: the larger, the newer it seems."""
    is_version = _VERSION.match(tag) is not None
    parts = _PART.findall(tag.lower().removeprefix("v") if is_version else tag.lower())
    key = tuple((_NUMBER, int(part), "") if part.isdecimal() else (_WORD, 0, part) for part in parts)
    return tag == "latest", is_version, (*key, (_END, 0, ""))
