"""Changes of registries and of drafts: what must happen together with them."""

from django.db import transaction
from django.utils import timezone

from dokreg.encryption import SecretUnreadable
from organisations.deletion import delete_unless_used
from organisations.models import Organisation, User
from registries import testing
from registries.models import DRAFT_LIFE, Draft, Registry


def save_registry(*, registry: Registry, password: str | None, by: User) -> Registry:
    """Save a registry; `password` is the new secret, or None to keep the stored one.

    Tests that the person made of exactly these credentials count as the registry's from then on.
    """
    if password is not None:
        registry.password = password
        registry.secret_changed_at = timezone.now()
        registry.secret_fact = registry.provider.describe_secret(password, registry.username) or ""
    try:
        registry.credentials_mark = testing.credentials_of(registry).mark
    except SecretUnreadable:
        registry.credentials_mark = ""  # no test is of it
    with transaction.atomic():
        registry.save()
        testing.adopt_tests(registry=registry, by=by)
    return registry


def delete_registry(*, registry: Registry) -> None:
    """Delete a registry with its history; raises organisations.deletion.StillUsed, naming by what."""
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
