"""Registries and their tests in Django's admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from dokreg.encryption import SecretUnreadable, validate_secret
from dokreg.read_only_admin import ReadOnlyAdmin
from organisations.deletion import StillUsed
from organisations.scoped_admin import BY_ORGANISATION, OwnedAdminForm, ScopedAdmin
from registries import kinds, references, saving, testing
from registries.models import Alarm, Login, Quota, Registry, RegistryTest, TokenRefresh

KEPT = "Stored encrypted and never shown. Leave it empty to keep the stored one."


class RegistryAdminForm(OwnedAdminForm):
    """Takes a password, and never shows one; another host asks for it again."""

    kind = forms.ChoiceField(label="Provider", choices=[(kind.slug, kind.name) for kind in kinds.all_kinds()])
    # Not “password”: Django lets no form field have the name of a column that is not editable.
    new_password = forms.CharField(
        label="Password / Token",
        strip=False,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "size": 60}, render_value=False),
        help_text=KEPT,
        validators=[validate_secret],
    )

    def clean_url(self) -> str:
        try:
            return references.normalise_host(self.cleaned_data["url"])
        except references.InvalidHost as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors:
            self._check_password(cleaned)
            self._check_provider(cleaned)
            self._check_image_prefix(cleaned)
        return cleaned

    def _check_password(self, cleaned: dict[str, Any]) -> None:
        if cleaned["new_password"]:
            return
        if self.instance._state.adding:
            self.add_error("new_password", "Enter the password or token.")
        elif "url" in self.changed_data and cleaned["url"] != self.initial["url"]:
            self.add_error("new_password", "Enter it again: the stored one goes to no other host.")
        else:
            try:
                self.instance.open_password()
            except SecretUnreadable:
                self.add_error("new_password", "Enter it again: the stored one cannot be opened any more.")

    def _check_provider(self, cleaned: dict[str, Any]) -> None:
        kind = kinds.get(cleaned.get("kind", self.instance.kind))
        complaints = {"url": kind.check_host(cleaned["url"])}
        if self.instance.minting is None:
            complaints["username"] = kind.check_username(cleaned["username"])
        if password := cleaned.get("new_password"):
            complaints["new_password"] = (
                self.instance.minting.check_secret(account=self.instance.account, secret=password)
                if self.instance.minting
                else kind.check_secret(password, cleaned["username"])
            )
        for name, complaint in complaints.items():
            if complaint and name not in self.errors:
                self.add_error(name, complaint)

    def _check_image_prefix(self, cleaned: dict[str, Any]) -> None:
        try:
            cleaned["image_prefix"] = references.normalise_image_prefix(
                cleaned.get("image_prefix") or "", host=cleaned.get("url", "")
            )
        except references.InvalidImagePrefix as error:
            self.add_error("image_prefix", str(error))


@admin.register(Registry)
class RegistryAdmin(ScopedAdmin):
    form = RegistryAdminForm
    list_display = ["name", "organisation", "kind", "url", "username", "image_prefix", "server", "secret_changed_at"]
    list_filter = ["kind", BY_ORGANISATION]
    list_select_related = ["organisation", "server"]
    search_fields = ["name", "url", "username", "organisation__name"]
    fields = [
        "organisation",
        "name",
        "kind",
        "url",
        "username",
        "method",
        "account",
        "new_password",
        "secret_ends_on",
        "image_prefix",
        "server",
        "secret_changed_at",
        "token_issued_at",
        "token_expires_at",
        "refresh_due_at",
        "created_at",
    ]
    readonly_fields = [
        "method",
        "account",
        "secret_changed_at",
        "token_issued_at",
        "token_expires_at",
        "refresh_due_at",
        "created_at",
    ]
    actions = ["test_chosen"]

    def get_readonly_fields(self, request: Any, obj: Any = None) -> list[str] | tuple[Any, ...]:
        """How tokens are minted is changed on the registry's own page, which knows the provider's fields."""
        fields = super().get_readonly_fields(request, obj)
        return [*fields, "kind", "username"] if obj is not None and obj.method else fields

    def save_model(self, request: Any, obj: Registry, form: Any, change: Any) -> None:  # noqa: ARG002
        password = form.cleaned_data["new_password"] or None
        try:
            rotation = saving.save_registry(registry=obj, password=password, by=request.user)
        except saving.ChangedMeanwhile as error:
            request.refusal = str(error)
            return
        if rotation is not None:
            messages.info(request, f"The new credentials of {obj} are tested first on every server that uses them.")

    def delete_model(self, request: Any, obj: Registry) -> None:
        """With what must happen together with it: its servers are logged out."""
        try:
            saving.delete_registry(registry=obj)
        except StillUsed as error:
            request.refusal = str(error)

    def message_user(self, request: Any, message: Any, level: Any = messages.INFO, *args: Any, **kwargs: Any) -> None:
        """Why it was refused, in the place of Django's message that it was done."""
        if (refusal := getattr(request, "refusal", "")) and level == messages.SUCCESS:
            message, level = refusal, messages.ERROR
        super().message_user(request, message, level, *args, **kwargs)

    def delete_queryset(self, request: Any, queryset: QuerySet[Registry]) -> None:
        for registry in queryset:
            self.delete_model(request, registry)

    @admin.action(description="Test the chosen registries", permissions=["view"])
    def test_chosen(self, request: Any, chosen: QuerySet[Registry]) -> None:
        unreadable = [registry.name for registry in chosen if not _ask(registry, request)]
        if len(chosen) > len(unreadable):
            messages.success(request, f"Tests asked for: {len(chosen) - len(unreadable)}.")
        if unreadable:
            messages.error(request, f"The stored secret cannot be opened any more: {', '.join(unreadable)}.")


