"""One-time links that make people members: sent, taken back, accepted."""

from django.db import IntegrityError, transaction
from django.utils import timezone

from dokreg.ids import new_link_token
from organisations import audit
from organisations.members import NotAllowed, check_may_grant
from organisations.models import Invitation, Membership, Organisation, User, token_hash


class InvitationClosed(Exception):
    """The link does not work any more; `str()` says why."""


class AlreadyMember(Exception):
    """The person belongs to the organisation already."""


class UsernameTaken(Exception):
    """Somebody else took the username a moment ago."""


def invite(*, by: Membership, note: str, role: str, names: frozenset[str]) -> tuple[Invitation, str]:
    """A new invitation, and the token of its link, which is kept nowhere. Raises NotAllowed."""
    check_may_grant(by=by, role=role, names=names)
    token = new_link_token()
    invitation = Invitation(organisation=by.organisation, note=note, invited_by=by.user, token_hash=token_hash(token))
    invitation.set_permissions(role, names)
    invitation.save()
    return invitation, token


def find(token: str) -> Invitation | None:
    """The invitation that this link belongs to, whether it still works or not."""
    return Invitation.objects.select_related("organisation", "invited_by").filter(token_hash=token_hash(token)).first()


def open_ones(organisation: Organisation) -> list[Invitation]:
    """Invitations that nobody has accepted and whose time is not over."""
    waiting = Invitation.objects.of(organisation).filter(accepted_at=None, expires_at__gt=timezone.now())
    return list(waiting.select_related("invited_by"))


def why_closed(invitation: Invitation) -> str:
    """Why the link does not work any more, as a sentence; "" if it works."""
    if invitation.accepted_at is not None:
        return "This invitation has been accepted already. Each one works once."
    if not invitation.is_open:
        return f"This invitation ended on {invitation.expires_at:%d %B %Y}."
    if not is_backed(invitation, _membership_of_inviter(invitation)):
        return "Whoever made this invitation may not invite people to this role any more."
    return ""


def is_backed(invitation: Invitation, by: Membership | None) -> bool:
    """Whether `by`, who invited, could still do so: a link must not outlive the rights it was made with."""
    if by is None or not by.user.is_active or "organisations.add_membership" not in by:
        return False
    try:
        check_may_grant(by=by, role=invitation.role, names=invitation.granted)
    except NotAllowed:
        return False
    return True


def accept(*, invitation: Invitation, user: User) -> Membership:
    """Make the person a member, and use the link up. Raises InvitationClosed, AlreadyMember."""
    try:
        with transaction.atomic():
            return _accept(invitation, user)
    except IntegrityError as error:
        raise AlreadyMember from error


def accept_as_new_person(*, invitation: Invitation, user: User) -> Membership:
    """Save a new person and make them a member, both or neither. Raises InvitationClosed, UsernameTaken."""
    with transaction.atomic():
        try:
            with transaction.atomic():
                user.save()
        except IntegrityError as error:
            raise UsernameTaken from error
        audit.act_as(user)
        return accept(invitation=invitation, user=user)


def revoke(*, invitation: Invitation) -> bool:
    """Take an invitation back; its link then leads nowhere. False if it was accepted meanwhile."""
    with transaction.atomic():
        waiting = Invitation.objects.select_for_update().filter(pk=invitation.pk, accepted_at=None).first()
        if waiting is None:
            return False
        waiting.delete()
    return True


def _membership_of_inviter(invitation: Invitation) -> Membership | None:
    return (
        Membership.objects.of(invitation.organisation)
        .filter(user=invitation.invited_by_id)
        .select_related("user")
        .first()
    )


def _accept(invitation: Invitation, user: User) -> Membership:
    if reason := why_closed(invitation):
        raise InvitationClosed(reason)
    if Membership.objects.filter(organisation=invitation.organisation_id, user=user).exists():
        raise AlreadyMember
    now = timezone.now()
    taken = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, expires_at__gt=now).update(
        accepted_at=now, accepted_by=user
    )
    if not taken:
        raise InvitationClosed("This invitation has just been accepted or taken back.")
    audit.record("accepted", invitation, actor=user)
    return Membership.objects.create(
        organisation=invitation.organisation,
        user=user,
        role=invitation.role,
        permissions=invitation.permissions,
    )
