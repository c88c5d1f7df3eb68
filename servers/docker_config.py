"""The logins that a server keeps: entries of the Docker config of the user that dokreg signs in as.

`docker login` reads a config, talks to the registry for as long as that takes, and writes the whole config back: what
others wrote meanwhile is lost, a config that does not parse is replaced, what the CLI does not know is left out.
Therefore the CLI proves a login in a folder of its own, as for a test, and the entry that it wrote there is moved into
the config here: read, changed, and put in its place by a rename, under a lock and only if it still is what was read.

A login is kept in the user's own config, or, where several accounts of one registry live on a server, in an isolated
folder, which people use by the line that `export_line` gives.
"""

import base64
import binascii
import contextlib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dokreg.encryption import MAX_SECRET_BYTES
from dokreg.ids import new_id
from servers import credential_helpers, docker, verdicts
from servers.config_file import CHECK, PLACE, SEE, Config, ConfigProblem, Values, parse
from servers.docker import Host
from servers.stages import PROLOGUE, OnStage, Stage, one_line, run_stages

ASKED_OF_HELPERS = 100
DOCKER_HUB = "docker.io"
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
IDENTITY_TOKEN = "identity token"  # noqa: S105 - where a login stands, no secret
_LONGEST_LINE = 255
# Passwords that say that the username is the secret, as GitHub and Bitbucket once told people to write them.
_NOT_SECRET = frozenset({"x-oauth-basic", "x-access-token", "x-token-auth", "oauth2"})
# How the tokens of GitHub, GitLab, Docker Hub and DigitalOcean begin, and JSON Web Tokens.
_TOKEN = re.compile(
    r"gh[opsur]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas)-|dckr_[po]at_|do[opr]_v1_|eyJ[\w-]+\."
)

_ENTRY = r"""
    if [ $S -eq 0 ]; then cat "$D/config.json"; say entry 0; fi;
"""
KEEP_SCRIPT = one_line(PROLOGUE + docker.PROBE + PLACE + SEE + CHECK + docker.LOGIN + _ENTRY)


@dataclass(frozen=True, slots=True)
class FoundLogin:
    """A login that a config holds.

    `registry` is named as dokreg does it, `docker.io` for Docker Hub; with its path where it has one. `source` is
    `config`, `identity token` (there is no password then) or `helper:NAME`. Username and password are empty where they
    cannot be read; the username alone is empty if the secret stands for it as well.
    """

    registry: str
    username: str = field(repr=False)
    password: str = field(repr=False)
    source: str
    folder: str

    @property
    def shown_username(self) -> str:
        """The username; empty where it may be the secret, or cannot be shown."""
        has_secret = self.source == IDENTITY_TOKEN or bool(self.password)
        is_name = has_secret and self.password not in _NOT_SECRET and not _TOKEN.match(self.username)
        return self.username if is_name and _is_line(self.username) else ""


def export_line(folder: str) -> str:
    """What to run in a shell on the server to use the logins of an isolated folder."""
    return f'export DOCKER_CONFIG="$HOME/.docker/dokreg/{_checked(folder)}"'


def keep_login(host: Host, *, registry: str, username: str, password: str, folder: str, on_stage: OnStage) -> None:
    """Log in and keep the login, in the user's own config or in an isolated folder.

    Stages `shell`, `cli`, `daemon`, `config` (it parses and may be written), `login` and `kept` (it is really there);
    one with another status than 0 is the last. Raises ConfigProblem (at `config` or `kept`) and ssh.SSHProblem.
    Without a username the secret stands for it as well.
    """
    config = Config(host, _checked(folder))
    keeping = _Keeping(config, registry, on_stage)
    run_id = new_id()
    with docker.tidied_when_broken_off(host, run_id=run_id):
        run_stages(
            host,
            KEEP_SCRIPT,
            lines=[folder, run_id, registry, username, ""],
            rest=docker.login_secret(username, password),
            on_stage=keeping.take,
        )
    if keeping.entry is not None:
        since = time.monotonic()
        keeping.move_in(*keeping.entry)
        on_stage(_passed("kept", since))


