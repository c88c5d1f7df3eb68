"""What an import found, wherever it comes from: in the words of dokreg's forms, not checked yet.

Things name each other by a `ref` that is good for this one import.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from registries.importing.report import Thing
from registries.importing.saving import FoundRegistry


@dataclass(frozen=True, slots=True)
class FoundKey:
    """An SSH key; without its private half the one that is there already may do."""

    name: str
    private_key: str = field(repr=False)
    public_key: str = ""
    missing: str = "Its private half is not in what was read."
    description: str = ""


@dataclass(frozen=True, slots=True)
class FoundServer:
    """`key`: the ref of its SSH key, or ""."""

    name: str
    host: str
    port: int
    user: str
    key: str
    notes: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class FoundProject:
    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class FoundApplication:
    """`settings`: further fields of ApplicationForm, as people type them; what is not named is as usual.

    `reference`: the image in full, from which it is told what to type; else that stands in the settings. `registry`:
    the ref of its registry, or "". `environment`: the text of an env file.
    """

    name: str
    project: str
    server: str
    registry: str
    settings: Mapping[str, str]
    environment: str = field(default="", repr=False)
    reference: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What cannot be imported at all, and why."""

    thing: Thing
    name: str
    why: str


@dataclass(slots=True)
class Found:
    """All of it; each by its ref, in the order in which it is to be made.

    `registry_servers`: ref of a registry → ref of the server that it is tested on.
    """

    keys: dict[str, FoundKey] = field(default_factory=dict)
    servers: dict[str, FoundServer] = field(default_factory=dict)
    registries: dict[str, FoundRegistry] = field(default_factory=dict)
    registry_servers: dict[str, str] = field(default_factory=dict)
    projects: dict[str, FoundProject] = field(default_factory=dict)
    applications: list[FoundApplication] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
