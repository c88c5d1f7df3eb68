"""Who one is to a registry: the challenge of a 401, and what answers it (RFC 7235; distribution: token authentication).

Credentials go to the registry itself, or to the realm that it names, and nowhere else.
"""

import base64
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from registries import api_verdicts
from registries.credentials import DockerLogin
from registries.kinds.minting import Answer, Unreadable, text_in
from registries.wire import NotAnswered, Wire, origin_of

_HEADER_LIMIT = 8 * 1024
_BEARER = re.compile(r"(?:^|[,\s])bearer\s+", re.IGNORECASE)
_BASIC = re.compile(r"(?:^|[,\s])basic(?:\s|$)", re.IGNORECASE)
_PARAMETER = re.compile(r'([a-z]+)="([^"]*)"', re.IGNORECASE)
_TOKEN = re.compile(r"[!-~]+")
_REDIRECTS = range(300, 400)


class NoToken(Exception):
    """The realm gave no token; `answer` is what it said."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("The realm gave no token.")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Challenge:
    """How a registry wants to be asked: `realm` and `service` where it wants a token, else neither."""

    realm: str = ""
    service: str = ""


def challenge_of(answer: Answer) -> Challenge | None:
    """What a 401 asks for; None if it is nothing that one can answer."""
    header = answer.headers.get("www-authenticate", "")[:_HEADER_LIMIT]
    if bearer := _BEARER.search(header):
        found = {name.lower(): value for name, value in reversed(_PARAMETER.findall(header[bearer.end() :]))}
        return Challenge(found["realm"], found.get("service", "")) if found.get("realm") else None
    return Challenge() if _BASIC.search(header) else None


def authorization_for(challenge: Challenge, *, login: DockerLogin | None, scope: str, wire: Wire) -> str | None:
    """The header Authorization that answers a challenge; None where only somebody with an account could.

    Raises NoToken, NotAnswered, Unreadable.
    """
    if not challenge.realm:
        return basic(login) if login else None
    try:
        realm = origin_of(challenge.realm)
    except ValueError:
        raise NotAnswered(api_verdicts.address_odd(place=wire.place)) from None
    headers = {"Authorization": basic(login)} if login else {}
    answer = wire.ask("GET", _token_url(challenge, login=login, scope=scope), headers=headers)
    if answer.status in _REDIRECTS:
        raise NotAnswered(api_verdicts.sent_around(address=realm.authority))
    if answer.status != 200:
        raise NoToken(answer)
    fields = answer.fields()
    token = text_in(fields, "token" if fields.get("token") else "access_token")
    if not _TOKEN.fullmatch(token):
        raise Unreadable("its token has characters that no token has")
    return f"Bearer {token}"


def basic(login: DockerLogin) -> str:
    """The account as RFC 7617 sends it. Without a username the secret stands for it as well."""
    pair = f"{login.username or login.password}:{login.password}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _token_url(challenge: Challenge, *, login: DockerLogin | None, scope: str) -> str:
    parts = urlsplit(challenge.realm)
    asked = [("service", challenge.service)] if challenge.service else []
    if login is not None and login.username:
        asked.append(("account", login.username))
    query = urlencode([*parse_qsl(parts.query), *asked, ("scope", scope)])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
