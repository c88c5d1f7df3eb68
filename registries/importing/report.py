"""What an import found, line by line: what is made, what is there already, what is left out and why.

It is read in a terminal: nothing in it is a secret, and what came from elsewhere is made printable.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from django import forms

_LONGEST = 500


class Thing(Enum):
    """What an import may find, in the order in which it is made and shown."""

    KEY = "SSH key", "SSH keys"
    SERVER = "server", "servers"
    REGISTRY = "registry", "registries"
    PROJECT = "project", "projects"
    APPLICATION = "application", "applications"
    OTHER = "other service", "other services"

    def counted(self, number: int) -> str:
        """`1 SSH key`, `2 registries`."""
        one, many = self.value
        return f"{number} {one if number == 1 else many}"

    @property
    def heading(self) -> str:
        many = self.value[1]
        return many[0].upper() + many[1:]


class Outcome(StrEnum):
    """What becomes of it; the value is the sign before its line."""

    MADE = "+"
    THERE = "="
    LEFT_OUT = "-"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing: its name, what is to be said of it, and what a person should know besides."""

    thing: Thing
    name: str
    outcome: Outcome
    words: str = ""
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """Entries in the order in which they were found."""

    entries: list[Entry] = field(default_factory=list)

    def made(self, thing: Thing, name: str, words: str = "", notes: Iterable[str] = ()) -> None:
        self.entries.append(Entry(thing, name, Outcome.MADE, words, tuple(notes)))

    def there(self, thing: Thing, name: str, *, called: str = "", words: str = "") -> None:
        """`called`: its name where it is; `words` follow upon that."""
        known_as = f" as {called}" if called not in {"", name} else ""
        self.entries.append(Entry(thing, name, Outcome.THERE, f"is there already{known_as}{words}"))

    def left_out(self, thing: Thing, name: str, why: str) -> None:
        self.entries.append(Entry(thing, name, Outcome.LEFT_OUT, why))

    def named(self, outcome: Outcome) -> list[tuple[Thing, str]]:
        """Thing and name of the entries with this outcome."""
        return [(entry.thing, entry.name) for entry in self.entries if entry.outcome == outcome]

    def lines(self, *, is_dry: bool) -> Iterator[str]:
        """The whole report, with the counts at its end."""
        for thing in Thing:
            if found := [entry for entry in self.entries if entry.thing == thing]:
                yield thing.heading
                for entry in found:
                    yield from _lines_of(entry)
                yield ""
        made, there, left_out = (self._counts(outcome) for outcome in Outcome)
        yield f"{'To be made' if is_dry else 'Made'}: {made}."
        yield f"There already: {there}."
        yield f"Left out: {left_out}."

    def _counts(self, outcome: Outcome) -> str:
        counts = Counter(thing for thing, _name in self.named(outcome))
        return ", ".join(thing.counted(counts[thing]) for thing in Thing if counts[thing]) or "nothing"


def sentences_of(form: forms.BaseForm, *, but: str = "") -> str:
    """Why a form refuses what was found, in one line, without one of its fields; its errors never repeat a secret."""
    found = []
    for name, texts in form.errors.items():
        if name == but:
            continue
        label = form.fields[name].label or name.replace("_", " ").capitalize() if name in form.fields else ""
        found.append(f"{label}: {' '.join(map(str, texts))}" if label else " ".join(map(str, texts)))
    return " ".join(found)


def printable(text: str) -> str:
    """The text as a terminal may be given it: bounded, without characters that could command it."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _lines_of(entry: Entry) -> Iterator[str]:
    between = ": left out. " if entry.outcome == Outcome.LEFT_OUT else ": " if entry.words else ""
    yield f"  {entry.outcome} {printable(entry.name)}{between}{printable(entry.words)}"
    for note in entry.notes:
        yield f"      {printable(note)}"
