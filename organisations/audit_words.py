"""The audit trail in words: entries as lines that a page shows, in a fixed number of queries."""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, ForeignKey, Model
from django.utils.text import Truncator, capfirst

from dokreg import permissions
from organisations.api_key_models import ApiKey
from organisations.api_keys import MANAGE_ALL
from organisations.members import in_words
from organisations.models import AuditEntry, Invitation, Membership, Organisation, OwnedByOrganisation

LONGEST_VALUE = 100
# The page, and the line itself, say these.
SAID_ELSEWHERE = {"organisation", "api_key"}
NOTHING = {"", "None", "null"}
# Said without their values: long, or only a sign that a secret is another one.
SAID_IN_SHORT = {
    "address_changed_at": "a new address",
    "environment_changed_at": "a new environment",
    "webhook_changed_at": "a new webhook",
    "host_key": "a new host key",
    "public_key": "a new key pair",
    "secret_changed_at": "a new password",
    "seen_host_key": "another host key seen",
}
UNSAID = {"created_at", "id", "invited_by", "organisation", "revoked_at"}
# Of one model alone: every invitation ends after the same time.
UNSAID_OF = {(Invitation, "expires_at")}
VERBS = {
    AuditEntry.Action.CREATE: "added",
    AuditEntry.Action.UPDATE: "changed",
    AuditEntry.Action.DELETE: "deleted",
}
# Of one's own membership.
OWN_VERBS = {
    AuditEntry.Action.CREATE: "became a member",
    AuditEntry.Action.DELETE: "left the organisation",
}
# Where the button does not say Add, Change or Delete; of an API key nothing changes but that it is revoked.
OTHER_VERBS: dict[tuple[type[Model] | None, int], str] = {
    (ApiKey, AuditEntry.Action.CREATE): "made",
    (ApiKey, AuditEntry.Action.UPDATE): "revoked",
    (Membership, AuditEntry.Action.DELETE): "removed",
    (Invitation, AuditEntry.Action.DELETE): "revoked",
}
EVENT_WORDS = {
    "adopted a login": "adopted a login from",
    "asked for a check of the Docker config": "asked for a check of the Docker config of",
    "asked for a deployment": "asked for a deployment of",
    "asked for a test": "asked for a test of",
    "asked for a token": "asked for a token for",
    "cancelled a deployment": "cancelled a deployment of",
    "cancelled tests": "cancelled tests of",
    "chose the servers to log in": "chose the servers that stay logged in to",
    "confirmed the host key": "confirmed the host key of",
    "discarded new credentials": "discarded new credentials for",
    "ended a webhook": "ended the webhook of",
    "exported the secrets": "exported the secrets of",
    "kept the old credentials": "kept the old credentials of",
    "let unsigned calls in": "let unsigned calls in to the webhook of",
    "logged in anew": "had the logins made anew of",
    "made a signing secret": "made a signing secret for the webhook of",
    "made a webhook": "made a webhook for",
    "pinned the host key at first contact": "pinned the host key at first contact with",
    "removed a login": "removed a login from",
    "removed a signing secret": "removed the signing secret from the webhook of",
    "renewed a webhook": "gave a new address to the webhook of",
    "shut unsigned calls out": "shut unsigned calls out of the webhook of",
    "sign-in refused": "was refused a sign-in as",
    "staged new credentials": "staged new credentials for",
    "switched to new credentials": "switched to new credentials of",
}
KIND_NAMES = {"membership": "member"}
# The permission to see rows that have none of their own.
SEEN_WITH: dict[type[Model], str] = {ApiKey: MANAGE_ALL}
# Their own names say already what they are.
SELF_EXPLAINING = {"invitation"}

# How columns are called and their values shown, where the model itself does not know it; filled in by the apps.
_labels: dict[tuple[type[Model], str], str] = {(Organisation, "slug"): "Address"}
_values: dict[tuple[type[Model], str], Callable[[str], str]] = {}

Names = dict[tuple[type[Model], str], str]


