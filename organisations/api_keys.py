"""API keys: made and shown once, found by what a request carries, revoked at once."""

import datetime as dt
import hashlib
import secrets
import shlex
import string
from collections.abc import Iterator

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from dokreg import permissions
from dokreg.ids import new_id
from organisations.api_key_models import SHOWN_LETTERS, ApiKey
from organisations.members import NotAllowed, in_words
from organisations.models import Membership, Organisation, User

KEY_LENGTH = 64
MOST_ACTIVE = 50
MANAGE_ALL = "organisations.change_membership"
USE_IS_NOTED_EVERY = dt.timedelta(minutes=1)
# The key comes from a variable through a pipe: a command line can be read by everybody on the machine.
_CALL = """printf 'x-api-key: %s\\n' "$DOKREG_API_KEY" | curl --fail-with-body --header @- {address}"""


class AlreadyMade(Exception):
    """There is a key with this id: its form was sent a second time."""


def make(
    *,
    membership: Membership,
    name: str,
    limits: frozenset[str] | None = None,
    expires_at: dt.datetime | None = None,
    by: ApiKey | None = None,
    key_id: str = "",
) -> tuple[ApiKey, str]:
    """A new key of a member, and its 64 letters, which cannot be had again.

    `limits` are the permissions that it is limited to, None for whatever its member may do. `by` is the key with which
    it was asked for: the new one then goes no further than that one, lives no longer, and is revoked with it. `key_id`
    is the id of its row, of somebody who must not make it twice.

    Raises NotAllowed for permissions that whoever asks does not have, for an end that is past, for one key too many,
    and where `by` works no more; AlreadyMade if there is a key with this id; ValidationError for a name that is empty
    or too long.
    """
    asked = limits
    if by is not None and by.permissions is not None:
        limits = by.limits if limits is None else limits
    has = by.granted if by is not None else membership.granted
    if asked is not None and asked - has:
        raise NotAllowed(f"A key does only what you may do yourself. You may not: {in_words(asked - has)}.")
    check_end(expires_at)
    if by is not None and by.expires_at is not None:
        expires_at = min(expires_at or by.expires_at, by.expires_at)
    text = "".join(secrets.choice(string.ascii_letters) for _ in range(KEY_LENGTH))
    key = ApiKey(
        pk=key_id or new_id(),
        organisation_id=membership.organisation_id,
        membership=membership,
        name=name,
        start=text[:SHOWN_LETTERS],
        key_hash=hash_of(text),
        permissions=None if limits is None else sorted(limits & permissions.ALL),
        expires_at=expires_at,
        made_with=by,
    )
    key.clean_fields(exclude={"organisation", "membership", "made_with"})
    with transaction.atomic():
        _lock(membership)
        if by is not None and not ApiKey.objects.active().filter(pk=by.pk).exists():
            raise NotAllowed("The key with which you ask works no more.")
        if ApiKey.objects.filter(pk=key.pk).exists():
            raise AlreadyMade
        _check_room(membership)
        key.save(force_insert=True)
    return key, text


def check_end(expires_at: dt.datetime | None) -> None:
    """Raise NotAllowed for a key that would never work."""
    if expires_at is not None and expires_at <= timezone.now():
        raise NotAllowed("A key has to expire later than now.")


def end_of(day: dt.date) -> dt.datetime:
    """The last second of a day, in UTC."""
    return dt.datetime.combine(day, dt.time(23, 59, 59), dt.UTC)


def _lock(membership: Membership) -> None:
    """One key of a member at a time, or two of them could be one too many. Raises NotAllowed if they have left."""
    rows = Membership.objects.select_for_update(no_key=True).filter(pk=membership.pk)
    if rows.order_by("pk").first() is None:
        raise NotAllowed(f"{membership} is no member any more.")


def _check_room(membership: Membership) -> None:
    if ApiKey.objects.active().filter(membership=membership).count() >= MOST_ACTIVE:
        raise NotAllowed(f"{membership} has {MOST_ACTIVE} active API keys, and nobody may have more. Revoke one first.")


