"""Addresses of registries, under /<organisation>/settings/registries/."""

from django.urls import path

from registries.views import adding, detail, listing, testing

app_name = "registries"
urlpatterns = [
    path("", listing.show_list, name="list"),
    path("add/", adding.choose, name="choose"),
    path("add/paste/", adding.paste, name="paste"),
    path("add/<slug:kind>/", adding.add, name="add"),
    path("add/<slug:kind>/test/", testing.test_draft, name="test_draft"),
    path("tests/<slug:test_id>/", testing.show_test, name="test_detail"),
    path("<slug:registry_id>/", detail.show, name="detail"),
    path("<slug:registry_id>/edit/", detail.edit, name="edit"),
    path("<slug:registry_id>/edit/test/", testing.test_edit, name="test_edit"),
    path("<slug:registry_id>/test/", testing.test_saved, name="test"),
    path("<slug:registry_id>/delete/", detail.delete, name="delete"),
]
