"""Addresses of projects, applications and deployments, under /<organisation>/."""

from django.urls import include, path

from applications.views import browsing, deployments, detail, editing, looks, projects

app_name = "applications"
urlpatterns = [
    path("projects/", projects.show_list, name="projects"),
    path("projects/add/", projects.add, name="project_add"),
    path("projects/<slug:project_id>/", projects.show, name="project"),
    path("projects/<slug:project_id>/edit/", projects.edit, name="project_edit"),
    path("projects/<slug:project_id>/delete/", projects.delete, name="project_delete"),
    path("projects/<slug:project_id>/services/add/", projects.choose_service, name="service_add"),
    path("projects/<slug:project_id>/services/add/application/", editing.add, name="add"),
    path("applications/reference/", editing.show_reference, name="reference"),
    path("applications/browse/", browsing.browse, name="browse"),
    path("applications/browse/<slug:look_id>/", browsing.show, name="browse_look"),
    path("applications/<slug:application_id>/", detail.show, name="detail"),
    path("applications/<slug:application_id>/edit/", editing.edit, name="edit"),
    path("applications/<slug:application_id>/delete/", detail.delete, name="delete"),
    path("applications/<slug:application_id>/deploy/", deployments.deploy, name="deploy"),
    path("applications/<slug:application_id>/rollback/", deployments.roll_back, name="rollback"),
    path("applications/<slug:application_id>/action/", deployments.act, name="action"),
    path("applications/<slug:application_id>/webhook/", include("applications.webhook_urls")),
    path("applications/<slug:application_id>/look/", looks.look, name="look"),
    path("looks/<slug:look_id>/", looks.show, name="look_detail"),
    path("deployments/<slug:deployment_id>/", deployments.show, name="deployment"),
    path("deployments/<slug:deployment_id>/cancel/", deployments.cancel, name="cancel"),
]
