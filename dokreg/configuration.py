"""Reads dokreg's settings from the environment, and reports every bad one at once.

Each variable `NAME` may instead be given as `NAME_FILE`, the path of a file that holds the value.
"""

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

T = TypeVar("T")
BIND = re.compile(r"^(?P<host>\[[0-9a-fA-F:]+\]|[^:\s]+):(?P<port>\d{1,5})$")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[^\s:]+")
MAIL_ADDRESS = re.compile(r"^[^@\s]+@[^@\s]+$")
SMTP_PORTS = {"smtp": 587, "smtps": 465}
# What may follow the ? of a database's address: libpq's own words (PostgreSQL's manual, 32.1.2).
LIBPQ_OPTIONS = frozenset(
    {
        "host",
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "channel_binding",
        "target_session_attrs",
        "connect_timeout",
    }
)
DATABASE_TIMEOUTS = {
    "statement_timeout": "30s",  # longer than the slowest page by far; nobody waits longer
    "lock_timeout": "15s",
    "idle_in_transaction_session_timeout": "60s",  # no transaction waits for a network
}
# How long a request waits for a free connection, and how long the pool tries to make one before whoever comes next has
# it try anew: its own pauses between two tries grow with the time that the database is away.
POOL_SECONDS = 10
CHECKED_TLS = "ssl_cert_reqs=required&ssl_check_hostname=true"
SHORTEST_TOKEN = 16
NO_ADDRESS = "its host or its port is not valid. Write / # ? @ [ ] in the password as %2F %23 %3F %40 %5B %5D."
# What is never shown, and what may hold a password in the middle.
SECRET_NAME = re.compile(r"KEY|TOKEN$|PASSWORD|^DATABASE_URL$|^REDIS_URL$|^DOKREG_SMTP_URL$")
USER_INFO = re.compile(r"(?<=//)[^/@\s]*@")
TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where e-mail is handed in; without a host there is none."""

    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    starttls: bool = False
    implicit_tls: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Where a setting comes from, in words, and its value as it may be shown; empty for a secret."""

    origin: str
    shown: str


class ConfigurationError(Exception):
    """One or more settings are wrong; the text lists all of them, a line each."""


@dataclass
class Environment:
    """The environment's variables, read with a parser each; mistakes are collected until `complain`."""

    variables: Mapping[str, str]
    mistakes: list[str] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        """The variable, or the content of the file that `NAME_FILE` points to, or the default."""
        value = self._text(name, default)
        self.sources[name] = Source(self._origin(name), _shown(name, value))
        return value

    def _origin(self, name: str) -> str:
        if path := self.variables.get(f"{name}_FILE"):
            return f"the file {path}"
        return "the environment" if name in self.variables else "default"

    def _text(self, name: str, default: str) -> str:
        path = self.variables.get(f"{name}_FILE")
        if not path:
            return self.variables.get(name, default)
        if self.variables.get(name):
            self.mistakes.append(f"{name} and {name}_FILE are both set; keep one of them.")
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            self.mistakes.append(f"{name}_FILE: {path} cannot be read: {reason}.")
            return default

    def is_given(self, name: str) -> bool:
        """Whether the variable, or its file, is set; also to nothing."""
        return name in self.variables or f"{name}_FILE" in self.variables

    def parse(self, name: str, parser: Callable[[str], T], default: str) -> T:
        """The parsed variable; a mistake is noted under its name, and the default stands in for it."""
        try:
            return parser(self.text(name, default))
        except ValueError as error:
            self.mistakes.append(f"{name}: {error}")
            return parser(default)

    def complain(self) -> None:
        """Raise ConfigurationError if anything was wrong."""
        if self.mistakes:
            raise ConfigurationError("\n".join(["dokreg cannot start with these settings:", *self.mistakes]))


def _shown(name: str, value: str) -> str:
    return "" if SECRET_NAME.search(name) else USER_INFO.sub("", value)


def read_environment() -> Environment:
    """The variables of this process."""
    return Environment(dict(os.environ))


def as_bool(text: str) -> bool:
    """Raise ValueError unless the text is one of the usual words for true and false."""
    word = text.strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise ValueError("write true or false.")


def as_words(text: str) -> list[str]:
    """Words separated by commas or white space."""
    return [word for word in re.split(r"[,\s]+", text) if word]


def as_bind(text: str) -> tuple[str, int]:
    """`host:port` as (host, port); IPv6 in brackets."""
    match = BIND.match(text.strip())
    if not match or not 1 <= int(match["port"]) <= 65535:
        raise ValueError(f"“{text}” is not HOST:PORT, such as 127.0.0.1:8000.")
    return match["host"], int(match["port"])


def as_postgresql(text: str) -> dict[str, Any] | None:
    """`postgresql://user:password@host:port/name?sslmode=require` as Django wants it; an empty text is None (SQLite).

    Each process keeps a pool of connections; who waits for a network gives its own back (`dokreg.database`).
    """
    if not text:
        return None
    parts = _split(text)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ValueError("it must begin with postgresql:// (leave it empty for SQLite).")
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ValueError("it names no database: postgresql://user:password@host:5432/NAME.")
    options = parse_qs(parts.query, keep_blank_values=True)
    if not options.keys() <= LIBPQ_OPTIONS:  # not quoted: it may be a password's end
        raise ValueError(f"after the ? stands what is none of {', '.join(sorted(LIBPQ_OPTIONS))}.")
    given = {option: values[-1] for option, values in options.items()}
    timeouts = " ".join(f"-c {name}={value}" for name, value in DATABASE_TIMEOUTS.items())
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": given.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0,  # the pool keeps them
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5, "application_name": "dokreg", "options": timeouts}
        | given
        | {
            "pool": {
                "min_size": 1,
                "max_size": 20,
                "timeout": POOL_SECONDS,
                "max_idle": 300,
                "reconnect_timeout": POOL_SECONDS,
            }
        },
    }


