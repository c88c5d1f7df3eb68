"""What the methods of all clouds share: one deadline, lives in dokreg's own clock, failures as verdicts.

Nothing here talks; `talk` does, and is imported when a token is minted: it costs memory, and most processes of
dokreg never mint.
"""

import datetime as dt
import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

from django.conf import settings
from django.utils import timezone

from dokreg.scrub import scrub
from registries.kinds import cloud_verdicts, methods
from registries.kinds.methods import Account, Method, Minted, MintFailed
from servers.verdicts import Row, Verdict

WORDS_LIMIT = 2000
# A token that lives shorter would end between here and the server.
SHORTEST_LIFE = dt.timedelta(seconds=60)
# No registry's token lives longer; a cloud that says so is not believed.
LONGEST_LIFE = dt.timedelta(days=1)


class TooLate(Exception):
    """The cloud's answer was not complete in time."""


class Unreachable(Exception):
    """There was no connection to the cloud; the text is the reason, as it may stand in a sentence."""


class Unreadable(Exception):
    """The answer is not what the cloud's documentation says; the text tells what is wrong with it."""


class Deadline:
    """A point in time that holds for everything together."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end

    @property
    def left(self) -> float:
        """Seconds; raises TooLate when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TooLate
        return left


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP; the names of the headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def date(self) -> dt.datetime | None:
        """When it was, by the clock of who answered."""
        return read_date(self.headers.get("date", ""))

    @property
    def retry_after(self) -> float | None:
        """Seconds, where the cloud named them."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isascii() and text.isdigit() else None

    def fields(self) -> dict[str, Any]:
        """The JSON object that it is. Raises Unreadable."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Unreadable("it is not a JSON object")
        return found

    def error(self) -> dict[str, Any]:
        """The same of a refusal, whose body may be anything."""
        try:
            return self.fields()
        except Unreadable:
            return {}

    @property
    def text(self) -> str:
        """All of it: a secret that is cut in half is not recognised any more."""
        return self.body.decode(errors="replace")


class Refused(Exception):
    """The cloud said no, in these words."""

    def __init__(self, words: str, answer: Answer) -> None:
        super().__init__("The cloud refused.")
        self.words = words
        self.answer = answer


class NoIdentity(Exception):
    """The machine that dokreg runs on has none in this cloud; the text is the library's reason."""


@dataclass(slots=True)
class Call:
    """One token that is asked for; `hidden` are the secrets that may come back in an answer."""

    host: str
    account: Account
    secret: str = field(repr=False)
    deadline: Deadline
    hidden: list[str] = field(default_factory=list, repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    secret: str = field(repr=False)
    life: dt.timedelta


class CloudMethod(Method):
    """A method whose tokens come from a cloud. A subclass asks for them; what goes wrong is judged here."""

    # The registry's hosts that the cloud runs; for no other anything is asked or sent.
    hosts: ClassVar[re.Pattern[str]]
    # Who is asked, and what it is asked with, as they stand in a sentence.
    cloud: ClassVar[str]
    credentials: ClassVar[str]
    rows: ClassVar[tuple[Row, ...]]

    def ask(self, call: Call) -> Token:
        """The input has been checked. Raises Refused, TooLate, Unreachable, Unreadable, NoIdentity."""
        raise NotImplementedError

    def mint(self, *, host: str, account: Account, secret: str) -> Minted:
        asked_at = timezone.now()
        if verdict := self._obstacle(host=host, account=account, secret=secret):
            raise MintFailed(verdict)
        call = Call(host, account, secret.strip(), Deadline(methods.MINT_DEADLINE), [secret])
        try:
            token = self.ask(call)
        except Refused as refused:
            words = scrub(refused.words, call.hidden)[:WORDS_LIMIT]
            failure = self._failure(call, self._verdict(call, words, refused.answer), words, refused.answer.retry_after)
        except TooLate:
            verdict = cloud_verdicts.timeout(cloud=self.cloud, seconds=methods.MINT_DEADLINE)
            failure = self._failure(call, verdict)
        except Unreachable as error:
            failure = self._failure(call, cloud_verdicts.unreachable(cloud=self.cloud, detail=str(error)))
        except Unreadable as error:
            failure = self._failure(call, cloud_verdicts.answer_unreadable(cloud=self.cloud, detail=str(error)))
        except NoIdentity as error:
            failure = self._failure(call, cloud_verdicts.no_identity(cloud=self.cloud), str(error))
        else:
            if token.life >= SHORTEST_LIFE:
                return Minted(self.username, token.secret, asked_at, asked_at + min(token.life, LONGEST_LIFE))
            failure = self._failure(call, cloud_verdicts.expired_token(cloud=self.cloud, life=token.life))
        # Raised out here, so that no request with a secret in it hangs on as the context.
        raise failure

    def _obstacle(self, *, host: str, account: Account, secret: str) -> Verdict | None:
        """What was refused at input, had it come by a form, or is no longer allowed."""
        if reason := self.unavailable():
            return cloud_verdicts.not_available(reason=reason)
        if not self.hosts.fullmatch(host):
            return cloud_verdicts.wrong_host(cloud=self.cloud, host=host)
        wrong = self.check_account(host=host, account=account)
        reason = next(iter(wrong.values()), None) or self.check_secret(account=account, secret=secret)
        return cloud_verdicts.key_unusable(reason=reason) if reason else None

    def _verdict(self, call: Call, words: str, answer: Answer) -> Verdict:
        """Why the cloud refused; its words are quoted there, and must not have a secret in them any more."""
        return cloud_verdicts.of_refusal(
            words,
            self.rows,
            status=answer.status,
            clock_ahead=_clock_ahead(answer.date),
            facts={
                "cloud": self.cloud,
                "credentials": self.credentials,
                "credentials_help": self.credentials_help,
                "host": call.host,
                **call.account,
            },
        )

    def _failure(self, call: Call, verdict: Verdict, words: str = "", retry_after: float | None = None) -> MintFailed:
        return MintFailed(verdict, words=scrub(words, call.hidden)[:WORDS_LIMIT], retry_after=retry_after)


class MachineMethod(CloudMethod):
    """The rights of the machine that dokreg runs on, which whoever may add a registry would use."""

    slug = "machine"

    def unavailable(self) -> str | None:
        if settings.DOKREG_MACHINE_IDENTITY:
            return None
        return (
            f"With this, everybody who may add a registry uses the rights of dokreg's own machine at {self.cloud}. "
            "Who runs dokreg can allow that with DOKREG_MACHINE_IDENTITY=true."
        )


def read_date(text: str) -> dt.datetime | None:
    """A date as HTTP writes it, or None."""
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=dt.UTC)


def life_in_seconds(value: object) -> dt.timedelta:
    """A life as a cloud writes it, at most the longest. Raises Unreadable."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unreadable("it does not say how long the token lives")
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        seconds = math.nan
    if math.isnan(seconds):
        raise Unreadable("how long the token lives is not a number")
    most = LONGEST_LIFE.total_seconds()
    return dt.timedelta(seconds=min(max(seconds, -most), most))


def text_in(fields: Mapping[str, Any], name: str) -> str:
    """A text that must be there and not empty. Raises Unreadable."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"there is no {name} in it")
    return value


def _clock_ahead(theirs: dt.datetime | None) -> dt.timedelta | None:
    return None if theirs is None else timezone.now() - theirs
