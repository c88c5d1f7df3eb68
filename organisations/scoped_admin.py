"""Django's admin for rows of organisations: superusers see all, other staff what they may see as members.

Staff need Django's permission to come in, and their membership's for the row: the admin is no way around it.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import ForeignKey, Model, QuerySet
from django.http import HttpRequest

from dokreg import permissions
from organisations.models import Membership, Organisation, OwnedByOrganisation, OwnedQuerySet

BY_ORGANISATION = ("organisation", admin.RelatedOnlyFieldListFilter)


class OwnedAdminForm(forms.ModelForm[Any]):
    """A row whose relations stay inside its organisation."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        adding = self.instance._state.adding
        organisation = cleaned.get("organisation") if adding else self.instance.organisation
        for name, value in list(cleaned.items()):
            if isinstance(value, OwnedByOrganisation) and organisation and value.organisation_id != organisation.pk:
                self.add_error(name, f"{value} belongs to another organisation.")
        return cleaned

    def validate_unique(self) -> None:
        """Django skips constraints on the organisation by itself, which is no field of a saved row's form."""
        super().validate_unique()
        if self.errors:
            return
        try:
            self.instance.validate_constraints()
        except ValidationError as error:
            self.add_error(None, error.messages)


class ScopedAdmin(admin.ModelAdmin[Any]):
    """Rows of organisations, and the permissions of their members."""

    form: type[forms.ModelForm[Any]] = OwnedAdminForm
    # The member's permission that an action needs; {} is view, add, change or delete.
    member_permission = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows if _sees_all(request) else self.visible_rows(request, rows)

    def visible_rows(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows that staff who are no superusers see."""
        assert isinstance(rows, OwnedQuerySet)  # noqa: S101 - for the type checker
        return rows.visible_to(request.user).filter(organisation__in=self.organisations_with("view", request))

    def organisations_with(self, action: str, request: HttpRequest) -> list[str]:
        """The ids of the organisations in which the person may do this."""
        name = self._permission(action)
        memberships = Membership.objects.filter(user=request.user.pk)
        return [membership.organisation_id for membership in memberships if name in membership]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and self._is_allowed("view", request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and self._is_allowed("change", request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self._is_allowed("delete", request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str] | tuple[Any, ...]:
        """A row never moves to another organisation: what it refers to would stay behind."""
        fields = super().get_readonly_fields(request, obj)
        return [*fields, "organisation"] if obj is not None and hasattr(obj, "organisation_id") else list(fields)

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Offer only what the person sees."""
        if not _sees_all(request):
            kwargs["queryset"] = self._offered(db_field.related_model, request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def _offered(self, model: type[Model], request: HttpRequest) -> QuerySet[Any]:
        if model is Organisation:
            return Organisation.objects.filter(pk__in=self.organisations_with("add", request))
        rows = model._default_manager.all()
        return rows.visible_to(request.user) if isinstance(rows, OwnedQuerySet) else rows.none()

    def _is_allowed(self, action: str, request: HttpRequest, obj: Any) -> bool:
        if obj is None or _sees_all(request):
            return True
        return request.user.has_perm(self._permission(action), obj)

    def _permission(self, action: str) -> str:
        name = (self.member_permission or f"{self.opts.app_label}.{{}}_{self.opts.model_name}").format(action)
        permissions.check_known([name])
        return name


def _sees_all(request: HttpRequest) -> bool:
    return bool(request.user.is_active and getattr(request.user, "is_superuser", False))
