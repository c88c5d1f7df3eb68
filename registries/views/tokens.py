"""The token of a registry: when it was minted, when the next one is due, and minting one now."""

from django.contrib import messages
from django.http import HttpResponse
from django.views.decorators.http import require_POST

from organisations.access import OrganisationRequest, requires
from organisations.responses import see_other
from registries import tokens
from registries.models import TokenRefresh
from registries.views.detail import one_registry


@require_POST
@requires("registries.change_registry")
def refresh(request: OrganisationRequest, registry_id: str) -> HttpResponse:
    """Mint a token now; the page shows how it goes."""
    registry = one_registry(request, registry_id)
    if not registry.method:
        messages.error(request, f"{registry.name} has no tokens to mint: its secret is used as it is.")
    else:
        tokens.ask(registry=registry, reason=TokenRefresh.Reason.ASKED, asked_by=request.user)
    return see_other(f"{registry.get_absolute_url()}#token")
