"""The audit trail of an organisation."""

import datetime as dt
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dokreg.paging import BoundedPaginator
from organisations import audit
from organisations.access import OrganisationRequest, requires
from organisations.audit_words import lines_of
from organisations.forms import AuditFilterForm
from organisations.models import AuditEntry

PER_PAGE = 50
ACTIONS = {
    "create": AuditEntry.Action.CREATE,
    "update": AuditEntry.Action.UPDATE,
    "delete": AuditEntry.Action.DELETE,
}


@require_safe
@requires("organisations.view_auditentry")
def audit_trail(request: OrganisationRequest) -> HttpResponse:
    form = AuditFilterForm(request.GET)
    is_valid = form.is_valid()
    entries = AuditEntry.objects.filter(organisation=request.organisation, **_conditions(form.cleaned_data))
    page = BoundedPaginator(audit.in_order(entries), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "section": "audit",
        "form": form,
        "page": page,
        "entries": lines_of(list(page.object_list), request.may),
        "is_filtered": any(form.cleaned_data.values()),
    }
    return render(request, "organisations/audit.html", context, status=200 if is_valid else 422)


def _conditions(wanted: dict[str, Any]) -> dict[str, Any]:
    """The filter's fields as conditions on entries; an empty field is none."""
    conditions = {
        "actor__username__icontains": wanted.get("person"),
        "object_repr__icontains": wanted.get("thing"),
        "timestamp__gte": _midnight(wanted.get("since")),
        "timestamp__lt": _midnight(wanted.get("until"), days=1),
        "content_type": _content_type(wanted.get("kind")),
    }
    return {name: value for name, value in conditions.items() if value} | _what(wanted.get("what"))


def _what(what: str | None) -> dict[str, Any]:
    if not what:
        return {}
    return {"action": ACTIONS[what]} if what in ACTIONS else {"event": what}


def _content_type(kind: str | None) -> ContentType | None:
    return ContentType.objects.get_by_natural_key(*kind.split(".")) if kind else None


def _midnight(day: dt.date | None, *, days: int = 0) -> dt.datetime | None:
    """The beginning of a day, or of one some days later."""
    if day is None:
        return None
    return timezone.make_aware(dt.datetime.combine(day + dt.timedelta(days=days), dt.time.min))
