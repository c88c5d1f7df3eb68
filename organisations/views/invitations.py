"""Inviting people, and what those who open the link see."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from organisations import invitations
from organisations.access import OrganisationRequest, requires
from organisations.forms import InvitationForm, NewPersonForm
from organisations.models import Invitation, Membership, User
from organisations.responses import posted, see_other, status_of
from organisations.views.setup import BACKEND


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@requires("organisations.add_membership")
def member_invite(request: OrganisationRequest) -> HttpResponse:
    """Make an invitation; the answer shows its link, which is never shown again."""
    form = InvitationForm(posted(request), by=request.may)
    if not form.is_valid():
        context = {"section": "members", "form": form}
        return render(request, "organisations/member_invite.html", context, status=status_of(request))
    invitation, token = invitations.invite(
        by=request.may,
        note=form.cleaned_data["note"],
        role=form.cleaned_data["role"],
        names=form.cleaned_data["granted"],
    )
    link = settings.DOKREG_URL + reverse("invitation", kwargs={"token": token})
    context = {"section": "members", "invitation": invitation, "link": link}
    return render(request, "organisations/invited.html", context)


@require_POST
@requires("organisations.add_membership")
def invitation_revoke(request: OrganisationRequest, invitation_id: str) -> HttpResponse:
    invitation = get_object_or_404(Invitation.objects.of(request.organisation), pk=invitation_id)
    if invitations.revoke(invitation=invitation):
        messages.success(request, "The invitation is taken back. Its link leads nowhere any more.")
    else:
        messages.error(request, "The invitation was accepted already. Remove the member instead.")
    return see_other("organisations:member_list", organisation=request.organisation.slug)


@sensitive_post_parameters()
@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Where the link leads: one button for who is signed in, a new account for who is not."""
    found = invitations.find(token)
    if found is None:
        return _closed(request, "This link is not known. It may have been taken back, or lost some characters.", 404)
    if reason := invitations.why_closed(found):
        return _closed(request, reason, 410)
    try:
        if isinstance(request.user, User):
            return _for_member_to_be(request, found, request.user)
        return _for_new_person(request, found)
    except invitations.InvitationClosed as error:
        return _closed(request, str(error), 410)
    except invitations.AlreadyMember:
        return _already_member(request, found)


def _for_member_to_be(request: HttpRequest, found: Invitation, person: User) -> HttpResponse:
    if Membership.objects.of(found.organisation).filter(user=person).exists():
        return _already_member(request, found)
    if request.method != "POST":
        return render(request, "organisations/invitation.html", {"invitation": found})
    membership = invitations.accept(invitation=found, user=person)
    return _welcome(request, membership)


def _for_new_person(request: HttpRequest, found: Invitation) -> HttpResponse:
    form = NewPersonForm(posted(request))
    if form.is_valid():
        person = form.save(commit=False)
        try:
            membership = invitations.accept_as_new_person(invitation=found, user=person)
        except invitations.UsernameTaken:
            form.add_error("username", "A user with that username already exists.")
        else:
            login(request, person, backend=BACKEND)
            return _welcome(request, membership)
    context = {"invitation": found, "form": form}
    return render(request, "organisations/invitation.html", context, status=status_of(request))


def _welcome(request: HttpRequest, membership: Membership) -> HttpResponse:
    messages.success(request, f"You are a member of {membership.organisation} now.")
    return see_other(membership.organisation)


def _already_member(request: HttpRequest, found: Invitation) -> HttpResponse:
    return render(request, "organisations/invitation.html", {"invitation": found, "is_member": True})


def _closed(request: HttpRequest, reason: str, status: int) -> HttpResponse:
    return render(request, "organisations/invitation_closed.html", {"reason": reason}, status=status)
