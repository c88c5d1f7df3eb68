"""Addresses of an application's webhook page, under /<organisation>/applications/<application_id>/webhook/."""

from django.urls import path

from applications.views import webhook

urlpatterns = [
    path("", webhook.show, name="webhook"),
    path("key/", webhook.make_key, name="webhook_key"),
    path("end/", webhook.end_key, name="webhook_end"),
    path("secret/", webhook.make_secret, name="webhook_secret"),
    path("secret/remove/", webhook.remove_secret, name="webhook_secret_remove"),
    path("unsigned/", webhook.choose_unsigned, name="webhook_unsigned"),
]