@admin.register(TokenRefresh)
class TokenRefreshAdmin(ReadOnlyAdmin, ScopedAdmin):
    member_permission = "registries.{}_registry"
    list_display = ["registry", "organisation", "reason", "state", "verdict", "issued_at", "expires_at", "created_at"]
    list_filter = ["state", "reason", BY_ORGANISATION]
    list_select_related = ["registry", "organisation"]
    search_fields = ["registry__name", "verdict"]
    exclude = ["claim"]


@admin.register(Login)
class LoginAdmin(ReadOnlyAdmin, ScopedAdmin):
    member_permission = "registries.{}_registry"
    list_display = ["registry_name", "server", "organisation", "state", "verdict", "logged_in_at", "due_at"]
    list_filter = ["state", BY_ORGANISATION]
    list_select_related = ["server", "organisation"]
    search_fields = ["registry_name", "server__name", "url", "verdict"]
    exclude = ["mark"]


@admin.register(Alarm)
class AlarmAdmin(ReadOnlyAdmin, ScopedAdmin):
    member_permission = "registries.{}_registry"
    list_display = ["kind", "registry", "organisation", "created_at", "cleared_at"]
    list_filter = ["kind", BY_ORGANISATION]
    list_select_related = ["registry", "organisation"]
    search_fields = ["registry__name", "text"]


@admin.register(Quota)
class QuotaAdmin(ReadOnlyAdmin, ScopedAdmin):
    member_permission = "registries.{}_registry"
    list_display = ["host", "registry", "server", "organisation", "remaining", "limit", "window_seconds", "seen_at"]
    list_filter = [BY_ORGANISATION]
    list_select_related = ["registry", "server", "organisation"]
    search_fields = ["host", "registry__name", "server__name"]


@admin.register(RegistryTest)
class RegistryTestAdmin(ReadOnlyAdmin, ScopedAdmin):
    member_permission = "registries.{}_registry"
    list_display = ["registry", "url", "organisation", "server_name", "state", "verdict", "asked_by", "created_at"]
    list_filter = ["state", BY_ORGANISATION]
    list_select_related = ["registry", "organisation", "asked_by"]
    search_fields = ["registry__name", "url", "verdict"]
    exclude = ["claim", "credentials_mark", "draft_password"]


def _ask(registry: Registry, request: Any) -> bool:
    """Whether the registry could be tested: its secret opens."""
    try:
        testing.ask(registry=registry, server=registry.server, asked_by=request.user)
    except SecretUnreadable:
        return False
    return True
