"""Reads what people have at hand of a registry: a login line, a config.json, an image reference, a key.

Nothing is executed and nothing is looked up. What was pasted may hold a secret, so no error and no note ever
repeats any of it.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from registries import kinds, references
from registries.kinds.google import KEY_USERNAME

LIMIT_BYTES = 256 * 1024
_NAME_LIMIT = 100

_PROGRAMS = frozenset({"docker", "podman", "nerdctl", "buildah", "skopeo", "finch", "helm", "oras", "crane"})
# Options of these programs' login that take a value.
_VALUED = frozenset({"--email", "--authfile", "--cert-dir", "--config", "--registry-config", "--ca-file"})
_SHORT = {"-u": "--username", "-p": "--password", "-e": "--email"}

_CONFIG_KEY = ".dockerconfigjson"
_LEGACY_CONFIG_KEY = ".dockercfg"
# Docker Desktop keeps tokens of its own beside the logins.
_NO_LOGINS = ("/access-token", "/refresh-token")

_NONE_GIVEN = "There is no password in it: enter it below."
_VARIABLE = "The password in it is a variable or placeholder, not the secret itself: enter the secret below."
_FROM_FILE = "The password in it is read from a file that dokreg cannot see: enter the secret below."
_FROM_COMMAND = "The password in it is printed by another command: run that, and enter what it prints below."
_UNUSABLE = "The password in it has characters that cannot be sent: enter the secret below."
_NO_USERNAME = "The username in it is a variable or placeholder: enter it below."
_NO_HOST = "The registry's address in it cannot be used as it is: enter the host below."
_BROWSER_LOGIN = "It holds an identity token of one machine's browser login: enter a password or token below."
_ALIAS = "The address became docker.io: under another name Docker would not find the login again at a pull."
_CHOOSE_GOOGLE_HOST = "Enter the host of your registry, such as europe-west3-docker.pkg.dev."

_NOTHING = (
    "dokreg found no registry in this. Paste a docker login line, Docker's config.json, an image reference "
    "with its host, or a service account's JSON key."
)
_TOO_LONG = "This is longer than 256 KiB. Paste only the part about the registries."
_BROKEN_JSON = "This looks like JSON, but it is not complete. Paste it from the first { to the last }."
_NO_ENTRIES = (
    "There is no registry in this JSON. Paste the config.json of a machine that is logged in, or a service "
    "account's key."
)
_OPEN_QUOTE = "A quotation mark in this line is not closed. Paste the whole line."


class NothingFound(ValueError):
    """There is nothing of a registry in the text; `str()` is a sentence that never repeats it."""


@dataclass(frozen=True, slots=True)
class Pasted:
    """What the form is filled in with.

    `kind` is a slug, `url` a normalised host or "" if it could not be told, `image` a full reference or "".
    `note` says what is missing or was changed; it never contains the secret.
    """

    kind: str
    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    image_prefix: str = ""
    name: str = ""
    image: str = ""
    note: str = ""


def cause_of(note: str) -> str:
    """A note without what it says about the form: for where nothing can be entered "below"."""
    return re.sub(r": (?:run that, and )?enter [\w ]+ below\.", ".", note)


def read(text: str) -> list[Pasted]:
    """What the text says of registries, in its order; at least one entry.

    Raises NothingFound.
    """
    if len(text) > LIMIT_BYTES or len(text.encode(errors="replace")) > LIMIT_BYTES:
        raise NothingFound(_TOO_LONG)
    bare = text.strip().lstrip("\ufeff").strip()
    if bare.startswith("{"):
        return _read_json(bare)
    found = _read_manifest(bare) or _read_logins(bare) or _read_encoded(bare) or _read_reference(bare)
    if not found:
        raise NothingFound(_NOTHING)
    return found


# A registry's address, wherever it stands.


@dataclass(frozen=True, slots=True)
class _Address:
    host: str
    image_prefix: str = ""
    note: str = ""


def _read_address(text: str) -> _Address:
    """Host and image prefix of an address; a host that cannot be told is "" with a note."""
    bare = re.sub(r"^https?://", "", text.strip(), flags=re.IGNORECASE)
    authority, _, path = bare.partition("/")
    try:
        host = references.normalise_host(authority)
        path = "" if host == references.DOCKER_HUB else re.sub(r"^v[12](?:/|$)", "", path)
        prefix = references.normalise_image_prefix(path, host=host)
    except references.InvalidHost:
        return _Address("", note=_NO_HOST)
    except references.InvalidImagePrefix:
        prefix = ""
    return _Address(host, prefix, _ALIAS if references.is_docker_hub_alias(text) else "")


def _pasted(
    address: _Address, *, username: str = "", password: str = "", notes: Iterable[str] = (), image: str = ""
) -> Pasted:
    kind = kinds.for_host(address.host)
    usable = _is_storable(password)
    all_notes = [address.note, *notes, "" if usable else _UNUSABLE]
    return Pasted(
        kind=kind.slug,
        url=address.host,
        username=username if _is_storable(username) and username.isprintable() else "",
        password=password if usable else "",
        image_prefix=address.image_prefix,
        name="" if kind.is_provider_host(address.host) else address.host,
        image=image,
        note=" ".join(filter(None, all_notes)),
    )


def _is_storable(text: str) -> bool:
    """Whether databases and stdin can take the text: no NUL, no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