def remove_login(host: Host, *, registry: str, folder: str, on_stage: OnStage) -> None:
    """Log out of a registry. That there is no login is fine, and so is a Docker that does not run.

    Stages `shell`, `config` and `gone` (it is not there any more). Raises ConfigProblem (at `config` or `gone`) and
    ssh.SSHProblem. An isolated folder goes with its last login.
    """
    config = Config(host, _checked(folder))
    since = time.monotonic()
    config.look(on_stage)
    on_stage(_passed("config", since))
    since = time.monotonic()
    keys = _keys_of(registry)
    is_gone = all(_leave_helper(config, key) for key in keys if key in config.auths or key == keys[0])
    if is_gone:
        config.change(lambda values: _without(values, keys))
    if not is_gone or set(keys) & set(config.auths):
        raise ConfigProblem(verdicts.login_not_removed(registry=registry, server=host.label, path=config.path))
    on_stage(_passed("gone", since))


def read_logins(host: Host, *, folder: str = "", on_stage: OnStage | None = None) -> list[FoundLogin]:
    """What logins a config holds, those in its credential helpers too; raises ConfigProblem and ssh.SSHProblem.

    The only stage is `shell`.
    Needs no Docker on the host. A login in a helper that gives no answer is found without username and password, as
    far as the config itself names it; so is one whose content no login could be made of. What stands under a key that
    no registry can have is left out.
    """
    config = Config(host, _checked(folder))
    config.look(on_stage)
    found = [_found(key, entry, folder) for key, entry in config.auths.items() if _holds_login(entry)]
    in_helpers = (_found_in_helper(config, *place) for place in _places_in_helpers(config))
    found += [login for login in in_helpers if login is not None]
    return sorted(filter(_has_usual_name, found), key=lambda login: (login.registry, login.source))


class _Keeping:
    """Takes the stages of the script that logs in, and passes on those that people know."""

    def __init__(self, config: Config, registry: str, on_stage: OnStage) -> None:
        self.entry: tuple[str, Values] | None = None  # what the CLI wrote: key and entry
        self._config = config
        self._registry = registry
        self._on_stage = on_stage
        self._context = ""
        self._milliseconds = 0

    def take(self, stage: Stage) -> None:
        if stage.name == "entry":
            self.entry = self._only_entry(stage.raw)
        elif self._config.take(stage):
            self._milliseconds += stage.milliseconds
            if stage.name == "parsed":
                self._on_stage(Stage("config", 0, b"", self._milliseconds))
        else:
            if stage.name == "daemon":
                self._context = docker.context_of(stage.output)
            self._on_stage(stage)

    def move_in(self, key: str, entry: Values) -> None:
        """Put the entry into the config, or where the config says; raises ConfigProblem."""
        config = self._config
        if helper := config.helper_of(key):
            login = _in_helper(entry)
            credential_helpers.store(config, helper, key, username=login[0], secret=login[1])
            entry = {}
        context = self._context if config.folder else ""
        config.change(lambda values: _with(values, key, entry, context=context))
        if config.auths.get(key) != entry or config.helper_of(key) != helper:
            raise self._not_kept()
        if helper and credential_helpers.get(config, helper, key) != login:
            raise self._not_kept()

    def _only_entry(self, text: bytes) -> tuple[str, Values]:
        values = parse(text)
        auths: dict[str, Values] = {} if isinstance(values, str) else values.get("auths") or {}
        if len(auths) != 1:
            raise self._not_kept()
        return next(iter(auths.items()))

    def _not_kept(self) -> ConfigProblem:
        config = self._config
        return ConfigProblem(
            verdicts.login_not_kept(registry=self._registry, server=config.host.label, path=config.path)
        )


def _in_helper(entry: Values) -> tuple[str, str]:
    """Username and secret by which a helper keeps what stands in an entry."""
    token = str(entry.get("identitytoken") or "")
    return (credential_helpers.TOKEN_USERNAME, token) if token else _credentials(entry)


def _leave_helper(config: Config, key: str) -> bool:
    """Take the login out of the helper that keeps it, if one does; whether it is gone. Raises ConfigProblem."""
    helper = config.helper_of(key)
    if not helper:
        return True
    try:
        if credential_helpers.get(config, helper, key) is None:
            return True
    except ConfigProblem:
        if key in config.auths:
            raise
        return True  # there is no sign that it ever kept this login
    credential_helpers.erase(config, helper, key)
    return credential_helpers.get(config, helper, key) is None


def _with(values: Values, key: str, entry: Values, *, context: str) -> Values:
    """A config with this login. An isolated one has the Docker context that is in force outside of it."""
    changed = values | {"auths": (values.get("auths") or {}) | {key: entry}}
    if context == "default":
        changed.pop("currentContext", None)
    elif context:
        changed["currentContext"] = context
    return changed


