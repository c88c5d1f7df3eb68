"""The rows that the pages of applications are about: of the request's organisation, or not found."""

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404

from applications.models import Application, Deployment, Project
from organisations.access import OrganisationRequest

SECTION = "projects"
# What no page of an application shows: secrets, and what its deployments have written.
HEAVY = (
    "environment", "webhook_key", "webhook_secret",
    "registry__password", "registry__token", "registry__account",
    "serving__log", "serving__rungs", "serving__progress", "serving__replaces",
    "last_deployment__log", "last_deployment__rungs", "last_deployment__progress", "last_deployment__replaces",
)  # fmt: skip
# What lists show.
LISTED = (
    "name", "image", "project", "organisation", "serving", "server__name", "registry__name",
    "last_deployment__state", "last_deployment__verdict", "last_deployment__created_at",
)  # fmt: skip


def one_project(request: OrganisationRequest, project_id: str) -> Project:
    return get_object_or_404(Project.objects.of(request.organisation).select_related("organisation"), pk=project_id)


def applications_of(request: OrganisationRequest) -> "QuerySet[Application]":
    """With what their pages show of each."""
    rows = Application.objects.of(request.organisation)
    return rows.select_related(
        "organisation",
        "project__organisation",
        "server",
        "registry",
        "serving__server",
        "last_deployment__organisation",
    ).defer(*HEAVY)


def in_lists(request: OrganisationRequest) -> "QuerySet[Application]":
    """With what lists show of each. Whoever reads them sets the project, which then is not read for each of them."""
    rows = Application.objects.of(request.organisation).select_related("server", "registry", "last_deployment")
    return rows.only(*LISTED)


def one_application(request: OrganisationRequest, application_id: str) -> Application:
    return get_object_or_404(applications_of(request), pk=application_id)


def deployments_of(request: OrganisationRequest) -> "QuerySet[Deployment]":
    """With their application, and who asked for them."""
    rows = Deployment.objects.of(request.organisation)
    return rows.select_related(
        "organisation", "application__organisation", "application__project__organisation", "asked_by"
    ).defer("application__environment", "application__webhook_key", "application__webhook_secret")
