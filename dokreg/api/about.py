"""The procedures of the installation itself: that it is there, which version it speaks, what it can be asked."""

from typing import Any, Literal

from dokreg.api import openapi
from organisations.procedures import Caller, Schema, query

# Of whose wire format this is.
VERSION = "v0.30.2"


class Health(Schema):
    status: Literal["ok"]


@query("settings.health", answers=Health, answer_example={"status": "ok"})
def show_health(_caller: Caller, _values: Schema) -> Health:
    """Say that dokreg answers. `GET /healthz`, which needs no key, looks closer."""
    return Health(status="ok")


@query("settings.getDokployVersion", answers=str, answer_example=VERSION)
def show_version(_caller: Caller, _values: Schema) -> str:
    """Say with which version of Dokploy this API is compatible."""
    return VERSION


@query("settings.isCloud", answers=bool, answer_example=False)
def show_is_cloud(_caller: Caller, _values: Schema) -> bool:
    """Say that this is no hosted service."""
    return False


@query("gitProvider.getAll", answers=list[dict[str, Any]], answer_example=[])
def show_git_providers(_caller: Caller, _values: Schema) -> list[dict[str, Any]]:
    """Say that there are none: dokreg builds no images. Clients ask before they list anything."""
    return []


@query("destination.all", answers=list[dict[str, Any]], answer_example=[])
def show_destinations(_caller: Caller, _values: Schema) -> list[dict[str, Any]]:
    """Say that there are none: dokreg backs nothing up. Clients ask before they list anything."""
    return []


@query("settings.getOpenApiDocument", answers=dict[str, Any], answer_example={"openapi": "3.1.0"})
def show_document(_caller: Caller, _values: Schema) -> dict[str, Any]:
    """Describe every procedure, for programs: an OpenAPI document."""
    return openapi.document()
