"""A Docker config on a host: read, changed, and put in its place by a rename.

That happens under a lock, and only if the file still is what was read, so that nothing is lost that others wrote. What
does not parse is never replaced.
"""

import json
import math
import random
import re
import time
from collections.abc import Callable
from typing import Any, NoReturn

from servers import ssh, verdicts
from servers.docker import Host
from servers.stages import PROLOGUE, OnStage, Stage, one_line, run_stages

CONFIG_LIMIT = 512 * 1024
TRIES = 40

# By these statuses the scripts say what is wrong.
_NO_HOME, _NOT_WRITABLE, _LOCKED, _CHANGED = 70, 75, 76, 77
_UNREADABLE = {
    71: "it is a link that leads nowhere",
    72: "it is not a file",
    73: "the user may not read it",
    74: f"it is larger than {CONFIG_LIMIT // 1024} KiB",
}
_SUM = re.compile(r"^[0-9a-f]+[ 0-9-]*$", re.MULTILINE)
_CLI_WARNING = re.compile(r"WARNING: Error (?:loading|parsing) config file\W*(?P<detail>[^\r\n]*)", re.IGNORECASE)

# F is the folder, G the file itself, also where the config is a link (as dotfiles managers make it), O the folder of
# the user's own config.
PLACE = r"""
    IFS= read -r FOLDER || exit 96;
    O=${DOCKER_CONFIG:-$HOME/.docker}; F=$O; L=$O/.dokreg.lock;
    if [ -n "$FOLDER" ] || [ -z "$DOCKER_CONFIG" ]; then
        if [ -d "$HOME" ]; then :; else printf "%s\n" "${HOME:-HOME is not set}"; say place 70; exit 0; fi;
    fi;
    if [ -n "$FOLDER" ]; then F=$HOME/.docker/dokreg/$FOLDER; L=$HOME/.docker/.dokreg.lock; fi;
    G=$F/config.json; printf "%s\n" "$G";
    if [ -L "$G" ]; then G=$(readlink -f "$G" 2>/dev/null); fi;
    if [ -n "$G" ]; then say place 0; else say place 71; exit 0; fi;
    sum() { cksum || sha256sum || wc -c; };
"""
# The sum comes first: what changes the file while it is read is noticed when the changed one is to take its place.
SEE = r"""
    look() {
        if [ -d "$F" ]; then [ -x "$F" ] || return 73; fi;
        if [ -e "$G" ]; then
            [ -f "$G" ] || return 72; [ -r "$G" ] || return 73; [ $(wc -c <"$G") -le LIMIT ] || return 74;
            sum 2>/dev/null <"$G";
        fi;
    };
    look; X=$?; say sum $X; if [ $X -ne 0 ]; then exit 0; fi;
    if [ -e "$G" ]; then cat "$G" 2>/dev/null; fi; say text 0;
""".replace("LIMIT", str(CONFIG_LIMIT))
# Nobody knows better than the CLI what it takes for a broken config: it warns of one, whatever it is asked.
CHECK = r"""
    P=$(dirname "$G"); until [ -e "$P" ]; do P=$(dirname "$P"); done; printf "%s\n" "$P";
    if [ -d "$P" ] && [ -w "$P" ] && [ -x "$P" ]; then say writable 0; else say writable 75; exit 0; fi;
    ( DOCKER_CONFIG=$F; export DOCKER_CONFIG; t 4 docker context ls ) 2>&1 >/dev/null </dev/null; say parsed $?;
"""
# What arrives is counted: of a connection that is cut off in the middle comes half a config and a clean end. What
# a killed script left is removed by a later one. Without flock (it is in util-linux and in BusyBox) what remains is
# the comparison right before the rename.
_WRITE = r"""
    IFS= read -r SUM || exit 96; IFS= read -r SIZE || exit 96; IFS= read -r LAST || exit 96;
    fail() { printf "%s\n" "$2"; say written $1; exit 0; };
    E=$(mkdir -p "$F" 2>&1) || fail 75 "$E";
    if [ -n "$FOLDER" ] && O=$(cd "$O" 2>/dev/null && pwd); then
        for K in contexts cli-plugins; do
            if [ -e "$O/$K" ]; then [ -e "$F/$K" ] || [ -L "$F/$K" ] || ln -s "$O/$K" "$F/$K"; fi;
        done;
    fi;
    NEW=$(mktemp "$G.dokreg.XXXXXXXX" 2>&1) || fail 75 "$NEW";
    trap "rm -f \"\$NEW\"" EXIT; trap "exit 130" HUP INT TERM; trap "" PIPE;
    if [ -e "$G" ]; then cp -p "$G" "$NEW" 2>/dev/null; chmod u+rw "$NEW"; fi;
    E=$(cat 2>&1 >"$NEW") || fail 75 "$E";
    if [ $(wc -c <"$NEW") -ne "$SIZE" ]; then exit 0; fi;
    (
        if command -v flock >/dev/null 2>&1; then t 30 flock 9 || fail 76 ""; fi;
        E=$(sum 2>/dev/null <"$G"); if [ "$E" = "$SUM" ] && [ -d "$F" ]; then :; else fail 77 ""; fi;
        E=$(mv -f "$NEW" "$G" 2>&1) || fail 75 "$E";
        find "$(dirname "$G")" -maxdepth 1 -name "*.dokreg.????????" -mmin +10 -exec rm -f {} ";" 2>/dev/null;
        cat "$G"; if [ -n "$LAST" ]; then rm -rf "$F"; rmdir "$HOME/.docker/dokreg" 2>/dev/null; fi;
        say written 0;
    ) 9>"$L" || fail 75 "";
"""
SEE_SCRIPT = one_line(PROLOGUE + "say shell 0;" + PLACE + SEE)
WRITE_SCRIPT = one_line(PROLOGUE + PLACE + _WRITE)

