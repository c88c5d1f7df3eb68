"""Addresses under /<organisation>/settings/: servers, and the SSH keys that open them."""

from django.urls import path

from servers.views import server_tests, servers, ssh_keys

app_name = "servers"
urlpatterns = [
    path("servers/", servers.index, name="list"),
    path("servers/add/", servers.add, name="add"),
    path("servers/tests/<slug:test_id>/", server_tests.detail, name="test_detail"),
    path("servers/<slug:server_id>/", servers.detail, name="detail"),
    path("servers/<slug:server_id>/edit/", servers.edit, name="edit"),
    path("servers/<slug:server_id>/delete/", servers.delete, name="delete"),
    path("servers/<slug:server_id>/test/", server_tests.start, name="test"),
    path("servers/<slug:server_id>/trust/", servers.trust, name="trust"),
    path("ssh-keys/", ssh_keys.index, name="key_list"),
    path("ssh-keys/add/", ssh_keys.add, name="key_add"),
    path("ssh-keys/<slug:key_id>/", ssh_keys.detail, name="key_detail"),
    path("ssh-keys/<slug:key_id>/edit/", ssh_keys.edit, name="key_edit"),
    path("ssh-keys/<slug:key_id>/delete/", ssh_keys.delete, name="key_delete"),
]
