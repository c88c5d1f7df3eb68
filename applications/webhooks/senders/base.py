"""What every sender of webhooks has, and careful reading of what strangers wrote."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

Headers = Mapping[str, str]
Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PushedImage:
    """An image that a payload names, as it was written there, unchecked.

    `host` is None where the sender does not say it; `aliases` are further names of the same host.
    """

    host: str | None
    repository: str
    tag: str | None
    digest: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Host, repository and tag, for people."""
        host = f"{self.host}/" if self.host else ""
        tag = f":{self.tag}" if self.tag else ""
        return f"{host}{self.repository}{tag}"

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else self.name


class Sender:
    """One kind of sender: how its payloads are recognised, and which images they name."""

    name: ClassVar[str]
    hint: ClassVar[str]
    home: ClassVar[str | None] = None  # the registry that is meant where a payload names no host
    can_sign: ClassVar[bool] = False
    signs_like_github: ClassVar[bool] = False  # over the body alone, in GitHub's header
    silence: ClassVar[str] = "It names no image that was pushed."

    def recognises(self, headers: Headers, payload: Payload) -> bool:
        raise NotImplementedError

    def images(self, headers: Headers, payload: Payload) -> list[PushedImage]:
        """What was pushed; empty for any other event of this sender."""
        raise NotImplementedError

    def confirmation(self, payload: Payload) -> str:
        """Where a person has to confirm that this sender may send; "" for everything else."""
        return ""


def text_at(payload: Any, *path: str) -> str:
    """The text at this path of objects; "" if there is none, or it is something else."""
    for name in path:
        payload = payload.get(name) if isinstance(payload, dict) else None
    return payload if isinstance(payload, str) else ""


def object_at(payload: Any, *path: str) -> Payload:
    """The object at this path of objects; {} if there is none."""
    for name in path:
        payload = payload.get(name) if isinstance(payload, dict) else None
    return payload if isinstance(payload, dict) else {}


def objects_at(payload: Any, *path: str) -> Iterator[Payload]:
    """The objects in the list at this path of objects."""
    items = object_at(payload, *path[:-1]).get(path[-1])
    yield from (item for item in (items if isinstance(items, list) else ()) if isinstance(item, dict))
