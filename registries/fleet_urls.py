"""Addresses of the fleet, under /<organisation>/fleet/."""

from django.urls import path

from registries.views import batches, fleet

app_name = "fleet"
urlpatterns = [
    path("", fleet.show_matrix, name="matrix"),
    path("test/", batches.test_everything, name="test"),
    path("registries/<slug:registry_id>/test/", batches.test_registry, name="test_registry"),
    path("servers/<slug:server_id>/test/", batches.test_server, name="test_server"),
    path("batches/<slug:batch_id>/", batches.show_batch, name="batch"),
    path("batches/<slug:batch_id>/cancel/", batches.cancel_batch, name="cancel"),
]
