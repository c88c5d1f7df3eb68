"""A container's settings as people write them, line by line, and as they are stored.

The forms of a line are those of `docker run` (`-p`, `-v`) and of an env file; what is no such line is refused with a
sentence that names it, before anything runs. Stored are plain values, which go to the daemon as JSON: none of them can
become an option of a command.
"""

import io
import ipaddress
import json
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from dotenv.parser import parse_stream

MOST_LINES = 200
PROTOCOLS = ("tcp", "udp", "sctp")
_PORT_LIMIT = 65535
_SHOWN = 80
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", re.ASCII)
_MODES = {"": False, "rw": False, "ro": True}
Setting = TypeVar("Setting")


class InvalidSetting(ValueError):
    """A line that cannot be used; `str()` is a sentence for people, without any value of the environment."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the container, published on a port of the server; `host_ip` empty: on all its addresses."""

    container_port: int
    host_port: int
    host_ip: str = ""
    protocol: str = "tcp"

    def __str__(self) -> str:
        ip = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        protocol = "" if self.protocol == "tcp" else f"/{self.protocol}"
        return f"{f'{ip}:' if ip else ''}{self.host_port}:{self.container_port}{protocol}"


@dataclass(frozen=True, slots=True)
class Volume:
    """A folder of the server (`source` begins with a slash) or a named volume, at a place in the container."""

    source: str
    target: str
    read_only: bool = False

    @property
    def is_folder(self) -> bool:
        return self.source.startswith("/")

    def __str__(self) -> str:
        return f"{self.source}:{self.target}{':ro' if self.read_only else ''}"


def read_ports(text: str) -> list[Port]:
    """Lines such as `8080:80`, `127.0.0.1:53:53/udp`. Raises InvalidSetting."""
    ports = _read_lines(text, _read_port)
    taken: set[tuple[str, int, str]] = set()
    for port in ports:
        place = (port.host_ip, port.host_port, port.protocol)
        if place in taken:
            raise InvalidSetting(f"Port {port.host_port} of the server is named twice.")
        taken.add(place)
    return ports


def read_volumes(text: str) -> list[Volume]:
    """Lines such as `data:/var/lib/data`, `/srv/site:/site:ro`. Raises InvalidSetting."""
    volumes = _read_lines(text, _read_volume)
    targets = [volume.target for volume in volumes]
    for target in targets:
        if targets.count(target) > 1:
            raise InvalidSetting(f"Two volumes have the same place in the container, {_shown(target)}.")
    return volumes


def read_command(text: str) -> list[str]:
    """The words of a command, quoted as in a shell; nothing else of a shell has a meaning. Raises InvalidSetting."""
    if "\0" in text:
        raise InvalidSetting("A command has no NUL characters in it.")
    try:
        return shlex.split(text)
    except ValueError:
        raise InvalidSetting("A quotation mark is not closed.") from None


def read_environment(text: str) -> dict[str, str]:
    """Lines `NAME=value` of an env file, with quotation marks and comments as usual there. Raises InvalidSetting.

    `$NAME` in a value stays as it is.
    """
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        line = binding.original.line
        if binding.error or (binding.key is not None and binding.value is None):
            raise InvalidSetting(f"Line {line} is not of the form NAME=value.")
        if binding.key is None or binding.value is None:
            continue  # a comment, or an empty line
        if not _ENVIRONMENT_NAME.fullmatch(binding.key):
            raise InvalidSetting(f"The name in line {line} has a character that names of variables do not have.")
        if "\0" in binding.value:
            raise InvalidSetting(f"The value in line {line} has a NUL character in it.")
        values[binding.key] = binding.value
    return values


def stored(settings: Iterable[Port | Volume]) -> list[dict[str, Any]]:
    """As a column keeps them."""
    return [asdict(setting) for setting in settings]


def ports_of(column: list[dict[str, Any]]) -> list[Port]:
    return [Port(**entry) for entry in column]


def volumes_of(column: list[dict[str, Any]]) -> list[Volume]:
    return [Volume(**entry) for entry in column]


def as_lines(settings: Iterable[object]) -> str:
    """As people write them, to be read again."""
    return "\n".join(str(setting) for setting in settings)


def as_command(words: list[str]) -> str:
    return shlex.join(words)


def in_words(text: str) -> str:
    """A column as the audit trail has it, in the form in which people write it."""
    try:
        entries = json.loads(text)
    except ValueError:
        return text
    if not isinstance(entries, list):
        return text
    return ", ".join(_in_words(entry) for entry in entries)


def _in_words(entry: object) -> str:
    if isinstance(entry, dict):
        for kind in (Port, Volume):
            if set(entry) == set(kind.__slots__):
                return str(kind(**entry))
    return str(entry)


def _read_lines(text: str, read: Callable[[str], Setting]) -> list[Setting]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_LINES:
        raise InvalidSetting(f"There are more than {MOST_LINES} lines.")
    return [read(line) for line in lines]


def _read_port(line: str) -> Port:
    place, _slash, protocol = line.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise InvalidSetting(f"“{_shown(line)}”: a port is of tcp, udp or sctp.")
    rest, _colon, container = place.rpartition(":")
    ip, _colon, host = rest.rpartition(":")
    if not rest:
        raise InvalidSetting(
            f"“{_shown(line)}” is only one port. Write the server's and the container's, such as 8080:80."
        )
    return Port(
        container_port=_port(container, line), host_port=_port(host, line), host_ip=_ip(ip, line), protocol=protocol
    )


def _port(text: str, line: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= _PORT_LIMIT):
        raise InvalidSetting(f"“{_shown(line)}” is not of the form 8080:80, with ports from 1 to {_PORT_LIMIT}.")
    return int(text)


def _ip(text: str, line: str) -> str:
    if not text:
        return ""
    try:
        return ipaddress.ip_address(text.removeprefix("[").removesuffix("]")).compressed
    except ValueError:
        raise InvalidSetting(f"“{_shown(line)}”: before the ports stands an IP address of the server.") from None


def _read_volume(line: str) -> Volume:
    parts = line.split(":")
    if len(parts) not in {2, 3} or (len(parts) == 3 and parts[2] not in _MODES) or not all(parts[:2]):
        raise InvalidSetting(
            f"“{_shown(line)}” is not of the form volume:/path or /folder:/path, with :ro behind it for read-only."
        )
    source, target = parts[:2]
    if not line.isprintable():
        raise InvalidSetting("A volume has a character in it that cannot be printed.")
    if not source.startswith("/") and not _VOLUME_NAME.fullmatch(source):
        raise InvalidSetting(
            f"“{_shown(source)}” is neither a folder, which begins with a slash, nor a name of letters and digits."
        )
    for path in (source, target):
        if path.startswith("/") and ".." in path.split("/"):
            raise InvalidSetting(f"“{_shown(path)}” has “..” in it. Write the path that is meant.")
    if not target.startswith("/") or target == "/":
        raise InvalidSetting(
            f"“{_shown(target)}”: the place in the container begins with a slash, and is not all of it."
        )
    return Volume(source, target, _MODES[parts[2] if len(parts) == 3 else ""])


def _shown(text: str) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= _SHOWN else f"{printable[:_SHOWN]}…"
