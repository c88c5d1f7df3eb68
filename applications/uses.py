"""The applications of a registry or a server, for the pages of these."""

from django.utils import timezone

from applications import pull_references
from applications.models import Application
from organisations.uses import Use, Uses
from registries.models import Registry
from registries.pullers import Pullers
from registries.references import InvalidReference
from servers.models import Server

MOST_SHOWN = 20
_SHOWN = (
    "name",
    "organisation__slug",
    "last_deployment__state",
    "last_deployment__verdict",
    "last_deployment__created_at",
)


def of_registry(registry: Registry) -> Uses:
    return _of(registry=registry)


def pulling_with(registry: Registry) -> Pullers:
    """For new credentials, which are tried where the old ones are used."""
    servers = list(Application.objects.filter(registry=registry).values_list("server_id", flat=True))
    return Pullers(len(servers), frozenset(servers))


def let_go_of(registry: Registry) -> None:
    """Let its applications name their images in full, and pull them without a registry from now on."""
    for application in Application.objects.filter(registry=registry).select_for_update():
        application.image = _in_full(registry, application.image)
        application.registry = None
        application.settings_changed_at = timezone.now()
        application.save(update_fields=["image", "registry", "settings_changed_at"])


def _in_full(registry: Registry, image: str) -> str:
    try:
        return str(pull_references.compose(registry=registry, image=image))
    except InvalidReference:
        return image  # it made no sense before either


def of_server(server: Server) -> Uses:
    return _of(server=server)


def _of(**condition: Registry | Server) -> Uses:
    """By name, each with its last deployment."""
    rows = Application.objects.filter(**condition)
    first = rows.select_related("organisation", "last_deployment").only(*_SHOWN)[:MOST_SHOWN]
    shown = [_use(application) for application in first]
    return Uses(shown, rows.count() if len(shown) == MOST_SHOWN else len(shown))


def _use(application: Application) -> Use:
    last = application.last_deployment
    return Use(
        name=application.name,
        url=application.get_absolute_url(),
        permission="applications.view_application",
        state=last.chip if last else "",
        at=last.created_at if last else None,
    )
