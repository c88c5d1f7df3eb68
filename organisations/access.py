"""Who may open which page: a stranger finds nothing (404), a member without the permission gets 403."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse

from dokreg import permissions
from dokreg.http import HtmxRequest
from organisations.models import Membership, Organisation, User

LAST_ORGANISATION = "organisation"


class PersonRequest(HtmxRequest):
    """A request of somebody who is signed in."""

    user: User


class OrganisationRequest(PersonRequest):
    """A request whose organisation was found and whose person may be there."""

    organisation: Organisation
    may: Membership


class OrganisationView(Protocol):
    """A guarded view: takes the organisation's slug, hands the request on with the organisation in it."""

    permission: str

    def __call__(self, request: Any, organisation: str, **kwargs: Any) -> HttpResponse: ...


def requires(permission: str, *others: str) -> Callable[[Callable[..., HttpResponse]], OrganisationView]:
    """Guard a view under `/<organisation>/…`; the view gets an `OrganisationRequest`.

    "" asks for membership alone; of several permissions one is enough. Raises UnknownPermission at import for a name
    that does not exist.
    """
    enough = (permission, *others)
    permissions.check_known(name for name in enough if name)

    def decorate(view: Callable[..., HttpResponse]) -> OrganisationView:
        @wraps(view)
        def guarded(request: Any, organisation: str, **kwargs: Any) -> HttpResponse:
            request.may = membership_of(request.user, organisation)
            request.organisation = request.may.organisation
            _remember(request)
            if not any(not name or name in request.may for name in enough):
                raise PermissionDenied
            return view(request, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return decorate


def _remember(request: OrganisationRequest) -> None:
    """Note where the person was last, so that `/` leads back there."""
    if request.session.get(LAST_ORGANISATION) != request.organisation.pk:
        request.session[LAST_ORGANISATION] = request.organisation.pk


def membership_of(user: User, slug: str) -> Membership:
    """The person's membership of the organisation with this slug; Http404 for a stranger."""
    memberships = Membership.objects.select_related("organisation").filter(user=user, organisation__slug=slug)
    found = memberships.first()
    if found is None:
        raise Http404
    return found
