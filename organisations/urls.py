"""Addresses of one organisation, under /<organisation>/."""

from django.urls import path

from organisations.views import api_keys, audit, home, invitations, members, notifications, organisation

app_name = "organisations"
urlpatterns = [
    path("", home.organisation_home, name="home"),
    path("settings/organisation/", organisation.settings, name="settings"),
    path("settings/members/", members.member_list, name="member_list"),
    path("settings/members/invite/", invitations.member_invite, name="member_invite"),
    path(
        "settings/members/invitations/<slug:invitation_id>/revoke/",
        invitations.invitation_revoke,
        name="invitation_revoke",
    ),
    path("settings/members/<slug:membership_id>/", members.member_detail, name="member_detail"),
    path("settings/members/<slug:membership_id>/remove/", members.member_remove, name="member_remove"),
    path("settings/api-keys/", api_keys.index, name="api_key_list"),
    path("settings/api-keys/add/", api_keys.add, name="api_key_add"),
    path("settings/api-keys/<slug:key_id>/", api_keys.detail, name="api_key_detail"),
    path("settings/api-keys/<slug:key_id>/revoke/", api_keys.revoke, name="api_key_revoke"),
    path("settings/notifications/", notifications.notification_list, name="notification_list"),
    path("settings/notifications/add/", notifications.channel_add, name="channel_add"),
    path("settings/notifications/<slug:channel_id>/edit/", notifications.channel_edit, name="channel_edit"),
    path("settings/notifications/<slug:channel_id>/delete/", notifications.channel_delete, name="channel_delete"),
    path("settings/notifications/<slug:channel_id>/test/", notifications.channel_test, name="channel_test"),
    path("settings/audit/", audit.audit_trail, name="audit"),
]
