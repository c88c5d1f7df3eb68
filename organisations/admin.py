"""People, organisations and the audit trail in Django's admin."""

from typing import Any

import auditlog.admin  # noqa: F401 - registers the audit trail in its own way, which is replaced below
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache

from dokreg.read_only_admin import ReadOnlyAdmin
from organisations import api_keys, members
from organisations.api_key_models import ApiKey
from organisations.models import AuditEntry, Invitation, Membership, Organisation, Role, User
from organisations.notification_models import Delivery, Notice, NotificationChannel
from organisations.scoped_admin import BY_ORGANISATION, OwnedAdminForm, ScopedAdmin


@login_not_required
@never_cache
def sign_in(request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """The one sign-in page that there is, with its throttling; who is signed in and no staff is refused."""
    if request.user.is_authenticated:
        raise PermissionDenied
    return redirect_to_login(request.GET.get("next") or reverse("admin:index"))


admin.site.login = sign_in  # type: ignore[method-assign]
admin.site.unregister(AuditEntry)


def is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


class MembershipAdminForm(OwnedAdminForm):
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        is_owner = cleaned.get("role") == Role.OWNER
        if not self.instance._state.adding and not is_owner and members.is_last_owner(self.instance):
            raise ValidationError(members.last_owner_sentence(self.instance))
        return cleaned


class MembershipRows(admin.TabularInline[Membership, Organisation]):
    """Who belongs to an organisation; changed one by one, where the rules are checked."""

    model = Membership
    extra = 0
    can_delete = False
    show_change_link = True
    fields = ["user", "role", "permissions", "created_at"]
    readonly_fields = ["user", "role", "permissions", "created_at"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


@admin.register(Organisation)
class OrganisationAdmin(ScopedAdmin):
    form = forms.ModelForm
    member_permission = "organisations.change_organisation"
    list_display = ["name", "slug", "created_at"]
    search_fields = ["name", "slug"]
    readonly_fields = ["created_at"]
    inlines = [MembershipRows]

    def visible_rows(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(pk__in=self.organisations_with("view", request))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """With everything in it: that is for superusers."""
        return is_superuser(request) and super().has_delete_permission(request, obj)


@admin.register(Membership)
class MembershipAdmin(ScopedAdmin):
    """Changed by superusers alone: members do it on their own pages, where nobody gives what they do not have."""

    form = MembershipAdminForm
    list_display = ["user", "organisation", "role", "created_at"]
    list_filter = ["role", BY_ORGANISATION]
    list_select_related = ["user", "organisation"]
    search_fields = ["user__username", "user__email", "organisation__name"]
    readonly_fields = ["created_at"]
    autocomplete_fields = ["user"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not is_superuser(request) or (
            obj is not None and _is_own_page(self, request) and members.is_last_owner(obj)
        ):
            return False
        return super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """No bulk deletion: all owners of an organisation could be among the chosen."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}


@admin.register(User)
class PersonAdmin(UserAdmin[User]):
    """Changed by superusers alone: who may change people may become anybody."""

    list_display = ["username", "email", "is_active", "is_staff", "last_login"]
    list_filter = ["is_active", "is_staff", "is_superuser"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        people = super().get_queryset(request)
        if is_superuser(request):
            return people
        colleagues = Membership.objects.filter(organisation__memberships__user=request.user.pk)
        return people.filter(pk__in=colleagues.values("user"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not the last owner of an organisation, which would be locked then."""
        owned = Membership.objects.filter(user=obj, role=Role.OWNER) if obj is not None else []
        return is_superuser(request) and not any(members.is_last_owner(membership) for membership in owned)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin, ScopedAdmin):
    """Made on the members' page only, since only there the link is shown."""

    member_permission = "organisations.{}_membership"
    list_display = ["note", "organisation", "role", "invited_by", "expires_at", "accepted_by", "accepted_at"]
    list_filter = [BY_ORGANISATION, "role"]
    list_select_related = ["organisation", "invited_by", "accepted_by"]
    search_fields = ["note", "organisation__name"]
    exclude = ["token_hash"]


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin, ScopedAdmin):
    """Made on the organisation's own pages only, since only there the key is shown; revoked here as well."""

    member_permission = api_keys.MANAGE_ALL
    list_display = ["name", "start", "membership", "organisation", "state", "expires_at", "last_used_at", "created_at"]
    list_filter = [BY_ORGANISATION, ("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["membership__user", "organisation"]
    search_fields = ["name", "start", "membership__user__username", "organisation__name"]
    fields = [
        "organisation",
        "membership",
        "name",
        "start",
        "permissions",
        "state",
        "created_at",
        "expires_at",
        "last_used_at",
        "last_used_from",
        "revoked_at",
        "revoked_by",
    ]
    actions = ["revoke_chosen"]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Django's own; of which rows, the list says, where nobody finds keys that they may not revoke."""
        return bool(request.user.has_perm("organisations.change_apikey"))

    @admin.action(description="Revoke the chosen API keys", permissions=["revoke"])
    def revoke_chosen(self, request: Any, chosen: QuerySet[ApiKey]) -> None:
        revoked = [api_keys.revoke(key, by=request.user) for key in chosen]
        messages.success(request, f"API keys revoked: {sum(revoked)}.")


@admin.register(NotificationChannel)
class NotificationChannelAdmin(ReadOnlyAdmin, ScopedAdmin):
    """Made and changed on the organisation's own pages, where an address is looked at before it is stored."""

    list_display = ["name", "organisation", "how", "shown_as", "enabled", "created_at"]
    list_filter = [BY_ORGANISATION, "how", "enabled"]
    list_select_related = ["organisation"]
    search_fields = ["name", "shown_as", "organisation__name"]
    fields = ["organisation", "name", "how", "shown_as", "recipients", "enabled", "created_at", "address_changed_at"]


class DeliveryRows(admin.TabularInline[Delivery, Notice]):
    """Where a notice was sent, and how that ended."""

    model = Delivery
    extra = 0
    can_delete = False
    fields = ["channel", "state", "attempts", "due_at", "sent_at", "error"]
    readonly_fields = ["channel", "state", "attempts", "due_at", "sent_at", "error"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin, ScopedAdmin):
    member_permission = "organisations.{}_notificationchannel"
    list_display = ["created_at", "organisation", "level", "title", "is_test"]
    list_filter = [BY_ORGANISATION, "level", "is_test"]
    list_select_related = ["organisation"]
    search_fields = ["title", "text", "organisation__name"]
    fields = ["organisation", "created_at", "level", "title", "text", "path", "is_test"]
    inlines = [DeliveryRows]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin, ScopedAdmin):
    member_permission = "organisations.{}_auditentry"
    date_hierarchy = "timestamp"
    list_display = [
        "timestamp",
        "actor",
        "action",
        "event",
        "content_type",
        "object_repr",
        "organisation",
        "remote_addr",
    ]
    list_filter = ["action", "event", BY_ORGANISATION]
    list_select_related = ["actor", "content_type", "organisation"]
    search_fields = ["object_repr", "actor__username"]
    fields = [
        "timestamp",
        "actor",
        "remote_addr",
        "organisation",
        "content_type",
        "object_repr",
        "action",
        "event",
        "changes",
        "additional_data",
    ]

    def visible_rows(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(organisation__in=self.organisations_with("view", request))


def _is_own_page(page: admin.ModelAdmin[Any], request: HttpRequest) -> bool:
    found = request.resolver_match
    return found is not None and str(found.url_name).startswith(f"{page.opts.app_label}_{page.opts.model_name}_")
