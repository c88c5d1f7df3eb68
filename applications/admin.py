"""Projects, applications and deployments in Django's admin: to read. They are changed on their own pages."""

from django.contrib import admin

from applications.models import Application, ContainerLook, Deployment, Project
from dokreg.read_only_admin import ReadOnlyAdmin
from organisations.scoped_admin import BY_ORGANISATION, ScopedAdmin


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin, ScopedAdmin):
    member_permission = "applications.{}_application"
    list_display = ["name", "organisation", "description", "created_at"]
    list_filter = [BY_ORGANISATION]
    list_select_related = ["organisation"]
    search_fields = ["name", "organisation__name"]


@admin.register(Application)
class ApplicationAdmin(ReadOnlyAdmin, ScopedAdmin):
    list_display = ["name", "project", "organisation", "server", "registry", "image", "container_name"]
    list_filter = [BY_ORGANISATION]
    list_select_related = ["project", "organisation", "server", "registry"]
    search_fields = ["name", "project__name", "image", "container_name", "organisation__name"]
    exclude = ["environment", "webhook_key", "webhook_key_hash", "webhook_secret"]


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin, ScopedAdmin):
    member_permission = "applications.{}_application"
    list_display = [
        "application", "organisation", "action", "state", "verdict", "server_name", "digest", "asked_by", "created_at",
    ]  # fmt: skip
    list_filter = ["state", "action", "reason", BY_ORGANISATION]
    list_select_related = ["application", "organisation", "asked_by"]
    search_fields = ["application__name", "reference", "digest", "verdict"]
    exclude = ["claim"]


@admin.register(ContainerLook)
class ContainerLookAdmin(ReadOnlyAdmin, ScopedAdmin):
    member_permission = "applications.{}_application"
    list_display = ["application", "organisation", "state", "verdict", "asked_by", "created_at"]
    list_filter = ["state", BY_ORGANISATION]
    list_select_related = ["application", "organisation", "asked_by"]
    search_fields = ["application__name", "verdict"]
    exclude = ["claim"]