# JSON: Docker's configuration, a Kubernetes secret with one in it, a service account's key.


def _read_json(text: str) -> list[Pasted]:
    document = _loads(text)
    if document is None:
        raise NothingFound(_BROKEN_JSON)
    if document.get("type") == "service_account":
        return [_of_service_account(document, text)]
    found = _of_document(document)
    if not found:
        raise NothingFound(_NO_ENTRIES)
    return found


def _loads(text: str) -> dict[str, object] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _of_service_account(key: dict[str, object], text: str) -> Pasted:
    project = _text(key.get("project_id"))
    project = project if re.fullmatch(r"[a-z][a-z0-9-]{1,62}", project) else ""
    return Pasted(
        kind="google",
        url="",
        username=KEY_USERNAME,
        password=text,
        image_prefix=project,
        name=project[:_NAME_LIMIT],
        note=_CHOOSE_GOOGLE_HOST,
    )


def _of_document(document: dict[str, object]) -> list[Pasted]:
    if document.keys() & {"auths", "credsStore", "credHelpers"}:
        return list(_of_config(document))
    if items := document.get("items"):
        parts = map(_object, items) if isinstance(items, list) else ()
        return [entry for part in parts for entry in _of_secret(part)]
    return _of_secret(document) or list(_of_auths(document, helper=""))


def _of_secret(secret: dict[str, object]) -> list[Pasted]:
    """The logins in a Kubernetes secret, whose `data` is in base64 and whose `stringData` is not."""
    plain = _object(secret.get("stringData"))
    encoded = {**secret, **_object(secret.get("data"))}
    for key in (_CONFIG_KEY, _LEGACY_CONFIG_KEY):
        text = _text(plain.get(key)) or _decoded(_text(encoded.get(key)))
        if config := _loads(text):
            return list(_of_config(config) if "auths" in config else _of_auths(config, helper=""))
    return []


def _of_config(config: dict[str, object]) -> Iterator[Pasted]:
    auths = _object(config.get("auths"))
    yield from _of_auths(auths, helper=_text(config.get("credsStore")))
    for host, helper in _object(config.get("credHelpers")).items():
        if host not in auths:
            yield _pasted(_read_address(host), notes=[_kept_by(_text(helper))])


def _of_auths(auths: dict[str, object], *, helper: str) -> Iterator[Pasted]:
    for host, entry in auths.items():
        if isinstance(entry, dict) and not host.endswith(_NO_LOGINS):
            yield _of_entry(_read_address(host), entry, helper=helper)


def _of_entry(address: _Address, entry: dict[str, object], *, helper: str) -> Pasted:
    # Docker pads the pair with NULs, and a password may have colons.
    username, _, password = _decoded(_text(entry.get("auth"))).rstrip("\x00").partition(":")
    username = username or _text(entry.get("username"))
    password = password or _text(entry.get("password"))
    if entry.get("identitytoken"):
        return _pasted(address, username=username, notes=[_BROWSER_LOGIN])
    note = "" if password else (_kept_by(helper) if helper else _NONE_GIVEN)
    return _pasted(address, username=username, password=password, notes=[note])


def _kept_by(helper: str) -> str:
    name = f" {helper}" if re.fullmatch(r"[\w.-]{1,40}", helper, re.ASCII) else ""
    return f"Its secret is kept by the credential helper{name} of that machine: enter it below."


