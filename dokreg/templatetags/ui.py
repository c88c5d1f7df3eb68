"""Words and icons of the pages: times, durations, states."""

import datetime as dt
import re
from functools import lru_cache

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

MINUTE, HOUR, DAY = 60, 3600, 86400
SOON = 3
DAYS_IN_WORDS = 30
BREAKS = re.compile(r"(?<=[./:])(?=\w)")

# What a run, a rung or a host key may be → the icon and the word that show it, next to the colour.
STATES = {
    "passed": ("check", "Passed"),
    "failed": ("cross", "Failed"),
    "warning": ("alert", "Warning"),
    "running": ("spinner", "Running"),
    "queued": ("clock", "Queued"),
    "waiting": ("dot", "Waiting"),
    "skipped": ("minus", "Not reached"),
    "lost": ("question", "Lost"),
    "never": ("minus", "Never tested"),
    "confirmed": ("lock", "Confirmed"),
    "unconfirmed": ("alert", "Not confirmed"),
    "changed": ("cross", "Changed"),
    "fresh": ("check", "Fresh"),
    "failing": ("alert", "Refreshing fails"),
    "held": ("check", "Logged in"),
    "leaving": ("clock", "Logging out"),
    "staged": ("clock", "Preparing"),
    "testing": ("spinner", "Testing"),
    "switched": ("check", "Switched"),
    "kept": ("cross", "Not switched"),
    "discarded": ("minus", "Discarded"),
    "missing": ("cross", "Missing"),
    "outdated": ("alert", "Outdated"),
    "foreign": ("question", "Not dokreg’s"),
    "known": ("info", "Saved here"),
    "open": ("clock", "Open"),
    "expired": ("minus", "Expired"),
    "info": ("info", "Info"),
    "succeeded": ("check", "Succeeded"),
    "cancelled": ("minus", "Cancelled"),
    # How a container is, in Docker's words; “running” is “up” here, for a run that runs is not over yet.
    "none": ("minus", "No container"),
    "up": ("check", "Running"),
    "healthy": ("check", "Healthy"),
    "starting": ("clock", "Starting"),
    "unhealthy": ("cross", "Unhealthy"),
    "restarting": ("alert", "Restarting"),
    "created": ("clock", "Created"),
    "paused": ("minus", "Paused"),
    "exited": ("stop", "Stopped"),
    "removing": ("clock", "Being removed"),
    "dead": ("cross", "Dead"),
}
LEVELS = {"success": "check", "warning": "alert", "error": "cross"}


@register.simple_tag
@lru_cache(maxsize=500)  # a list has five in each row
def icon(name: str, label: str = "") -> SafeString:
    """A symbol of `static/icons.svg`; decoration, unless it has a label."""
    meaning = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html('<svg class="icon" {}><use href="{}"></use></svg>', meaning, f"{static('icons.svg')}#{name}")


@register.simple_tag
def badge(state: str, label: str = "") -> SafeString:
    """A state by icon, word and colour; `label` is another word for it."""
    return format_html(
        '<span class="badge" data-state="{}">{}{}</span>', state, icon(state_icon(state)), label or state_word(state)
    )


@register.simple_tag
def time(at: dt.datetime | None) -> str:
    """A time, said as a distance from now; nothing where there is none."""
    if not at:
        return ""
    local = timezone.localtime(at)
    title = date_format(local, "j M Y, H:i:s T")
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), title, ago(at))


@register.filter
def state_icon(state: str) -> str:
    """The icon of a state."""
    return STATES.get(state, ("dot", ""))[0]


@register.filter
def state_word(state: str) -> str:
    """The word for a state; an unknown one speaks for itself."""
    return STATES.get(state, ("", str(state).replace("_", " ").capitalize()))[1]


@register.filter
def level_icon(level: str) -> str:
    """The icon of a message."""
    return LEVELS.get(level, "info")


@register.filter
def breakable(address: object) -> SafeString:
    """A host, path or reference that a narrow column breaks behind its dots, colons and slashes, not inside a word."""
    return format_html_join(mark_safe("<wbr>"), "{}", ([part] for part in BREAKS.split(str(address))))


@register.filter
def megabytes(size: int) -> str:
    """Bytes in the unit of registries and clouds, a million of them: "42", "0.3"."""
    return f"{size / 1_000_000:.1f}" if size < 1_000_000 else f"{size / 1_000_000:.0f}"


@register.filter
def ago(at: dt.datetime | None) -> str:
    """How far away a time is, for people: "3 min ago", "in 5 h", and the date itself if that is a month or more.

    What is to come is rounded, so that what was just made for seven days ends "in 7 days".
    """
    if at is None:
        return ""
    seconds = (timezone.now() - at).total_seconds()
    distance = _distance(seconds if seconds >= 0 else _rounded(-seconds))
    if distance is None:
        return date_format(timezone.localtime(at), "j M Y")
    if not distance:
        return "just now" if seconds > -SOON else "in a moment"
    return f"{distance} ago" if seconds > 0 else f"in {distance}"


def _rounded(seconds: float) -> float:
    """To the nearest of the unit in which it is said."""
    if seconds < MINUTE:
        return seconds
    minutes, hours = round(seconds / MINUTE) * MINUTE, round(seconds / HOUR) * HOUR
    if minutes < HOUR:
        return minutes
    return hours if hours < DAY else round(seconds / DAY) * DAY


def _distance(seconds: float) -> str | None:
    if seconds < MINUTE:
        return ""
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min"
    if seconds < DAY:
        return f"{int(seconds // HOUR)} h"
    days = int(seconds // DAY)
    if days >= DAYS_IN_WORDS:
        return None
    return "1 day" if days == 1 else f"{days} days"


@register.filter
def duration(length: float | dt.timedelta | None) -> str:
    """A length of time, given in milliseconds or as a timedelta: "84 ms", "1.2 s", "2 min 5 s"."""
    if length is None or length == "":
        return ""
    milliseconds = length.total_seconds() * 1000 if isinstance(length, dt.timedelta) else length
    if round(milliseconds) < 1000:
        return f"{round(milliseconds)} ms"
    seconds = milliseconds / 1000
    if round(seconds, 1) < MINUTE:
        return f"{seconds:.1f} s"
    if seconds >= HOUR and round(seconds) % HOUR == 0:
        return f"{round(seconds) // HOUR} h"
    minutes, rest = divmod(round(seconds), MINUTE)
    return f"{minutes} min {rest} s"
