"""Who may change whose role and permissions, and the changes themselves.

Nobody gives what they do not have; only owners deal with owners; an organisation always keeps one.
"""

from collections.abc import Iterable

from django.db import transaction

from dokreg import permissions
from organisations.models import HoldsPermissions, Membership, Organisation, Role


class NotAllowed(Exception):
    """The change breaks a rule; `str()` is a sentence for people."""


def check_may_grant(*, by: Membership, role: str, names: frozenset[str], had: frozenset[str] = frozenset()) -> None:
    """Raise NotAllowed unless `by` may give somebody who had `had` this role with exactly these permissions."""
    if by.role == Role.OWNER:
        return
    if role == Role.OWNER:
        raise NotAllowed("Only an owner makes somebody an owner.")
    beyond = names - had - by.granted
    if beyond:
        raise NotAllowed(f"You can give only what you have yourself. You do not have: {in_words(beyond)}.")


def change(*, membership: Membership, by: Membership, role: str, names: frozenset[str]) -> None:
    """Give a member this role with exactly these permissions. Raises NotAllowed."""
    with transaction.atomic():
        _lock(membership.organisation_id)
        target, actor = _fresh(membership), _fresh(by)
        _check_may_touch(target, by=actor)
        check_may_grant(by=actor, role=role, names=names, had=target.granted)
        if role != Role.OWNER:
            _check_another_owner(target)
        target.set_permissions(role, names)
        target.save(update_fields=["role", "permissions"])


def remove(*, membership: Membership, by: Membership) -> None:
    """End a membership: another member's, or one's own. Raises NotAllowed."""
    with transaction.atomic():
        _lock(membership.organisation_id)
        target, actor = _fresh(membership), _fresh(by)
        if target != actor:
            _check_may_touch(target, by=actor)
        _check_another_owner(target)
        target.delete()


def may_touch(target: HoldsPermissions, *, by: Membership) -> bool:
    """Whether the rules about owners let `by` change or remove this member or invitation."""
    return by.role == Role.OWNER or target.role != Role.OWNER


def is_last_owner(membership: Membership) -> bool:
    """Whether nobody else could manage the organisation: other owners count while their accounts are active."""
    others = Membership.objects.filter(
        organisation=membership.organisation_id, role=Role.OWNER, user__is_active=True
    ).exclude(pk=membership.pk)
    return membership.role == Role.OWNER and not others.exists()


def last_owner_sentence(membership: Membership) -> str:
    return f"{membership} is the last owner. Make somebody else an owner first."


def in_words(names: Iterable[str]) -> str:
    """Permissions as people know them: “Registries: Add, Change; Servers: Delete”."""
    wanted = frozenset(names)
    groups = (
        (group.label, [permission.label for permission in group.permissions if permission.name in wanted])
        for group in permissions.GROUPS
    )
    return "; ".join(f"{label}: {', '.join(labels)}" for label, labels in groups if labels) or "none"


def _lock(organisation_id: str) -> None:
    """One change of members at a time, or two owners could remove each other."""
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation_id)


def _fresh(membership: Membership) -> Membership:
    found = Membership.objects.select_related("user").filter(pk=membership.pk).first()
    if found is None:
        raise NotAllowed(f"{membership} is no member any more.")
    return found


def _check_may_touch(target: Membership, *, by: Membership) -> None:
    if not may_touch(target, by=by):
        raise NotAllowed("Only an owner changes or removes an owner.")


def _check_another_owner(target: Membership) -> None:
    if is_last_owner(target):
        raise NotAllowed(last_owner_sentence(target))
