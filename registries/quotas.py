"""How many pulls are left, as registries tell it when a manifest is asked for."""

from django.db.models import QuerySet
from django.utils import timezone

from organisations.models import Organisation
from registries.models import Quota, Registry
from registries.registry_api import RateLimit
from servers.models import Server


def note(
    *,
    organisation: Organisation,
    host: str,
    registry: Registry | None,
    server: Server | None,
    rate_limit: RateLimit | None,
) -> None:
    """Keep what a registry said of its quota in the place of what it said before; nothing, if it said nothing.

    That says no more than that pulls of this image are not counted.
    """
    if rate_limit is None:
        return
    Quota.objects.update_or_create(
        organisation=organisation,
        host=host,
        registry=registry,
        server=server,
        defaults={
            "limit": rate_limit.limit,
            "remaining": rate_limit.remaining,
            "window_seconds": rate_limit.window_seconds,
            "source": rate_limit.source,
            "seen_at": timezone.now(),
        },
    )


def of_registry(registry: Registry) -> QuerySet[Quota]:
    """What was seen with a registry's account, the newest first."""
    return Quota.objects.filter(registry=registry).select_related("server").order_by("-seen_at")


def of_pulls(*, organisation: Organisation, host: str, registry: Registry | None, server: Server) -> QuerySet[Quota]:
    """What a server's pulls from a host are counted against: with a registry's account, or for None as anybody."""
    seen = Quota.objects.filter(organisation=organisation, host=host, registry=registry, server=server)
    return seen.select_related("server")