Values = dict[str, Any]


class ConfigProblem(ssh.SSHProblem):
    """The Docker config on the host cannot be read or changed; it is as it was."""


class Config:
    """A Docker config on a host, as it was last read or written."""

    def __init__(self, host: Host, folder: str) -> None:
        self.host, self.folder = host, folder
        self.path = ""
        self.silent_helpers: set[str] = set()  # those that did not run, or did not end: not to be asked again
        self.values: Values = {}
        self._sum = ""

    @property
    def auths(self) -> dict[str, Values]:
        """Key → entry; a key is a host, or what Docker once took for one."""
        return self.values.get("auths") or {}

    def helper_of(self, key: str) -> str:
        """The credential helper that keeps the login of this key; empty if the config does it itself."""
        return (self.values.get("credHelpers") or {}).get(key) or self.values.get("credsStore") or ""

    @property
    def _is_left_over(self) -> bool:
        """Whether it is an isolated one without logins, which should have gone with the last of them."""
        return bool(self.folder and self._sum and not self.auths)

    def look(self, on_stage: OnStage | None = None) -> None:
        """Read it; the stage `shell` is passed on."""
        complete = False

        def take(stage: Stage) -> None:
            nonlocal complete
            complete = stage.name == "text"
            if not self.take(stage) and on_stage is not None:
                on_stage(stage)

        run_stages(self.host, SEE_SCRIPT, lines=[self.folder], on_stage=take)
        if not complete:
            raise ssh.Unreachable(verdicts.connection_lost(address=self.host.label))

    def take(self, stage: Stage) -> bool:
        """Learn from a stage of a script; False if it is none of the config's. Raises ConfigProblem."""
        if stage.name == "place":
            self.path = verdicts.shown(last_line(stage.output))
            if stage.status == _NO_HOME:
                verdict = verdicts.config_no_home(server=self.host.label, user=self.host.user, path=self.path)
                raise ConfigProblem(verdict)
            self._check_readable(stage)
        elif stage.name == "sum":
            sums = _SUM.findall(stage.output)
            self._sum = sums[-1] if sums else ""
            self._check_readable(stage)
        elif stage.name == "text":
            self._parse(stage.raw)
        elif stage.name == "writable":
            if stage.status != 0:
                self._not_writable(f"{last_line(stage.output)} is no folder that {self.host.user} may write to")
        elif stage.name == "parsed":
            if warning := _CLI_WARNING.search(stage.output):
                self._unreadable(f"Docker says {verdicts.shown(warning['detail'])}")
        else:
            return False
        return True

    def change(self, change: Callable[[Values], Values]) -> None:
        """Put in place what `change` makes of it, as often as others were faster; raises ConfigProblem."""
        for attempt in range(TRIES):
            values = change(self.values)
            if (values == self.values and not self._is_left_over) or self._write(values):
                return
            time.sleep(random.uniform(0, 0.02 * (attempt + 1)))  # noqa: S311 - so that rivals part
            self.look()
        raise ConfigProblem(verdicts.config_busy(server=self.host.label, path=self.path))

    def _write(self, values: Values) -> bool:
        """Whether it is in its place; not if it was changed since it was read."""
        text = json.dumps(values, indent="\t").encode()
        last = "last" if self.folder and not values.get("auths") else ""
        stages: list[Stage] = []
        lines = [self.folder, self._sum, str(len(text)), last]
        run_stages(self.host, WRITE_SCRIPT, lines=lines, rest=text, on_stage=stages.append)
        written = stages[-1]
        if written.name != "written":
            raise ssh.Unreachable(verdicts.connection_lost(address=self.host.label))
        if written.status == _CHANGED:
            return False
        if written.status == _LOCKED:
            raise ConfigProblem(verdicts.config_locked(server=self.host.label, path=self.path))
        if written.status == _NOT_WRITABLE:
            self._not_writable(last_line(written.output))
        self._parse(written.raw)
        return True

    def _parse(self, text: bytes) -> None:
        values = parse(text)
        if isinstance(values, str):
            self._unreadable(values)
        self.values = values

    def _check_readable(self, stage: Stage) -> None:
        if stage.status in _UNREADABLE:
            self._unreadable(_UNREADABLE[stage.status])

    def _unreadable(self, detail: str) -> NoReturn:
        raise ConfigProblem(
            verdicts.config_unreadable(
                server=self.host.label, user=self.host.user, path=self.path, detail=detail.rstrip(".")
            )
        )

    def _not_writable(self, detail: str) -> NoReturn:
        raise ConfigProblem(
            verdicts.config_not_writable(
                server=self.host.label, user=self.host.user, path=self.path, detail=detail.rstrip(".")
            )
        )


