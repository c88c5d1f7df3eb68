"""The environment of an application of Dokploy, as its container gets it, written as dokreg reads it.

Dokploy reads env files by the rules of Node's dotenv, and then puts in what they refer to: `${{project.NAME}}`,
`${{environment.NAME}}` and `${{NAME}}` of the application itself. `${{vault.…}}` stands in another system.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from applications.container_settings import InvalidSetting, read_environment

# Node's dotenv: NAME=value or NAME: value, `export` before it or not; in quotation marks of three kinds a
# value may have line ends in it. Without them it ends at a #. Other lines are passed over.
_QUOTED = r"'(?:\\'|[^'])*' | \"(?:\\\"|[^\"])*\" | `(?:\\`|[^`])*`"
_LINE = re.compile(
    rf"""
    ^\s* (?:export\s+)? (?P<name>[\w.-]+) (?: \s*= | :\s+? )
    (?: \s* (?P<quoted>{_QUOTED}) (?=\s*(?:\#[^\n]*)?$) | (?P<plain>[^#\n]*) )
    """,
    re.VERBOSE | re.MULTILINE | re.ASCII,
)
_AROUND = re.compile(r"^(['\"`])(.*)\1\Z", re.DOTALL)
_REFERENCE = re.compile(r"\$\{\{(.*?)\}\}")
_PLAIN = re.compile(r"[^\s'\"`#\\$](?:[^\n#]*[^\s#])?")


@dataclass(frozen=True, slots=True)
class Resolved:
    """An env file for dokreg, and the names of the variables that are not in it: what they refer to is not known, or
    dokreg cannot hold them."""

    text: str = field(repr=False)
    unresolved: tuple[str, ...] = ()
    unwritable: tuple[str, ...] = ()


def resolve(own: str, *, project: Callable[[], str], environment: Callable[[], str]) -> Resolved:
    """What an application's env file comes to. The shared ones are asked for when something refers to them."""
    values = parse(own)
    scopes = _Scopes(values, project, environment)
    resolved, unresolved = {}, []
    for name, value in values.items():
        try:
            resolved[name] = scopes.put_into(value)
        except LookupError:
            unresolved.append(name)
    if not unresolved and _reads_as(own, resolved):
        return Resolved(own)  # the person's own, with the comments
    lines = {name: _line(name, value) for name, value in resolved.items()}
    text = "\n".join(line for line in lines.values() if line)
    return Resolved(text, tuple(unresolved), tuple(name for name, line in lines.items() if not line))


def parse(text: str) -> dict[str, str]:
    """Name → value, by the rules of Node's dotenv."""
    text = re.sub(r"\r\n?", "\n", text)
    return {match["name"]: _value(match) for match in _LINE.finditer(text)}


def _value(match: re.Match[str]) -> str:
    written = (match["quoted"] or match["plain"]).strip()
    value = _AROUND.sub(r"\2", written)
    return value.replace("\\n", "\n").replace("\\r", "\r") if written.startswith('"') else value


class _Scopes:
    """What a reference may name."""

    def __init__(self, own: Mapping[str, str], project: Callable[[], str], environment: Callable[[], str]) -> None:
        self._own = own
        self._shared = {"project.": project, "environment.": environment}
        self._parsed: dict[str, Mapping[str, str]] = {}

    def put_into(self, value: str) -> str:
        """The value with what it refers to, first of the project, then of the environment, then its own.

        Raises LookupError if that is not there.
        """
        for scope in self._shared:
            value = _REFERENCE.sub(lambda match, scope=scope: self._of(scope, match), value)  # type: ignore[misc]
        return _REFERENCE.sub(lambda match: self._own[match[1]], value)

    def _of(self, scope: str, match: re.Match[str]) -> str:
        if not match[1].startswith(scope):
            return match[0]
        if scope not in self._parsed:
            self._parsed[scope] = parse(self._shared[scope]())
        return self._parsed[scope][match[1].removeprefix(scope)]


def _line(name: str, value: str) -> str:
    """A line that dokreg reads as just this; "" if there is none."""
    quoted = value.replace("\\", "\\\\")
    candidates = (
        value if _PLAIN.fullmatch(value) or not value else "",
        "'" + quoted.replace("'", "\\'") + "'",
        '"' + quoted.replace('"', '\\"').replace("\n", "\\n") + '"',
        value,
    )
    lines = (f"{name}={candidate}" for candidate in candidates if candidate or not value)
    return next((line for line in lines if _reads_as(line, {name: value})), "")


def _reads_as(text: str, values: Mapping[str, str]) -> bool:
    try:
        return read_environment(text) == dict(values)
    except InvalidSetting:
        return False
