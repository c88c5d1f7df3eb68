"""Changes of registries and of drafts: what must happen together with them."""

from django.db import transaction
from django.utils import timezone

from organisations.deletion import delete_unless_used
from organisations.models import Organisation, User
from registries import alarms, credentials, logins, pullers, rotations, testing, tokens
from registries.models import DRAFT_LIFE, Draft, Registry, Rotation

# What is no part of the credentials. Not the other columns of a row that a worker may be writing to at this moment.
PLAIN_COLUMNS = ("name", "image_prefix", "server")


class ChangedMeanwhile(Exception):
    """Somebody deleted the registry since the form was opened, or moved it to another host or method."""


def save_registry(
    *, registry: Registry, password: str | None, by: User, all_or_nothing: bool = False
) -> Rotation | None:
    """Save a registry; `password` is the new secret, or None to keep the stored one.

    New credentials of a registry that servers are logged in with are not saved but staged: the rotation answered is
    tested on each of those servers first. Everything else is saved at once, or with `all_or_nothing` together with
    them, if they are switched to. Tests that the person made of exactly
    these credentials count as the registry's from then on. Raises SecretUnreadable, ChangedMeanwhile.
    """
    with transaction.atomic():
        before = Registry.objects.select_for_update().filter(pk=registry.pk).first()
        if before is None and not registry._state.adding:
            raise ChangedMeanwhile("It was deleted by somebody else in the meantime.")
        if registry.minting is not None and not registry.minting.needs_secret:
            registry.password = None
        elif password is not None:
            registry.password = password
        elif before is not None:
            if (registry.url, registry.method) != (before.url, before.method):
                # Else the secret of one host would go to the other.
                raise ChangedMeanwhile(
                    f"{before.name} was moved to {before.url} by somebody else in the meantime. "
                    "Open it again, or enter the secret as well."
                )
            registry.password = before.password  # it may have been switched since the form was opened
        if before is not None and not _has_new_credentials(registry, before, password):
            _save_rest(registry, is_given_anew=password is not None, by=by)
            return None
        if before is not None and rotations.is_in_use(before):
            if all_or_nothing:
                return rotations.stage(registry=registry, by=by, also=_changed(registry, before))
            registry.save(update_fields=PLAIN_COLUMNS)
            logins.rename(registry)
            return rotations.stage(registry=registry, by=by)
        credentials.take(registry, secret_is_new=password is not None)
        registry.save(update_fields=None if before is None else ["kind", *PLAIN_COLUMNS, *credentials.COLUMNS])
        testing.adopt_tests(registry=registry, by=by)
        rotations.end_all(registry)
        tokens.begin_with(registry)
    return None


def _changed(registry: Registry, before: Registry) -> dict[str, str | None]:
    """What is no part of the credentials and differs from what is stored."""
    names = ("name", "image_prefix", "server_id")
    return {name: getattr(registry, name) for name in names if getattr(registry, name) != getattr(before, name)}


def _has_new_credentials(registry: Registry, before: Registry, password: str | None) -> bool:
    """Whether what stands on the instance is not what is stored; a kept secret need not be opened for that."""
    if password is not None:
        return credentials.stored(registry).mark != before.credentials_mark
    return any(getattr(registry, name) != getattr(before, name) for name in ("url", "username", "method", "account"))


def _save_rest(registry: Registry, *, is_given_anew: bool, by: User) -> None:
    """Save what is no part of the credentials.

    Whoever gives the stored ones anew wants no others any more, and wants them tried again.
    """
    columns = ["kind", *PLAIN_COLUMNS, "secret_ends_on"]
    if is_given_anew:
        registry.secret_changed_at = timezone.now()
        columns.append("secret_changed_at")
        rotations.end_all(registry)
    registry.save(update_fields=columns)
    logins.rename(registry)
    alarms.end_saved(registry)
    testing.adopt_tests(registry=registry, by=by)
    if is_given_anew:
        tokens.begin_anew(registry)


def delete_registry(*, registry: Registry, force: bool = False) -> None:
    """Delete a registry with its history, and log its servers out; raises organisations.deletion.StillUsed.

    With `force` what pulls with it is no obstacle: it names the same images, and pulls them without an account then.
    """
    with transaction.atomic():
        Registry.objects.select_for_update().filter(pk=registry.pk).first()
        if force:
            pullers.let_go(registry)
        # Before its tests, as by everybody who locks both.
        list(registry.batches.select_for_update().order_by("created_at", "pk"))
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
