"""Servers, SSH keys and their tests in Django's admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from dokreg.addresses import normalise_host_name
from dokreg.read_only_admin import ReadOnlyAdmin
from dokreg.widgets import SecretTextarea
from organisations.scoped_admin import BY_ORGANISATION, OwnedAdminForm, ScopedAdmin
from servers import hosts, keys, testing
from servers.models import Server, ServerTest, SSHKey

CONNECTION = {"host", "port", "user", "ssh_key"}


class NewSSHKeyForm(OwnedAdminForm):
    """Takes a private key, and never shows one."""

    # Not “private_key”: Django lets no form field have the name of a column that is not editable.
    pasted_key = forms.CharField(
        label="Private key",
        strip=False,
        widget=SecretTextarea({"rows": 8, "cols": 80, "autocomplete": "off", "spellcheck": "false"}),
        help_text="The whole file, without a passphrase. It is stored encrypted and never shown again.",
    )

    pair: keys.KeyPair

    def clean_pasted_key(self) -> None:
        try:
            self.pair = keys.read_private_key(self.cleaned_data["pasted_key"])
        except keys.BadKey as error:
            raise ValidationError(str(error)) from error


@admin.register(SSHKey)
class SSHKeyAdmin(ScopedAdmin):
    """A key's pair never changes, since servers know it; a new pair is a new key."""

    list_display = ["name", "organisation", "fingerprint", "created_at"]
    list_filter = [BY_ORGANISATION]
    list_select_related = ["organisation"]
    search_fields = ["name", "public_key", "organisation__name"]
    readonly_fields = ["public_key", "fingerprint", "created_at"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002 - Django's signature
        if obj is None:
            return ["organisation", "name", "pasted_key"]
        return ["organisation", "name", "public_key", "fingerprint", "created_at"]

    def get_form(self, request: HttpRequest, obj: Any = None, change: Any = None, **kwargs: Any) -> Any:
        kwargs["form"] = OwnedAdminForm if change else NewSSHKeyForm
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: SSHKey, form: Any, change: Any) -> None:  # noqa: ARG002
        if change:
            hosts.rename_key(key=obj)
        else:
            hosts.create_key(key=obj, pair=form.pair)


class ServerAdminForm(OwnedAdminForm):
    def clean_host(self) -> str:
        try:
            return normalise_host_name(self.cleaned_data["host"])
        except ValueError as error:
            raise ValidationError(str(error)) from error


@admin.register(Server)
class ServerAdmin(ScopedAdmin):
    form = ServerAdminForm
    list_display = ["name", "organisation", "address", "ssh_key", "host_key_fingerprint"]
    list_filter = [BY_ORGANISATION]
    list_select_related = ["organisation", "ssh_key"]
    search_fields = ["name", "host", "organisation__name"]
    fields = [
        "organisation",
        "name",
        "host",
        "port",
        "user",
        "ssh_key",
        "host_key_fingerprint",
        "seen_fingerprint",
        "created_at",
    ]
    readonly_fields = ["host_key_fingerprint", "seen_fingerprint", "created_at"]
    actions = ["test_chosen"]

    def save_model(self, request: Any, obj: Server, form: Any, change: Any) -> None:
        is_new = not change or not CONNECTION.isdisjoint(form.changed_data)
        hosts.save_server(server=obj, by=request.user, connection_changed=is_new)

    @admin.action(description="Test the chosen servers", permissions=["view"])
    def test_chosen(self, request: Any, chosen: QuerySet[Server]) -> None:
        for server in chosen:
            testing.ask(server=server, asked_by=request.user)
        messages.success(request, f"Tests asked for: {len(chosen)}.")


@admin.register(ServerTest)
class ServerTestAdmin(ReadOnlyAdmin, ScopedAdmin):
    member_permission = "servers.{}_server"
    list_display = ["server", "organisation", "state", "verdict", "asked_by", "created_at"]
    list_filter = ["state", BY_ORGANISATION]
    list_select_related = ["server", "organisation", "asked_by"]
    search_fields = ["server__name", "verdict"]
    exclude = ["claim"]
