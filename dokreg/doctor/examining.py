"""Asks every check, each with a deadline; what is away makes others unknown, and stops nobody."""

import logging
from collections.abc import Iterator

from django.db import DatabaseError

from dokreg import health
from dokreg.deadlines import DeadlinePassed, queries_within, within
from dokreg.doctor.checks import BROKER, DATABASE, ERROR, WARNING, Check, Finding, Report, Section, all_checks

log = logging.getLogger(__name__)
PART_SECONDS = 4.0
QUERY_SECONDS = 1.5
CHECK_SECONDS = 5.0
THOROUGH_SECONDS = 120.0
AWAY = {
    DATABASE: Finding(
        "Database",
        "It does not answer.",
        ERROR,
        why="Nothing works without it.",
        fix="See that PostgreSQL runs and that DATABASE_URL is right; without one, that the data folder can be read.",
    ),
    BROKER: Finding(
        "Broker",
        "It does not answer.",
        ERROR,
        why="No task reaches a worker. What people click meanwhile is sent later.",
        fix="See that Redis runs and that REDIS_URL is right; without one, that manage.py up runs.",
    ),
}


def examine(*, everything: bool = True) -> Report:
    """Look at all of it; without `everything` not at what takes longer than a page may."""
    sections: dict[str, Section] = {}
    away = {part for part in (DATABASE, BROKER) if not _is_there(part)}
    for check in all_checks():
        section = sections.setdefault(check.section, Section(check.section))
        found = _findings(check, away, everything=everything)
        section.findings += [finding for finding in found if finding not in section.findings]
    return Report(list(sections.values()))


def _is_there(part: str) -> bool:
    try:
        with within(PART_SECONDS):
            return not health.ask(part).problem
    except DeadlinePassed:
        return False


def _findings(check: Check, away: set[str], *, everything: bool) -> Iterator[Finding]:
    if check.section.lower() in away:
        yield AWAY[check.section.lower()]
    elif missing := sorted(check.needs & away):
        yield Finding(check.section, f"Not known: the {missing[0]} does not answer.", WARNING)
    elif everything or not check.is_thorough:
        yield from _ask(check, THOROUGH_SECONDS if check.is_thorough else CHECK_SECONDS)


def _ask(check: Check, seconds: float) -> list[Finding]:
    """What the check answers, or why it did not. Its type alone: the text of an error may quote an address."""
    try:
        with within(seconds):
            if DATABASE not in check.needs:
                return list(check.look())
            with queries_within(seconds if check.is_thorough else QUERY_SECONDS):
                return list(check.look())
    except DeadlinePassed:
        return [_unanswered(check, f"No answer within {seconds:g} s.")]
    except DatabaseError as error:
        return [_unanswered(check, f"The database did not answer this ({type(error).__name__}).")]
    except Exception as error:
        log.exception("The doctor's look at “%s” broke off.", check.section)
        return [_unanswered(check, f"The look at it broke off ({type(error).__name__}).")]


def _unanswered(check: Check, fact: str) -> Finding:
    return Finding(
        check.section,
        fact,
        ERROR,
        why="How it is, is not known.",
        fix="Ask again; if it stays so, dokreg's log says more.",
    )
