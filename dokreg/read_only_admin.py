"""A page of Django's admin that shows rows and changes none."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """For rows that dokreg writes by itself; they go only together with what they belong to."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Not on its own pages; on another model's, which asks whether its dependants may go with it."""
        page = request.resolver_match
        own = f"{self.opts.app_label}_{self.opts.model_name}_"
        return page is not None and not str(page.url_name).startswith(own)
