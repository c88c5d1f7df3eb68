"""The audit trail: who did what to which object, from where.

Changes of rows are written by django-auditlog; what is no change of a row (a test, a sign-in) by `record`.
Secrets are excluded by column, not masked: the package's mask would show half of them.
"""

import contextlib
import datetime as dt
import re
from typing import Any

from auditlog.context import auditlog_value, set_actor
from auditlog.registry import auditlog
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone

from organisations.api_key_models import ApiKey
from organisations.audit_words import Line, lines_of, register_label, register_words
from organisations.models import AuditEntry, Invitation, Membership, Organisation, OwnedByOrganisation, User
from organisations.notification_models import NotificationChannel

# Every event that `record` is called with, so that the audit page can offer them.
EVENTS = (
    "accepted",
    "adopted a login",
    "asked for a check of the Docker config",
    "asked for a deployment",
    "asked for a test",
    "asked for a token",
    "cancelled a deployment",
    "cancelled tests",
    "changed the password",
    "chose the servers to log in",
    "confirmed the host key",
    "discarded new credentials",
    "ended a webhook",
    "ended all sessions",
    "exported the secrets",
    "gave up logging out",
    "kept the old credentials",
    "let unsigned calls in",
    "logged in anew",
    "made a signing secret",
    "made a webhook",
    "pinned the host key at first contact",
    "removed a login",
    "removed a signing secret",
    "renewed a webhook",
    "restored a backup",
    "shut unsigned calls out",
    "sign-in refused",
    "signed in",
    "signed out",
    "staged new credentials",
    "switched to new credentials",
)


MAIL_ADDRESS = re.compile(r"[^\s\[\]'\",]+@[^\s\[\]'\",]+")
QUIET_AFTER_REFUSAL = dt.timedelta(minutes=1)


def record(event: str, row: Model, *, actor: User | None = None, **facts: Any) -> AuditEntry:
    """Write that something happened to a row that belongs to an organisation (or is one).

    `event` is the verb in the past tense ("tested", "signed in"), one of EVENTS; `facts` are JSON values, never
    a secret. Inside a request the actor and the address are filled in by the middleware.
    """
    data: dict[str, Any] = dict(row.get_additional_data()) | facts  # type: ignore[attr-defined]
    entry = AuditEntry.objects.log_create(
        row, force_log=True, action=AuditEntry.Action.ACCESS, event=event, additional_data=data, actor=actor
    )
    assert isinstance(entry, AuditEntry)  # noqa: S101 - force_log always makes one
    return entry


def entries_of(row: OwnedByOrganisation, limit: int = 20) -> list[Line]:
    """What happened to a row last, newest first, for `organisations/audit_list.html` on the row's own page.

    For members with organisations.view_auditentry; the template shows it to nobody else.
    """
    entries = AuditEntry.objects.get_for_object(row).filter(organisation=row.organisation_id)
    return lines_of(in_order(entries)[:limit])


def in_order(entries: Any) -> Any:
    """Entries newest first, with what a page needs of each."""
    return entries.select_related("actor", "content_type").order_by("-timestamp", "-pk")


def audited_models() -> list[type[Model]]:
    """The models whose changes an organisation's audit trail shows."""
    return sorted(
        (model for model in auditlog.get_models() if issubclass(model, OwnedByOrganisation | Organisation)),
        key=lambda model: model._meta.label,
    )


def act_as(user: User) -> None:
    """Count what follows in this request as done by a person who was only made or found in it."""
    auditlog_value.get({})["actor"] = user


def acting(user: User | None) -> contextlib.AbstractContextManager[None]:
    """What a worker changes in this block counts as done by the person who asked for it. Not for use in a request."""
    return set_actor(user) if user is not None else contextlib.nullcontext()


def record_for_all(event: str, user: User, request: HttpRequest | None, *, actor: User | None) -> None:
    """Write that something happened to a person into every organisation of theirs."""
    address = request.META.get("REMOTE_ADDR") if request is not None else None
    for membership in Membership.objects.filter(user=user).select_related("user"):
        entry = record(event, membership, actor=actor)
        if entry.remote_addr is None and address:
            entry.remote_addr = address
            entry.save(update_fields=["remote_addr"])


def register_models() -> None:
    """The audited rows of this app."""
    auditlog.register(Organisation, include_fields=["name", "slug"])
    auditlog.register(Membership, include_fields=["user", "role", "permissions"])
    auditlog.register(Invitation, include_fields=["note", "role", "permissions", "invited_by", "expires_at"])
    auditlog.register(ApiKey, include_fields=["membership", "name", "start", "permissions", "expires_at", "revoked_at"])
    register_label(ApiKey, "membership", "Member")
    register_label(ApiKey, "start", "Key")
    register_words(ApiKey, "start", "{}…".format)
    register_label(ApiKey, "permissions", "Limited to")
    register_label(ApiKey, "expires_at", "Expires")
    register_words(ApiKey, "expires_at", _time)
    auditlog.register(
        NotificationChannel,
        include_fields=["name", "how", "recipients", "shown_as", "enabled", "address_changed_at"],
    )
    register_words(NotificationChannel, "recipients", lambda text: ", ".join(MAIL_ADDRESS.findall(text)))
    register_words(NotificationChannel, "enabled", lambda text: {"True": "yes", "False": "no"}.get(text, text))
    auditlog.register(User, include_fields=["username", "email", "is_active", "is_staff", "is_superuser"])


def _time(text: str) -> str:
    """A stored time, which the trail keeps in UTC, for people."""
    try:
        return f"{dt.datetime.fromisoformat(text):%-d %b %Y, %H:%M} UTC"
    except ValueError:
        return text


def listen_to_sign_ins() -> None:
    """Sign-ins, sign-outs and refused sign-ins are written into every organisation of the person."""
    user_logged_in.connect(_signed_in, dispatch_uid="audit signed in")
    user_logged_out.connect(_signed_out, dispatch_uid="audit signed out")
    user_login_failed.connect(_sign_in_refused, dispatch_uid="audit sign-in refused")


def _signed_in(request: HttpRequest | None, user: User, **_: Any) -> None:
    record_for_all("signed in", user, request, actor=user)


def _signed_out(request: HttpRequest | None, user: User | None, **_: Any) -> None:
    if user is not None:
        record_for_all("signed out", user, request, actor=user)


def _sign_in_refused(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    user = User.objects.filter(username=credentials.get("username")).first()
    if user is not None and not _was_just_refused(user, request):
        record_for_all("sign-in refused", user, request, actor=None)


def _was_just_refused(user: User, request: HttpRequest | None) -> bool:
    """Whether the trail already has a refusal from the same address in the last minute: it must not be flooded."""
    address = request.META.get("REMOTE_ADDR") if request is not None else None
    members = Membership.objects.filter(user=user).values("pk")
    recent = AuditEntry.objects.filter(
        event="sign-in refused",
        object_pk__in=members,
        remote_addr=address,
        timestamp__gt=timezone.now() - QUIET_AFTER_REFUSAL,
    )
    return bool(recent.exists())
