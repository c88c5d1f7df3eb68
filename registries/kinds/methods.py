"""How dokreg comes to what `docker login` is given: a secret as it is stored, or a token minted with it."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from servers.verdicts import Verdict

Account = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Minted:
    """A short-lived token, and the name that goes with it.

    Both times are in dokreg's own clock, whatever the cloud's says: the life that the cloud gives a token is counted
    from the moment it was asked for.
    """

    username: str
    secret: str = field(repr=False)
    issued_at: dt.datetime
    expires_at: dt.datetime


class MintFailed(Exception):
    """No token came. `verdict.permanent`: trying again without a change does not help.

    `words` are the cloud's own, not scrubbed yet; `retry_after` is in seconds, where the cloud named it.
    """

    def __init__(self, verdict: Verdict, *, words: str = "", retry_after: float | None = None) -> None:
        super().__init__(verdict.cause)
        self.verdict = verdict
        self.words = words
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class AccountField:
    """An input of a method that is no secret, such as the id of an access key. `name` is its key in the account."""

    name: str
    label: str
    help_text: str = ""
    placeholder: str = ""
    required: bool = True
    max_length: int = 300


@dataclass(frozen=True, slots=True)
class Policy:
    """What to paste at the provider so that the account may do just what dokreg needs.

    `text` is whole by itself: a JSON document, or a command. `further` belong elsewhere and are needed as well, such
    as the trust policy of a role; they have none themselves.
    """

    title: str
    text: str
    further: tuple["Policy", ...] = ()


class Method:
    """One way to get a token for a registry. A provider's class lists its methods, the recommended one first.

    All texts are for people; none ever contains a secret. `account` has a text for every name in `fields`, "" for
    an optional one that was left empty.
    """

    slug: ClassVar[str]
    name: ClassVar[str]
    summary: ClassVar[str]

    # The username that goes with the tokens; dokreg fills it in, nobody types it.
    username: ClassVar[str]
    fields: ClassVar[tuple[AccountField, ...]] = ()

    # What the secret is called. "": there is none to enter, the machine that dokreg runs on has an identity.
    secret_name: ClassVar[str] = ""
    secret_help: ClassVar[str] = ""
    secret_has_lines: ClassVar[bool] = False
    # A sentence on how long the tokens live.
    token_life: ClassVar[str] = ""

    # What to do when the cloud refuses the credentials.
    credentials_help: ClassVar[str] = ""

    @property
    def needs_secret(self) -> bool:
        return bool(self.secret_name)

    def unavailable(self) -> str | None:
        """Why this method cannot be used in this installation, or None."""
        return None

    def check_account(self, *, host: str, account: Account) -> dict[str, str]:
        """What is wrong: field's name → sentence. Required fields that are empty are found by the form already."""
        return {}

    def is_secret(self, text: str) -> bool:
        """Whether what was typed into a field of the account is the secret, by mistake: it is not shown again then."""
        return False

    def check_secret(self, *, account: Account, secret: str) -> str | None:
        """Why this secret cannot work, or None; never contains the secret."""
        return None

    def doubt_secret(self, *, account: Account, secret: str) -> tuple[str, ...]:
        """What is probably wrong with the secret, a sentence each; never contains it."""
        return ()

    def describe(self, *, account: Account, secret: str) -> str:
        """What may be shown of the secret, such as whose key it is; "" if the account's fields say all there is."""
        return ""

    def policy(self, *, host: str, account: Account) -> Policy | None:
        """The least that the account must be allowed to do, ready to paste; `host` may be empty or not valid yet."""
        return None

    def mint(self, *, host: str, account: Account, secret: str) -> Minted:
        """Ask the cloud for a token, within MINT_DEADLINE seconds. Raises MintFailed, and nothing else."""
        raise NotImplementedError


# For everything together: connecting, role to assume, exchange.
MINT_DEADLINE = 20.0
