"""Every address. What belongs to an organisation stands under its slug."""

from django.contrib import admin
from django.urls import include, path, re_path

from applications.views.webhook_in import webhook_in
from dokreg import views

handler400 = "dokreg.views.not_understood"
handler500 = "dokreg.views.broken"
urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("metrics", views.metrics, name="metrics"),
    path("doctor/", views.doctor, name="doctor"),
    path("admin/", admin.site.urls),
    path("api/docs", views.api_docs, name="api_docs"),
    # Clients whose base URL ends with a slash write two.
    re_path(r"^(?:/*)api/(?P<path>(?s:.*))$", views.api, name="api"),
    re_path(r"^webhooks/(?P<key>[^/]+)/?$", webhook_in, name="webhook"),
    path("", include("organisations.account_urls")),
    path("<slug:organisation>/settings/", include("servers.urls")),
    path("<slug:organisation>/settings/registries/", include("registries.urls")),
    path("<slug:organisation>/fleet/", include("registries.fleet_urls")),
    path("<slug:organisation>/", include("applications.urls")),
    path("<slug:organisation>/", include("organisations.urls")),
]
