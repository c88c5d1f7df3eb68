"""Changes of registries and of drafts: what must happen together with them."""

from django.db import transaction
from django.utils import timezone

from dokreg.encryption import SecretUnreadable
from organisations.deletion import delete_unless_used
from organisations.models import Organisation, User
from registries import alarms, credentials, logins, rotations, testing, tokens
from registries.models import DRAFT_LIFE, Draft, Registry, Rotation, TokenRefresh

PLAIN_COLUMNS = ("kind", "name", "image_prefix", "server")
SAME_SECRET_COLUMNS = ("password", "secret_ends_on", "secret_changed_at")


def save_registry(*, registry: Registry, password: str | None, by: User) -> Rotation | None:
    """Save a registry; `password` is the new secret, or None to keep the stored one.

    New credentials of a registry that servers are logged in with are not saved but staged: the rotation answered is
    tested on each of those servers first. Everything else is saved at once. Tests that the person made of exactly
    these credentials count as the registry's from then on.
    """
    before = Registry.objects.filter(pk=registry.pk).first()
    if password is not None:
        registry.password = password
    if registry.minting is not None and not registry.minting.needs_secret:
        registry.password = None
    is_new = before is None or _mark_of(registry) != before.credentials_mark
    if before is not None and is_new and rotations.is_in_use(before):
        registry.save(update_fields=PLAIN_COLUMNS)
        return rotations.stage(registry=registry, by=by)
    with transaction.atomic():
        if is_new:
            credentials.take(registry, secret_is_new=password is not None)
        elif password is not None:
            registry.secret_changed_at = timezone.now()
        # Not the other columns of a row that a worker may be writing to at this moment.
        columns = [
            *PLAIN_COLUMNS,
            *(credentials.COLUMNS if is_new else ["password", "secret_ends_on", "secret_changed_at"]),
        ]
        registry.save(update_fields=None if before is None else columns)
        testing.adopt_tests(registry=registry, by=by)
        if is_new:
            rotations.end_all(registry)
            _begin_with(registry)
    return None


def _mark_of(registry: Registry) -> str:
    """What tells the credentials on the row, saved or not, from others; "" if the secret cannot be opened."""
    try:
        return credentials.stored(registry).mark
    except SecretUnreadable:
        return ""


def _begin_with(registry: Registry) -> None:
    """New credentials are saved: mint the first token, log servers in anew, forget what was wrong with the old."""
    alarms.credentials_saved(registry)
    if registry.method:
        tokens.ask(registry=registry, reason=TokenRefresh.Reason.SAVED)
    else:
        logins.renew(registry)


def delete_registry(*, registry: Registry) -> None:
    """Delete a registry with its history, and log its servers out; raises organisations.deletion.StillUsed."""
    with transaction.atomic():
        rotations.end_all(registry)
        logins.release(registry)
        delete_unless_used(registry)


def keep_draft(*, organisation: Organisation, by: User, values: dict[str, str], password: str) -> Draft:
    """Keep what was typed or pasted for an hour, for this person alone; the secret encrypted."""
    draft = Draft(
        organisation=organisation,
        created_by=by,
        values=values,
        expires_at=timezone.now() + DRAFT_LIFE,
    )
    draft.password = password or None
    draft.save()
    return draft


def draft_of(*, organisation: Organisation, by: User, draft_id: str) -> Draft | None:
    """The person's own draft, unless it has ended."""
    return Draft.objects.of(organisation).filter(pk=draft_id, created_by=by, expires_at__gt=timezone.now()).first()
