"""Where `/` and `/<organisation>/` lead."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from organisations import setup
from organisations.access import LAST_ORGANISATION, OrganisationRequest, requires
from organisations.models import Membership, User

# Where there is a project the work begins there; before that, with the first registry.
PROJECTS = ("applications.view_application", "applications:projects")
# In the order of the frame: the first that the member may see is where they start.
FIRST_PAGES = (
    ("registries.view_registry", "registries:list"),
    ("servers.view_server", "servers:list"),
    ("servers.view_sshkey", "servers:key_list"),
    ("organisations.view_membership", "organisations:member_list"),
    ("organisations.view_auditentry", "organisations:audit"),
    ("organisations.change_organisation", "organisations:settings"),
)


@login_not_required
@never_cache
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Lead on to the organisation where the person was last, to the sign-in, or to the set-up."""
    if not isinstance(request.user, User):
        return render(request, "organisations/not_set_up.html") if setup.is_needed() else redirect("sign_in")
    membership = _last_membership(request.user, request.session.get(LAST_ORGANISATION))
    if membership is None:
        return render(request, "organisations/no_organisation.html")
    return _lead_on(request, membership)


@require_safe
@requires("")
def organisation_home(request: OrganisationRequest) -> HttpResponse:
    """Lead on to the first page of the organisation that the member may see."""
    return _lead_on(request, request.may)


def _lead_on(request: HttpRequest, membership: Membership) -> HttpResponse:
    has_projects = membership.organisation.projects.exists()
    for permission, page in (PROJECTS, *FIRST_PAGES) if has_projects else (*FIRST_PAGES, PROJECTS):
        if permission in membership:
            return redirect(page, organisation=membership.organisation.slug)
    return render(request, "organisations/nothing_to_see.html", {"membership": membership})


def _last_membership(user: User, organisation_id: str | None) -> Membership | None:
    memberships = Membership.objects.filter(user=user).select_related("organisation").order_by("organisation__name")
    return memberships.filter(organisation=organisation_id).first() or memberships.first()
