"""Credential helpers: the programs to which a Docker config may leave the keeping of its logins.

They are spoken with as the CLI does it (https://github.com/docker/docker-credential-helpers): a verb as the argument,
the rest over stdin, the answer as JSON on stdout.
"""

import json
import re

from dokreg.scrub import scrub
from servers import verdicts
from servers.config_file import Config, ConfigProblem
from servers.stages import PROLOGUE, Stage, one_line, run_stages

TOKEN_USERNAME = "<token>"  # noqa: S105 - by this name Docker keeps an identity token in a helper

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_MISSING = 127
_NOT_FOUND = "credentials not found"

_HELPER = r"""
    IFS= read -r HELPER || exit 96; IFS= read -r VERB || exit 96;
    t 30 "docker-credential-$HELPER" "$VERB" 2>/dev/null; say answer $?;
"""
HELPER_SCRIPT = one_line(PROLOGUE + _HELPER)


def listed(config: Config, helper: str) -> list[str]:
    """The keys that a helper has logins for; none if it does not say."""
    try:
        answer = json.loads(_ask(config, helper, "list", "").output)
    except (ConfigProblem, ValueError):
        return []
    return [str(key) for key in answer] if isinstance(answer, dict) else []


def get(config: Config, helper: str, key: str) -> tuple[str, str] | None:
    """Username and secret that a helper has for this key; None if it has none. Raises ConfigProblem."""
    stage = _ask(config, helper, "get", key)
    if stage.status != 0 and _NOT_FOUND in stage.output.lower():
        return None
    answer = _opened(stage.output)
    if answer is None:
        raise _failed(config, helper)
    return answer


def store(config: Config, helper: str, key: str, *, username: str, secret: str) -> None:
    """Leave a login to a helper; raises ConfigProblem."""
    login = {"ServerURL": key, "Username": username, "Secret": secret}
    stage = _ask(config, helper, "store", json.dumps(login))
    if stage.status != 0:
        raise _failed(config, helper, words=scrub(stage.output, [secret]))  # it may be a token that nobody else knows


def erase(config: Config, helper: str, key: str) -> None:
    """Ask a helper to forget a login; whether it did is for `get` to say. Raises ConfigProblem."""
    _ask(config, helper, "erase", key)


def _opened(text: str) -> tuple[str, str] | None:
    try:
        answer = json.loads(text)
        return str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        return None


def _ask(config: Config, helper: str, verb: str, text: str) -> Stage:
    stages: list[Stage] = []
    if not _NAME.fullmatch(helper):
        raise _failed(config, helper)
    run_stages(config.host, HELPER_SCRIPT, lines=[helper, verb], rest=text.encode(), on_stage=stages.append)
    if stages[-1].status == _MISSING:
        raise _failed(config, helper, words=f"docker-credential-{helper}: not found")
    return stages[-1]


def _failed(config: Config, helper: str, *, words: str = "") -> ConfigProblem:
    verdict = verdicts.login_not_saved_helper(
        helper=helper, server=config.host.label, user=config.host.user, path=config.path
    )
    return ConfigProblem(verdict, words=words)