def _without(values: Values, keys: Iterable[str]) -> Values:
    auths = {key: entry for key, entry in (values.get("auths") or {}).items() if key not in keys}
    return values | {"auths": auths} if "auths" in values else values


def _holds_login(entry: Values) -> bool:
    return any(entry.get(name) for name in ("auth", "username", "password", "identitytoken"))


def _found(key: str, entry: Values, folder: str) -> FoundLogin:
    username, password = _credentials(entry)
    if entry.get("identitytoken"):
        return FoundLogin(_registry_of(key), username, "", IDENTITY_TOKEN, folder)
    return FoundLogin(_registry_of(key), _named(username, password), password, "config", folder)


def _named(username: str, password: str) -> str:
    """The username; empty if it is the secret too, as everywhere in dokreg."""
    return "" if username == password else username


def _has_usual_name(login: FoundLogin) -> bool:
    return bool(login.registry) and _is_line(login.registry)


def _is_line(text: str) -> bool:
    """Whether it can stand in a row and on a page."""
    return text.isprintable() and len(text) <= _LONGEST_LINE


def _credentials(entry: Values) -> tuple[str, str]:
    if auth := entry.get("auth"):
        return _opened(str(auth))
    return _storable(str(entry.get("username") or ""), str(entry.get("password") or ""))


def _opened(auth: str) -> tuple[str, str]:
    """Username and password of an entry; empty if it is not what Docker writes."""
    try:
        username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return _storable(username, password.strip("\0")) if colon else ("", "")


def _storable(username: str, password: str) -> tuple[str, str]:
    """Both, or neither if one is nothing that dokreg could keep: with a NUL, half of a surrogate pair, endless."""
    both = f"{username}{password}"
    is_text = "\0" not in both and both.encode(errors="ignore").decode() == both
    return (username, password) if is_text and len(both.encode()) <= MAX_SECRET_BYTES else ("", "")


def _registry_of(key: str) -> str:
    """The registry of a key: Docker once wrote addresses, such as `https://ghcr.io/v1/`.

    What people write there themselves may hold more, such as a password before an @.
    """
    address = re.split(r"[?#]", key.lower().rpartition("@")[2])[0]
    bare = re.sub(r"^https?://", "", address).rstrip("/")
    host = re.sub(r"/v[12]$", "", bare)
    return DOCKER_HUB if host == "index.docker.io" else host


def _keys_of(registry: str) -> list[str]:
    """Under which keys the login of a registry may stand; the first is the one that Docker writes."""
    if registry == DOCKER_HUB:
        return [DOCKER_HUB_KEY, "index.docker.io", "https://index.docker.io", "https://index.docker.io/v2/"]
    ends = ("", "/", "/v1", "/v1/", "/v2", "/v2/")
    return [f"{scheme}{registry}{end}" for scheme in ("", "https://", "http://") for end in ends]


def _places_in_helpers(config: Config) -> Iterator[tuple[str, str]]:
    """(helper, key) of each login that the config leaves to a helper."""
    places: dict[str, str] = {}
    store: str = config.values.get("credsStore") or ""
    if store:
        empty = [key for key, entry in config.auths.items() if not _holds_login(entry)]
        places = dict.fromkeys([*credential_helpers.listed(config, store), *empty], store)
    places |= config.values.get("credHelpers") or {}
    # Docker keeps the parts of a login in the browser under keys of their own below that of Docker Hub.
    keys = [key for key in places if key == DOCKER_HUB_KEY or not key.startswith(DOCKER_HUB_KEY)]
    keys = [key for key in keys if _is_line(key)]
    return ((places[key], key) for key in keys[:ASKED_OF_HELPERS])


def _found_in_helper(config: Config, helper: str, key: str) -> FoundLogin | None:
    username = password = ""
    with contextlib.suppress(ConfigProblem):
        answer = credential_helpers.get(config, helper, key)
        if answer is None:
            return None
        if answer[0] != credential_helpers.TOKEN_USERNAME:
            username, password = _storable(*answer)
    source = f"helper:{verdicts.shown(helper)}"
    return FoundLogin(_registry_of(key), _named(username, password), password, source, config.folder)


def _checked(folder: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]*", folder):
        raise ValueError("An isolated folder has small letters, digits and hyphens in its name.")
    return folder


def _passed(name: str, since: float) -> Stage:
    return Stage(name, 0, b"", round((time.monotonic() - since) * 1000))
