"""Credentials that are right, the clouds that give tokens for them, and how minting fails without them."""

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from registries import kinds
from registries.kinds import cloud_verdicts
from registries.kinds.methods import Minted, MintFailed
from registries.kinds.minting import WORDS_LIMIT
from servers.verdicts import Verdict
from tests.lab.clouds import Cloud

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ROLE = "arn:aws:iam::210987654321:role/dokreg-pull"
EVERY = pytest.mark.parametrize(
    "case", ["ecr", "ecr_public", "ecr_machine", "google_key", "google_machine", "acr"], indirect=True
)
EVERY_CLOUD = pytest.mark.parametrize("case", ["ecr", "google_key", "acr"], indirect=True)


@dataclass
class Case:
    """Credentials that are right, the cloud that gives tokens for them, and how to mint."""

    kind: str
    method: str
    host: str
    cloud: Cloud
    account: dict[str, str] = field(default_factory=dict)
    secret: str = ""
    owner: str = ""

    def mint(self, *, secret: str | None = None, **account: str) -> Minted:
        method = kinds.get(self.kind).method(self.method)
        assert method is not None
        return method.mint(
            host=self.host, account=self.account | account, secret=self.secret if secret is None else secret
        )

    def failure(self, *, secret: str | None = None, **account: str) -> MintFailed:
        """How minting fails; no secret is in it, wherever one looks."""
        with pytest.raises(MintFailed) as failed:
            self.mint(secret=secret, **account)
        error = failed.value
        assert error.__cause__ is None
        assert error.__context__ is None
        texts = (str(error), repr(error), repr(error.args), error.words, repr(error.verdict))
        for hidden in self._secret_parts(self.secret if secret is None else secret):
            assert not any(hidden in text for text in texts)
        assert len(error.words) <= WORDS_LIMIT
        return error

    def _secret_parts(self, secret: str) -> list[str]:
        if self.method != "service_account":
            return [secret] if secret else []
        return [line for line in json.loads(secret)["private_key"].splitlines() if len(line) > 20]


def near(one: dt.datetime, other: dt.datetime) -> bool:
    return abs(one - other) < dt.timedelta(minutes=1)


def judge(words: str, rows: Any, *, status: int = 400) -> Verdict:
    facts = {"cloud": "The cloud", "credentials": "the key", "credentials_help": "Look.", "host": "h"}
    return cloud_verdicts.of_refusal(words, rows, status=status, clock_ahead=None, facts=facts)