def hash_of(text: str) -> str:
    """What is stored of a key: it has 364 random bits, so that a plain hash is enough."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def find(text: str) -> ApiKey | None:
    """The key that a request carries, whatever its state; None for anything else.

    Looked up by its hash, of which a guess says nothing: how long that takes depends on no letter of a stored key.
    """
    rows = ApiKey.objects.select_related("membership__user", "membership__organisation")
    return rows.filter(key_hash=hash_of(text)).first()


def refusal_of(key: ApiKey) -> str:
    """Why a key does not work (any more), in a sentence for its owner; "" if it does."""
    if key.revoked_at is not None:
        return f"The API key {key.start}… was revoked on {key.revoked_at:%-d %b %Y}."
    if key.state == ApiKey.State.EXPIRED:
        return f"The API key {key.start}… expired on {key.expires_at:%-d %b %Y, %H:%M} UTC."
    if not key.membership.user.is_active:
        return f"The account of {key.membership} is switched off."
    return ""


def note_use(key: ApiKey, *, address: str) -> None:
    """Keep when and from where a key was used last; once a minute is enough."""
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_IS_NOTED_EVERY)
    if key.last_used_at is None or key.last_used_at < now - USE_IS_NOTED_EVERY:
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now, last_used_from=address or None)


def revoke(key: ApiKey, *, by: User | None = None) -> bool:
    """Let a key work no more, from this moment, and with it every key that was made with it.

    Their rows stay, to tell whoever still uses them. `by` is who wants it, where that is a person. False if it was
    revoked before: then nothing changes.
    """
    with transaction.atomic():
        _lock(key.membership)  # none is made with it meanwhile
        revoked = [_revoke_one(found, by) for found in _with_all_made(key)]
    key.refresh_from_db(fields=["revoked_at", "revoked_by"])
    return revoked[0]


def _with_all_made(key: ApiKey) -> Iterator[ApiKey]:
    """A key, and all that were made with it, with those, and so on."""
    waiting = [key]
    while waiting:
        found = waiting.pop(0)
        yield found
        waiting += ApiKey.objects.filter(made_with=found)


def _revoke_one(key: ApiKey, by: User | None) -> bool:
    row = ApiKey.objects.select_for_update(of=("self",)).filter(pk=key.pk, revoked_at=None).first()
    if row is not None:
        row.revoked_at, row.revoked_by = timezone.now(), by
        row.save(update_fields=["revoked_at", "revoked_by"])
    return row is not None


def within_reach(key: ApiKey | None, *, of: Membership) -> QuerySet[ApiKey]:
    """The keys that a program may see and revoke: with a limited key itself and what was made with it.

    None is a person's session, which reaches all of the member's, as does a key without limits.
    """
    rows = ApiKey.objects.filter(membership=of)
    if key is None or key.permissions is None:
        return rows
    return rows.filter(pk__in=[found.pk for found in _with_all_made(key)])


def keys_of(membership: Membership) -> QuerySet[ApiKey]:
    """What the member sees: their own keys; everybody's with the permission to change members."""
    rows = ApiKey.objects.filter(organisation=membership.organisation_id)
    if MANAGE_ALL not in membership:
        rows = rows.filter(membership=membership)
    return rows.select_related("membership__user", "revoked_by").active_first()


def may_manage(key: ApiKey, *, by: Membership) -> bool:
    """Whether a member of the same organisation sees this key and may revoke it."""
    return key.membership_id == by.pk or MANAGE_ALL in by


def named(start_or_id: str, *, organisation: Organisation) -> list[ApiKey]:
    """The organisation's keys with this id, or with these first letters."""
    rows = ApiKey.objects.of(organisation).select_related("membership__user")
    return list(rows.filter(Q(pk=start_or_id) | Q(start=start_or_id)))


def limits_in_words(key: ApiKey) -> str:
    """What a key is limited to; "" if it may do whatever its member may."""
    return "" if key.permissions is None else in_words(key.limits)


def granted_in_words(key: ApiKey) -> str:
    """What a key may do at this moment, as far as its member may."""
    if key.granted == permissions.ALL:
        return "everything"
    return in_words(key.granted) if key.granted else "nothing"


def call_example() -> str:
    """A command for a POSIX shell that asks who a key belongs to; it takes the key from DOKREG_API_KEY."""
    return _CALL.format(address=shlex.quote(f"{settings.DOKREG_URL}/api/user.get"))