def _decoded(text: str) -> str:
    """The text in the base64, or "" if it is none."""
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _read_encoded(text: str) -> list[Pasted]:
    """The value of a Kubernetes secret alone: a config.json in base64."""
    config = _loads(_decoded(text)) if text.startswith("ey") else None
    return _of_document(config) if config else []


def _read_manifest(text: str) -> list[Pasted]:
    """A Kubernetes secret in YAML, as far as its one value goes."""
    match = re.search(
        r"^(?P<indent>[ ]*)(?P<key>[\"']?\.docker(?:configjson|cfg)[\"']?):[ ]*(?P<value>.*)$",
        text,
        re.MULTILINE,
    )
    if match is None:
        return []
    value = match["value"].strip().strip("\"'")
    if not value or value[0] in "|>":
        value = _block_below(text[match.end() :], indent=len(match["indent"]))
    config = _loads(value) or _loads(_decoded(value))
    return _of_document(config) if config else []


def _block_below(text: str, *, indent: int) -> str:
    lines: list[str] = []
    for line in text.splitlines()[1:]:
        if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
            break
        lines.append(line.strip())
    return "\n".join(lines)


# An image reference, or a host.


# The pages on which providers show images: their addresses look like references, and are none.
_NAME = r"[\w.-]{1,100}"
_PAGES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"(?:www\.)?{page}(?:/.*)?", re.ASCII | re.IGNORECASE), host)
    for page, host in (
        (rf"hub\.docker\.com/(?:r|repository/docker)/(?P<owner>{_NAME})/(?P<image>{_NAME})", "docker.io"),
        (rf"hub\.docker\.com/_/(?P<image>{_NAME})", "docker.io"),
        (rf"quay\.io/repository/(?P<owner>{_NAME}(?:/{_NAME}){{0,8}})/(?P<image>{_NAME})", "quay.io"),
        (
            rf"github\.com/(?:orgs|users)/(?P<owner>{_NAME})/packages/container/(?:package/)?(?P<image>[\w.%-]+)",
            "ghcr.io",
        ),
        (rf"github\.com/(?P<owner>{_NAME})/{_NAME}/pkgs/container/(?P<image>[\w.%-]+)", "ghcr.io"),
        (rf"gitlab\.com/(?P<owner>{_NAME}(?:/{_NAME}){{1,20}}?)(?:/-)?/container_registry", "registry.gitlab.com"),
    )
)


def _read_page(address: str) -> list[Pasted]:
    """The registry behind a provider's web page of an image, or of a project's images."""
    bare = re.split(r"[?#]", address, maxsplit=1)[0]
    found = next(((match, host) for page, host in _PAGES if (match := page.fullmatch(bare))), None)
    if found is None:
        return []
    match, host = found
    parts = match.groupdict()
    # The pages forgive capitals, the registries do not.
    prefix = (parts.get("owner") or "").lower()
    path = "/".join(filter(None, [prefix, unquote(parts.get("image") or "").lower()]))
    try:
        reference = references.parse(f"{host}/{path}")
    except references.InvalidReference:
        return []
    return [_pasted(_Address(host, prefix, _NONE_GIVEN), image=str(reference) if "image" in parts else "")]


def _read_reference(text: str) -> list[Pasted]:
    words = re.sub(r"^(?:[$#] )?(?:(?:docker|podman|nerdctl) pull|-? ?image:)\s+", "", text).split()
    if len(words) != 1:
        return []
    word = re.sub(r"^https?://", "", words[0].strip("\"'"), flags=re.IGNORECASE)
    # A single name is no private image, and might as well be a token.
    if "/" not in word.strip("/"):
        return _of_host(word)
    if page := _read_page(word):
        return page
    try:
        reference = references.parse(word)
    except references.InvalidReference:
        return []
    prefix = reference.path.rpartition("/")[0]
    return [_pasted(_Address(reference.host, prefix, _NONE_GIVEN), image=str(reference))]


def _of_host(word: str) -> list[Pasted]:
    """The registry of a host alone. It must look like one, in lower case: tokens may have dots, too."""
    bare = word.rstrip("/")
    if not re.fullmatch(r"(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}(?::\d+)?|localhost(?::\d+)?", bare):
        return []
    address = _read_address(bare)
    return [_pasted(address, notes=[_NONE_GIVEN])] if address.host else []