@dataclass(frozen=True, slots=True)
class Line:
    """One entry: who did what to which thing, with the changes one by one, from where, when."""

    who: str
    what: str
    kind: str
    thing: str
    url: str
    details: tuple[str, ...]
    address: str
    at: dt.datetime


def register_label(model: type[Model], field: str, label: str) -> None:
    """Call a column in the trail as its form does."""
    _labels[model, field] = label


def register_words(model: type[Model], field: str, words: Callable[[str], str]) -> None:
    """Show a column's values in the trail as `words` says them; it takes any stored text and never raises."""
    _values[model, field] = words


def lines_of(entries: Sequence[AuditEntry], may: Membership | None = None) -> list[Line]:
    """The entries, fetched with actor and content type; with links to what `may` sees, if given."""
    names = _names_of_related(entries)
    urls = _urls_of_existing(entries, may) if may else {}
    return [_line(entry, names, urls) for entry in entries]


def kind_name(model: type[Model]) -> str:
    """What people call the rows of a model."""
    name = str(model._meta.verbose_name)
    return KIND_NAMES.get(name, name)


def _line(entry: AuditEntry, names: Names, urls: dict[tuple[int, str], str]) -> Line:
    has_object = _has_object(entry)
    return Line(
        who=_who(entry),
        what=_verb(entry, has_object=has_object),
        kind=_kind(entry) if has_object else "",
        thing=_thing(entry) if has_object else "",
        url=urls.get((entry.content_type_id, entry.object_pk), ""),
        details=tuple(_details(entry, names)),
        address=entry.remote_addr or "",
        at=entry.timestamp,
    )


def _has_object(entry: AuditEntry) -> bool:
    """Whether a thing is to be named: "bob signed in" and "alice asked for a test" (of a draft) say it all."""
    if _is_about_oneself(entry):
        return not entry.event and entry.action not in OWN_VERBS
    return not entry.event or _model(entry) is not Organisation


def _is_about_oneself(entry: AuditEntry) -> bool:
    return _model(entry) is Membership and _who(entry) == entry.object_repr


def _kind(entry: AuditEntry) -> str:
    model = _model(entry)
    name = kind_name(model) if model else ""
    return "" if name in SELF_EXPLAINING else name


def _thing(entry: AuditEntry) -> str:
    name = str(entry.object_repr)
    return name[0].lower() + name[1:] if _model(entry) is Invitation else name


def _who(entry: AuditEntry) -> str:
    if entry.actor is not None:
        key = (entry.additional_data or {}).get("api_key")
        return f"{entry.actor.get_username()} (API key {key}…)" if key else str(entry.actor.get_username())
    if entry.event == "sign-in refused":
        return "Somebody"
    return entry.actor_email or "dokreg"


def _verb(entry: AuditEntry, *, has_object: bool) -> str:
    if entry.event:
        return EVENT_WORDS.get(entry.event, entry.event) if has_object else str(entry.event)
    if not has_object:
        return OWN_VERBS[entry.action]
    return OTHER_VERBS.get((_model(entry), entry.action)) or str(VERBS.get(entry.action, "opened"))


def _details(entry: AuditEntry, names: Names) -> Iterator[str]:
    if entry.event:
        yield from _facts(entry.additional_data or {})
    elif entry.action == AuditEntry.Action.CREATE:
        yield from _first_values(entry, names)
    elif entry.action == AuditEntry.Action.UPDATE:
        for name, (old, new) in _changes(entry):
            if detail := _change(_model(entry), name, old, new, names):
                yield detail


def _first_values(entry: AuditEntry, names: Names) -> Iterator[str]:
    """What a new row was made with; its own name is said already."""
    model = _model(entry)
    for name, (_old, new) in _changes(entry):
        if name in SAID_IN_SHORT or new in NOTHING or _is_unsaid(model, name):
            continue
        field = _field(model, name)
        value = _value(field, new, names)
        if value and value != entry.object_repr:
            yield f"{_label(field, name)} “{value}”"


def _facts(data: dict[str, Any]) -> Iterator[str]:
    """What was recorded with an event; the organisation is said by the page."""
    return (f"{capfirst(name)}: {_short(str(fact))}" for name, fact in data.items() if name not in SAID_ELSEWHERE)


