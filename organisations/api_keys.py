"""API keys: made and shown once, found by what a request carries, revoked at once."""

import datetime as dt
import hashlib
import secrets
import string

from django.db.models import Q
from django.utils import timezone

from dokreg import permissions
from organisations.api_key_models import SHOWN_LETTERS, ApiKey
from organisations.members import NotAllowed, in_words
from organisations.models import Membership

KEY_LENGTH = 64
USE_IS_NOTED_EVERY = dt.timedelta(minutes=1)


def make(
    *,
    membership: Membership,
    name: str,
    limits: frozenset[str] | None = None,
    expires_at: dt.datetime | None = None,
    by: ApiKey | None = None,
) -> tuple[ApiKey, str]:
    """A new key of a member, and its 64 letters, which cannot be had again.

    `limits` are the permissions that it is limited to, None for whatever its member may do. `by` is the key with which
    it was asked for: the new one then goes no further than that one, and lives no longer. Raises NotAllowed for
    permissions that whoever asks does not have.
    """
    asked = limits
    if by is not None and by.permissions is not None:
        limits = by.limits if limits is None else limits
    has = by.granted if by is not None else membership.granted
    if asked is not None and asked - has:
        raise NotAllowed(f"A key does only what you may do yourself. You may not: {in_words(asked - has)}.")
    if by is not None and by.expires_at is not None:
        expires_at = min(expires_at or by.expires_at, by.expires_at)
    text = "".join(secrets.choice(string.ascii_letters) for _ in range(KEY_LENGTH))
    key = ApiKey(
        organisation_id=membership.organisation_id,
        membership=membership,
        name=name,
        start=text[:SHOWN_LETTERS],
        key_hash=hash_of(text),
        permissions=None if limits is None else sorted(limits & permissions.ALL),
        expires_at=expires_at,
    )
    key.save()
    return key, text


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


def revoke(key: ApiKey) -> None:
    """Let a key work no more, from this moment; its row stays, to tell whoever still uses it."""
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])


def keys_of(membership: Membership) -> "list[ApiKey]":
    """What the member sees: their own keys; everybody's with the permission to change members."""
    rows = ApiKey.objects.filter(organisation=membership.organisation_id).select_related("membership__user")
    if "organisations.change_membership" not in membership:
        rows = rows.filter(membership=membership)
    return list(rows)