# A line for the shell. Words are taken apart as POSIX shells do, and expansions are only recognised.


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a command; `is_variable`: all of it would come from somewhere else."""

    text: str = field(repr=False)
    is_variable: bool = False


@dataclass(slots=True)
class _Command:
    """A command with what its stdin is: a word given to it, a file, or another command's output."""

    words: list[_Word] = field(default_factory=list)
    here: _Word | None = None
    reads_file: bool = False
    piped_from: "_Command | None" = None


@dataclass(slots=True)
class _Login:
    """The arguments of a login; positional is the host."""

    values: dict[str, _Word] = field(default_factory=dict)
    positional: list[_Word] = field(default_factory=list)
    from_stdin: bool = False


# The counts bound what an unclosed bracket can cost.
_EXPANSION = (
    r"\$\{\{.{0,200}?\}\}|\$\{[^}]{0,200}\}|\$\((?:[^()]|\([^()]{0,500}\)){0,2000}\)|`[^`]{0,2000}`"
    r"|\$(?:env:)?\w+|%\w+%"
)
_EXPANDED = re.compile(rf"(?:{_EXPANSION})+", re.DOTALL)
_PIECE = re.compile(
    rf"""
      (?P<comment> (?<=\s)\#[^\n]* )
    | (?P<newline> [\r\n]+ )
    | (?P<space> [^\S\r\n]+ )
    | (?P<placeholder> <[\w\ .-]{{1,60}}> )
    | (?P<here> <<< )
    | (?P<redirect> \d?>>?(?:&\d)? | <+ )
    | (?P<next> \|\| | &&? | ; )
    | (?P<pipe> \| )
    | (?P<single> '[^']*' )
    | (?P<double> "(?:[^"\\]|\\.)*" )
    | (?P<expansion> {_EXPANSION} )
    | (?P<escaped> \\. )
    | (?P<plain> [^\s|;&<>'"\\`$%]+ | [$%`\\] )
    """,
    re.VERBOSE | re.DOTALL,
)
_CONTINUATION = re.compile(r"[ \t]*[\\`^]\r?\n")
_PROMPT = re.compile(r"^[ \t]*(?:[\w.-]+@[\w.-]+:\S*?|PS [^>\n]{0,200}?)?[$#%>\u276f][ \t]+", re.MULTILINE)


def _read_logins(text: str) -> list[Pasted]:
    if not re.search(r"\blogin\b", text):
        return []
    script = _PROMPT.sub("", _CONTINUATION.sub(" ", text))
    try:
        commands = _commands(script)
    except NothingFound:
        # Perhaps the apostrophe stands in the prose around the line.
        commands = [c for line in script.splitlines() if "login" in line for c in _commands(line)]
    return [_of_login(login, command) for command in commands if (login := _login_arguments(command.words)) is not None]


def _commands(script: str) -> list[_Command]:
    """The commands of a script. Raises NothingFound if a quotation mark is not closed."""
    commands = [_Command()]
    for kind, word in _tokens(script):
        current = commands[-1]
        if kind == "pipe":
            commands.append(_Command(piped_from=current))
        elif kind == "next" and (current.words or not current.piped_from):
            commands.append(_Command())
        elif kind == "here":
            current.here = word
        elif kind == "file":
            current.reads_file = True
        elif word is not None:
            current.words.append(word)
    return commands


def _tokens(script: str) -> Iterator[tuple[str, _Word | None]]:
    """Words and what stands between commands: `word`, `here` (with its word), `file`, `pipe`, `next`."""
    target = ""
    for kind, word in _raw_tokens(script):
        if word is None:
            target = kind if kind in {"here", "file", "out"} else ""
            if not target:
                yield kind, None
        elif target:
            if target != "out":
                yield target, word
            target = ""
        else:
            yield "word", word


def _raw_tokens(script: str) -> Iterator[tuple[str, _Word | None]]:
    pieces: list[tuple[str, str]] = []
    position = 0
    while position < len(script):
        match = _PIECE.match(script, position)
        if match is None or match.lastgroup is None:
            raise NothingFound(_OPEN_QUOTE)
        position, kind, text = match.end(), match.lastgroup, match[0]
        if kind in {"single", "double", "expansion", "escaped", "plain", "placeholder"}:
            pieces.append((kind, text))
            continue
        if pieces:
            yield "word", _word(pieces)
            pieces = []
        if separator := _separator(kind, text):
            yield separator, None
    if pieces:
        yield "word", _word(pieces)


