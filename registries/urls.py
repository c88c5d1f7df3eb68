"""Addresses of registries, under /<organisation>/settings/registries/."""

from django.urls import path

from registries.views import adding, detail, listing, logins, rotations, testing, tokens

app_name = "registries"
urlpatterns = [
    path("", listing.show_list, name="list"),
    path("add/", adding.choose, name="choose"),
    path("add/paste/", adding.paste, name="paste"),
    path("add/<slug:kind>/", adding.add, name="add"),
    path("add/<slug:kind>/test/", testing.test_draft, name="test_draft"),
    path("tests/<slug:test_id>/", testing.show_test, name="test_detail"),
    path("rotations/<slug:rotation_id>/", rotations.show, name="rotation"),
    path("rotations/<slug:rotation_id>/switch/", rotations.switch, name="rotation_switch"),
    path("rotations/<slug:rotation_id>/discard/", rotations.discard, name="rotation_discard"),
    path("servers/<slug:server_id>/", logins.of_server, name="server_logins"),
    path("servers/<slug:server_id>/check/", logins.check, name="config_check"),
    path("servers/<slug:server_id>/adopt/", logins.adopt, name="login_adopt"),
    path("servers/<slug:server_id>/remove/", logins.remove, name="login_remove"),
    path("servers/<slug:server_id>/mend/", logins.mend, name="login_mend"),
    path("checks/<slug:check_id>/", logins.show_check, name="config_check_detail"),
    path("<slug:registry_id>/", detail.show, name="detail"),
    path("<slug:registry_id>/edit/", detail.edit, name="edit"),
    path("<slug:registry_id>/edit/test/", testing.test_edit, name="test_edit"),
    path("<slug:registry_id>/test/", testing.test_saved, name="test"),
    path("<slug:registry_id>/refresh/", tokens.refresh, name="refresh"),
    path("<slug:registry_id>/logins/", logins.choose, name="logins"),
    path("<slug:registry_id>/logins/retry/", logins.retry, name="logins_retry"),
    path("<slug:registry_id>/delete/", detail.delete, name="delete"),
]