def _split(text: str) -> SplitResult:
    """The parts of an address that may have a password in it. Raises ValueError, whose text quotes nothing of it."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - it is read only when it is asked for
    except ValueError:
        raise ValueError(NO_ADDRESS) from None
    names = (option.partition("=")[0] for option in parts.query.split("&"))
    if any("@" in text for text in (parts.path, parts.fragment, *names)):  # what was meant as a password ends there
        raise ValueError(NO_ADDRESS)
    return parts


def as_smtp(text: str) -> MailServer:
    """`smtp://user:password@host:587?tls=starttls` or `smtps://…`; an empty text is none.

    An unencrypted connection has to be asked for: `?tls=none`.
    """
    if not text:
        return MailServer()
    parts = _split(text)
    if parts.scheme not in SMTP_PORTS:
        raise ValueError("it must begin with smtp:// or smtps://.")
    if not parts.hostname:
        raise ValueError("it names no host: smtp://user:password@HOST:587.")
    usual = "implicit" if parts.scheme == "smtps" else "starttls"
    options = parse_qs(parts.query, keep_blank_values=True)
    tls = options.pop("tls", [usual])[-1]
    if options or tls not in {usual, "none" if usual == "starttls" else usual}:
        raise ValueError("after the ? comes tls=starttls or tls=none, or nothing; smtps:// is always encrypted.")
    return MailServer(
        host=unquote(parts.hostname),
        port=parts.port or SMTP_PORTS[parts.scheme],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        starttls=tls == "starttls",
        implicit_tls=tls == "implicit",
    )


def as_sender(text: str) -> str:
    """`dokreg@example.com` or `dokreg <dokreg@example.com>`; empty means that none is given."""
    _name, address = parseaddr(text)
    if text and not MAIL_ADDRESS.match(address):
        raise ValueError("write an e-mail address, such as dokreg@example.com or dokreg <dokreg@example.com>.")
    return text


def as_log_level(text: str) -> str:
    """One of Python's names of log levels."""
    if text.upper() not in logging.getLevelNamesMapping():
        raise ValueError("write one of DEBUG, INFO, WARNING, ERROR.")
    return text.upper()


def as_log_format(text: str) -> str:
    """`text` or `json`."""
    if text.strip().lower() not in {"text", "json"}:
        raise ValueError("write text or json.")
    return text.strip().lower()


def as_token(text: str) -> str:
    """What programs show to be let in: at least 16 characters that a header can carry; empty means none."""
    if text and (len(text) < SHORTEST_TOKEN or not text.isascii() or not text.isprintable() or " " in text):
        raise ValueError(f"write at least {SHORTEST_TOKEN} ASCII characters without spaces.")
    return text


def as_redis(text: str) -> str:
    """An address that kombu's Redis transport understands; empty means the embedded broker.

    With rediss:// the certificate is checked, unless the address itself says otherwise: kombu would take any. Of
    several with a semicolon between two it takes the first that answers.
    """
    return ";".join(map(_as_one_redis, text.split(";")))


def _as_one_redis(text: str) -> str:
    parts = _split(text)
    if text and parts.scheme not in {"redis", "rediss", "redis+socket"}:
        raise ValueError("it must begin with redis://, rediss:// or redis+socket://.")
    if parts.scheme == "rediss" and "ssl_cert_reqs" not in parse_qs(parts.query):
        return parts._replace(query="&".join(filter(None, [parts.query, CHECKED_TLS]))).geturl()
    return text


def as_roles(text: str) -> list[str]:
    """The ARNs of IAM roles, separated by white space; a comma may be part of a name."""
    roles = text.split()
    if not all(ROLE.fullmatch(role) for role in roles):
        raise ValueError("write ARNs such as arn:aws:iam::123456789012:role/dokreg-pull, with a space between two.")
    return roles


def as_count(text: str, *, most: int = 1000) -> int:
    """A whole number from 1 to `most`."""
    if not text.strip().isdecimal() or not 1 <= int(text) <= most:
        raise ValueError(f"“{text}” is not a whole number from 1 to {most}.")
    return int(text)


def as_seconds(text: str) -> int:
    """A whole number of seconds, up to a day."""
    return as_count(text, most=86_400)


def as_days(text: str) -> int:
    """A whole number of days up to a hundred years; 0 means for ever."""
    return 0 if text.strip() == "0" else as_count(text, most=36_500)


def as_rate(text: str) -> int:
    """A whole number from 1 to a million."""
    return as_count(text, most=1_000_000)


def as_own_url(text: str) -> str:
    """The address that people and clouds reach dokreg at, without a slash at its end."""
    url = as_url(text)
    if not url or urlsplit(url).path:
        raise ValueError("it must be an address without a path, such as https://dokreg.example.com.")
    return url


def as_url(text: str) -> str:
    """The address of a service, without a slash at its end; an empty text stays empty."""
    if not text:
        return ""
    if not text.isascii() or not text.isprintable() or set(text) & set(' "<>\\^`{|}'):
        raise ValueError("write it in ASCII, without spaces.")
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - it is read only when it is asked for
    except ValueError as error:
        raise ValueError("its host or its port is not valid.") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it must be an address such as https://cloud.example.com.")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("it must have no user name, no ? and no #.")
    return text.rstrip("/")