def parse(text: bytes) -> Values | str:
    """A config, or why it is none, without a word of it; an empty file is an empty config, as for Docker.

    Stricter than the CLI, which overlooks some of what it does not understand, and would not write it back.
    """
    if not text.strip():
        return {}
    try:
        values = json.loads(
            text.decode(), object_pairs_hook=_without_doubles, parse_constant=_finite, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        return f"{error.msg} in line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError as error:
        return f"byte {error.start} is no UTF-8"
    except RecursionError:
        return "it is nested too deeply"
    except ValueError:
        return "a name stands in it twice, or a number that is none"
    if not isinstance(values, dict):
        return "it is no JSON object"
    if not _all_are(values.get("auths"), dict):
        return "its auths are not what Docker writes there"
    if not _all_are(values.get("credHelpers"), str) or not isinstance(values.get("credsStore") or "", str):
        return "its credential helpers are not named as Docker does it"
    return values


def _without_doubles(pairs: list[tuple[str, Any]]) -> Values:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError
    return values


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _all_are(entries: object, kind: type) -> bool:
    if entries is None:
        return True
    return isinstance(entries, dict) and all(isinstance(entry, kind) for entry in entries.values())


def last_line(text: str) -> str:
    """The last line that says something."""
    return text.strip().rpartition("\n")[2]
