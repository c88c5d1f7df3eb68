"""Addresses of projects and applications, under /<organisation>/."""

from django.urls import include, path

app_name = "applications"
urlpatterns = [
    path("applications/<slug:application_id>/webhook/", include("applications.webhook_urls")),
]
