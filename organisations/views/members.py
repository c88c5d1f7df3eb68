"""The members of an organisation."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_safe

from organisations import audit, invitations, members
from organisations.access import OrganisationRequest, requires
from organisations.forms import MemberForm
from organisations.models import Membership
from organisations.responses import posted, see_other, status_of


@require_safe
@requires("organisations.view_membership")
def member_list(request: OrganisationRequest) -> HttpResponse:
    people = Membership.objects.of(request.organisation).select_related("user")
    by_user = {member.user_id: member for member in people}
    waiting = [
        (invitation, invitations.is_backed(invitation, by_user.get(invitation.invited_by_id or 0)))
        for invitation in invitations.open_ones(request.organisation)
    ]
    context = {"section": "members", "members": people, "invitations": waiting}
    return render(request, "organisations/member_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("organisations.view_membership")
def member_detail(request: OrganisationRequest, membership_id: str) -> HttpResponse:
    """What a member may do; with the permission to change that, a form."""
    membership = _one(request, membership_id)
    may_change = "organisations.change_membership" in request.may
    if request.method == "POST" and not may_change:
        raise PermissionDenied
    form = MemberForm(posted(request), by=request.may, holder=membership)
    if form.is_valid() and _save(membership, form):
        messages.success(request, f"The permissions of {membership} are saved.")
        return see_other("organisations:member_list", organisation=request.organisation.slug)
    may_audit = "organisations.view_auditentry" in request.may
    context = {
        "section": "members",
        "membership": membership,
        "form": form,
        "is_editable": may_change and members.may_touch(membership, by=request.may),
        "is_self": membership == request.may,
        "is_removable": membership == request.may or _may_remove(request, membership),
        "entries": audit.entries_of(membership) if may_audit else [],
    }
    return render(request, "organisations/member_detail.html", context, status=status_of(request))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("")
def member_remove(request: OrganisationRequest, membership_id: str) -> HttpResponse:
    """Remove a member, or leave: that needs no permission."""
    membership = _one(request, membership_id)
    is_self = membership == request.may
    if not is_self and "organisations.delete_membership" not in request.may:
        raise PermissionDenied
    if request.method == "POST":
        return _remove(request, membership)
    context = {"section": "members", "membership": membership, "is_self": is_self}
    return render(request, "organisations/member_remove.html", context)


def _save(membership: Membership, form: MemberForm) -> bool:
    try:
        members.change(
            membership=membership,
            by=form.by,
            role=form.cleaned_data["role"],
            names=form.cleaned_data["granted"],
        )
    except members.NotAllowed as error:
        form.add_error(None, str(error))
        return False
    return True


def _remove(request: OrganisationRequest, membership: Membership) -> HttpResponse:
    is_self = membership == request.may
    try:
        members.remove(membership=membership, by=request.may)
    except members.NotAllowed as error:
        messages.error(request, str(error))
        return see_other(membership)
    if is_self:
        messages.success(request, f"You have left {request.organisation}.")
        return see_other("home")
    messages.success(request, f"{membership} is no member any more.")
    return see_other("organisations:member_list", organisation=request.organisation.slug)


def _may_remove(request: OrganisationRequest, membership: Membership) -> bool:
    return "organisations.delete_membership" in request.may and members.may_touch(membership, by=request.may)


def _one(request: OrganisationRequest, membership_id: str) -> Membership:
    """A member of this organisation; 404 for anybody else's."""
    people = Membership.objects.of(request.organisation).select_related("user", "organisation")
    return get_object_or_404(people, pk=membership_id)
