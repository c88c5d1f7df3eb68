"""What the frame around every page shows."""

from typing import Any

from django.http import HttpRequest

from dokreg import health
from organisations.models import Organisation


def frame(request: HttpRequest) -> dict[str, Any]:
    """The organisations to switch to, what stands still, and the permissions that decide what is shown."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"organisations": [], "may": frozenset()}
    return {
        "organisations": Organisation.objects.filter(memberships__user=user),
        "standstill": health.standstill,  # asked by whole pages alone
        "may": getattr(request, "may", frozenset()),
    }
