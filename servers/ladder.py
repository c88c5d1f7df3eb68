"""The ladder that a test climbs: one rung after the other, each with its state, its time and Docker's words.

A rung is stored as `{"name", "label", "state", "milliseconds", "cause", "fix", "words", "fact"}`; its states are
`waiting`, `running`, `passed`, `warning`, `failed` and `skipped` (not reached).
"""

import dataclasses
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dokreg.scrub import scrub
from servers.verdicts import Verdict

Rung = dict[str, Any]
MAX_WORDS = 8 * 1024
MAX_FACT = 300
PLACES = ("ssh", "host")
# A shorter secret may be a word of our own sentences, which a mask in its place would then give away.
RECOGNISED_IN_SENTENCES = 8


class Ladder:
    """Keeps the rungs of one run; `save` is called with all of them whenever one changes."""

    def __init__(self, steps: Sequence[tuple[str, str]], *, save: Callable[[list[Rung]], None]) -> None:
        self.rungs = [new_rung(name, label) for name, label in steps]
        self.verdict: Verdict | None = None
        self._save = save
        self._secrets: list[str] = []
        self._since = time.monotonic()

    def hide(self, secret: str) -> None:
        """Take a secret out of all words from now on."""
        self._secrets.append(secret)

    def start(self, name: str) -> None:
        """The rung is being climbed from now on."""
        self._begin(name)
        self._save(self.rungs)

    def passed(self, name: str, *, fact: str = "", milliseconds: int | None = None, goes_on: bool = False) -> None:
        """The rung holds; `fact` is what was learned, such as a version.

        With `goes_on` the next one, if there is one, is being climbed from now on: one save for both.
        """
        took = self._elapsed(milliseconds)
        self._rung(name).update(state="passed", fact=self._fact(fact), milliseconds=took)
        if goes_on and not self.is_over:
            self._begin(self.current)
        self._save(self.rungs)

    def note(self, name: str, *, fact: str) -> None:
        """Something learned later about a rung; shown with the next change."""
        self._rung(name)["fact"] = self._fact(fact)

    def warned(self, name: str, verdict: Verdict, *, fact: str = "", milliseconds: int | None = None) -> None:
        """The rung holds, with a reservation."""
        self.verdict = verdict = without_secrets(verdict, self._secrets)
        self._change(
            name,
            state="warning",
            cause=verdict.cause,
            fix=verdict.fix,
            fact=self._fact(fact),
            milliseconds=self._elapsed(milliseconds),
        )

    def failed(self, name: str, verdict: Verdict, *, words: str = "", milliseconds: int | None = None) -> None:
        """The ladder ends here; what stands above is not reached."""
        self.verdict = verdict = without_secrets(verdict, self._secrets)
        for rung in self.rungs:
            if rung["state"] == "waiting" and rung["name"] != name:
                rung["state"] = "skipped"
        self._change(
            name,
            state="failed",
            cause=verdict.cause,
            fix=verdict.fix,
            words=self.scrubbed(words)[:MAX_WORDS],
            milliseconds=self._elapsed(milliseconds),
        )

    @property
    def has_failed(self) -> bool:
        return self.failed_rung is not None

    @property
    def failed_rung(self) -> Rung | None:
        """The rung at which it ended."""
        return next((rung for rung in self.rungs if rung["state"] == "failed"), None)

    @property
    def place(self) -> str:
        """The rung that holds once the host's shell has answered: `ssh`, or `host` for dokreg's own."""
        return str(next(rung["name"] for rung in self.rungs if rung["name"] in PLACES))

    @property
    def has_reached_place(self) -> bool:
        return any(rung["name"] in PLACES and rung["state"] == "passed" for rung in self.rungs)

    @property
    def is_over(self) -> bool:
        """Whether every rung is decided."""
        return is_over(self.rungs)

    @property
    def current(self) -> str:
        """The rung that is being climbed, or the next one."""
        return str(next(rung["name"] for rung in self.rungs if rung["state"] in {"running", "waiting"}))

    def _elapsed(self, milliseconds: int | None) -> int:
        return milliseconds if milliseconds is not None else round((time.monotonic() - self._since) * 1000)

    def scrubbed(self, words: str) -> str:
        """Foreign words without the secrets, and without what no database takes.

        To be asked before anything cuts or quotes them: half a secret at a cut would not be recognised.
        """
        return clean(words, self._secrets).strip()

    def _fact(self, fact: str) -> str:
        return self.scrubbed(fact)[:MAX_FACT]

    def _begin(self, name: str) -> None:
        self._since = time.monotonic()
        self._rung(name)["state"] = "running"

    def _change(self, name: str, **changes: Any) -> None:
        self._rung(name).update(changes)
        self._save(self.rungs)

    def _rung(self, name: str) -> Rung:
        return next(rung for rung in self.rungs if rung["name"] == name)


def storable(text: str) -> str:
    """Foreign text without control characters, tabs and the ends of lines apart, and with no half of a character.

    PostgreSQL takes neither NUL nor lone surrogates, and no page shows the others.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c for c in lines if c in "\n\t" or unicodedata.category(c) != "Cc")
    return kept.encode(errors="replace").decode()


def clean(text: str, secrets: Iterable[str]) -> str:
    """Foreign text that may be stored, without these secrets, however they look in it."""
    return scrub(storable(text), [spelling for secret in secrets for spelling in (secret, storable(secret))])


def without_secrets(verdict: Verdict, secrets: Iterable[str]) -> Verdict:
    """A verdict whose sentences may be stored and have no secret, whoever was quoted in them."""
    long = [secret for secret in secrets if len(secret.strip()) >= RECOGNISED_IN_SENTENCES]
    return dataclasses.replace(verdict, cause=clean(verdict.cause, long), fix=clean(verdict.fix, long))


def is_over(rungs: list[Rung]) -> bool:
    """Whether every rung is decided."""
    return all(rung["state"] not in {"running", "waiting"} for rung in rungs)


def new_rung(name: str, label: str) -> Rung:
    """A rung that nobody has stepped on yet."""
    return {
        "name": name,
        "label": label,
        "state": "waiting",
        "milliseconds": None,
        "cause": "",
        "fix": "",
        "words": "",
        "fact": "",
    }