def _change(model: type[Model] | None, name: str, old: str, new: str, names: Names) -> str:
    if _is_unsaid(model, name):
        return ""
    if name in SAID_IN_SHORT:
        return "" if new in NOTHING else capfirst(SAID_IN_SHORT[name])
    field = _field(model, name)
    label, before, after = _label(field, name), _value(field, old, names), _value(field, new, names)
    if before and after:
        return f"{label} from “{before}” to “{after}”"
    if after:
        return f"{label} “{after}”"
    return f"{label} emptied, was “{before}”" if before else ""


def _is_unsaid(model: type[Model] | None, name: str) -> bool:
    return name in UNSAID or (model, name) in UNSAID_OF


def _label(field: "Field[Any, Any] | None", name: str) -> str:
    if field is None:
        return str(capfirst(name))
    return _labels.get((field.model, name)) or str(capfirst(str(field.verbose_name)))


def _value(field: "Field[Any, Any] | None", text: str, names: Names) -> str:
    """A stored value in words; "" for none."""
    if field is not None and field.name == "permissions":
        return _permissions(text)
    if text in NOTHING:
        return ""
    if isinstance(field, ForeignKey):
        return names.get((field.related_model, text), "something deleted since")
    if field is not None and (words := _values.get((field.model, field.name))):
        return _short(words(text))
    choices = dict(field.flatchoices) if field is not None else {}
    return _short(str(choices.get(text, text)))


def _permissions(text: str) -> str:
    """The ticked permissions; none were ticked while they are as the role says."""
    if text in NOTHING:
        return "as the role says"
    return in_words(json.loads(text))


def _short(text: str) -> str:
    return Truncator(text).chars(LONGEST_VALUE)


def _changes(entry: AuditEntry) -> Iterator[tuple[str, tuple[str, str]]]:
    for name, change in (entry.changes or {}).items():
        if isinstance(change, list):
            yield name, (str(change[0]), str(change[1]))


def _model(entry: AuditEntry) -> type[Model] | None:
    model: type[Model] | None = entry.content_type.model_class()
    return model


def _field(model: type[Model] | None, name: str) -> "Field[Any, Any] | None":
    if model is None:
        return None
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, Field) else None


def _names_of_related(entries: Sequence[AuditEntry]) -> Names:
    """The names of rows that changed columns refer to, one query per model."""
    wanted: dict[type[Model], set[str]] = defaultdict(set)
    for entry in entries:
        for name, values in _changes(entry):
            field = _field(_model(entry), name)
            if isinstance(field, ForeignKey) and field.related_model is not Organisation:
                wanted[field.related_model].update(value for value in values if value not in NOTHING)
    return {
        (model, str(row.pk)): str(row)
        for model, keys in wanted.items()
        for row in model._default_manager.filter(pk__in=keys)
    }


def _urls_of_existing(entries: Sequence[AuditEntry], may: Membership) -> dict[tuple[int, str], str]:
    """Where rows that still exist are shown, one query per model; none for what the member may not see."""
    wanted: dict[int, set[str]] = defaultdict(set)
    models: dict[int, type[Model]] = {}
    for entry in entries:
        model = _model(entry)
        if model is not None and _may_see(model, may):
            models[entry.content_type_id] = model
            wanted[entry.content_type_id].add(entry.object_pk)
    return {
        (type_id, key): models[type_id](pk=key, organisation=may.organisation).get_absolute_url()  # type: ignore[attr-defined]
        for type_id, keys in wanted.items()
        for key in _existing(models[type_id], keys, may.organisation)
    }


def _existing(model: type[Model], keys: set[str], organisation: Organisation) -> Iterator[str]:
    rows = model._default_manager.filter(organisation=organisation, pk__in=keys)
    return rows.values_list("pk", flat=True).iterator()


def _may_see(model: type[Model], may: Membership) -> bool:
    name = SEEN_WITH.get(model, f"{model._meta.app_label}.view_{model._meta.model_name}")
    has_page = issubclass(model, OwnedByOrganisation) and hasattr(model, "get_absolute_url")
    return has_page and name in permissions.ALL and name in may