def _separator(kind: str, text: str) -> str:
    if kind == "redirect":
        return "file" if text.startswith("<") else "out"
    return {"newline": "next", "next": "next", "pipe": "pipe", "here": "here"}.get(kind, "")


def _word(pieces: list[tuple[str, str]]) -> _Word:
    text = "".join(_unquoted(kind, piece) for kind, piece in pieces)
    kinds_of_pieces = {kind for kind, _piece in pieces}
    is_expanded = "single" not in kinds_of_pieces and _EXPANDED.fullmatch(text) is not None
    return _Word(text, is_expanded or kinds_of_pieces == {"placeholder"})


def _unquoted(kind: str, piece: str) -> str:
    if kind == "single":
        return piece[1:-1]
    if kind == "double":
        return re.sub(r'\\(["\\$`])', r"\1", piece[1:-1])
    return piece[1:] if kind == "escaped" else piece


def _login_arguments(words: list[_Word]) -> _Login | None:
    """The arguments of a login by one of the known programs, whatever stands before it; or None."""
    texts = [word.text for word in words]
    program = next((n for n, text in enumerate(texts) if _program(text) in _PROGRAMS), None)
    if program is None or "login" not in texts[program:]:
        return None
    return _parse_login(words[texts.index("login", program) + 1 :])


def _program(text: str) -> str:
    return re.split(r"[/\\]", text)[-1].lower().removesuffix(".exe")


def _parse_login(words: list[_Word]) -> _Login:
    login = _Login()
    remaining = iter(words)
    for word in remaining:
        name, has_value, value = _split_option(word.text)
        if word.text == "--":
            login.positional += remaining
        elif name == "--password-stdin":
            login.from_stdin = True
        elif name in {"--username", "--password", *_VALUED}:
            login.values[name] = _value(value) if has_value else next(remaining, _Word(""))
        elif not word.text.startswith("-"):
            login.positional.append(word)
    return login


def _split_option(text: str) -> tuple[str, bool, str]:
    """An option's long name, whether it carries a value, and that: of `--password=x`, `-p=x`, `-px`, `-p`."""
    if text.startswith("--"):
        name, equals, value = text.partition("=")
        return name, bool(equals), value
    name = _SHORT.get(text[:2], text)
    return name, name in _SHORT.values() and len(text) > len("-p"), text[2:].removeprefix("=")


def _value(text: str) -> _Word:
    return _Word(text, _EXPANDED.fullmatch(text) is not None)


def _of_login(login: _Login, command: _Command) -> Pasted:
    address = _login_address(login)
    username, notes = login.values.get("--username", _Word("")), []
    if username.is_variable:
        username, notes = _Word(""), [_NO_USERNAME]
    password, note = _login_password(login, command)
    return _pasted(address, username=username.text, password=password, notes=[*notes, note])


def _login_address(login: _Login) -> _Address:
    if not login.positional:
        return _Address(references.DOCKER_HUB)
    addresses = (_read_address(word.text) for word in login.positional if not word.is_variable)
    return next((address for address in addresses if address.host), _Address("", note=_NO_HOST))


def _login_password(login: _Login, command: _Command) -> tuple[str, str]:
    """The password, or "" and a note that says why there is none."""
    given = login.values.get("--password") or command.here
    if given is None:
        if command.reads_file:
            return "", _FROM_FILE
        if command.piped_from is None:
            return "", _NONE_GIVEN
        return _piped_password(command.piped_from.words)
    if given.is_variable:
        return "", _VARIABLE
    return given.text, "" if given.text else _NONE_GIVEN


def _piped_password(words: list[_Word]) -> tuple[str, str]:
    program = _program(words[0].text) if words else ""
    if program in {"cat", "type", "get-content"}:
        return "", _FROM_FILE
    if program not in {"echo", "printf", "write-output"}:
        return "", _FROM_COMMAND
    said = [word for word in words[1:] if not re.fullmatch(r"-[neE]+", word.text)]
    if program == "printf":
        said = said[-1:]
    if any(word.is_variable for word in said):
        return "", _VARIABLE
    return " ".join(word.text for word in said), "" if said else _NONE_GIVEN
