"""Settings → Registries."""

from django.core.paginator import Paginator
from django.db.models import F, Prefetch, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from organisations.access import OrganisationRequest, requires
from organisations.deletion import count_users
from registries import kinds
from registries.logins import count_logins
from registries.models import Registry, RegistryTest

PAGE_SIZE = 25
SORTS = {
    "name": "name",
    "url": "url",
    "username": "username",
    "tested": "tested_at",
    "token": "token_expires_at",
    "added": "created_at",
}
# What no list shows.
HEAVY = ("password", "account")
# Of the rows of a page alone: joined, in some orders the tests of all registries would be read.
LAST_TESTS = Prefetch("last_test", RegistryTest.objects.defer("rungs"))
MAY_BE_EMPTY = frozenset({"tested_at", "token_expires_at"})


@require_safe
@requires("registries.view_registry")
def show_list(request: OrganisationRequest) -> HttpResponse:
    query, sort = request.GET.get("q", "").strip(), request.GET.get("sort", "name")
    kind = request.GET.get("provider", "")
    rows = _sorted(_found(Registry.objects.of(request.organisation), query, kind), sort)
    rows = rows.prefetch_related(LAST_TESTS).defer(*HEAVY)
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    uses = count_users(list(page.object_list))
    logins = count_logins(list(page.object_list))
    for registry in page.object_list:
        registry.organisation = request.organisation
    context = {
        "section": "registries",
        "page_obj": page,
        "rows": [(registry, uses.get(registry.pk, 0), logins.get(registry.pk, 0)) for registry in page.object_list],
        "query": query,
        "sort": sort,
        "provider": kind,
        "providers": kinds.all_kinds(),
        "is_filtered": bool(query or kind),
    }
    return render(request, "registries/list.html", context)


def _found(rows: QuerySet[Registry], query: str, kind: str) -> QuerySet[Registry]:
    if query:
        rows = rows.filter(
            Q(name__icontains=query)
            | Q(url__icontains=query)
            | Q(username__icontains=query)
            | Q(image_prefix__icontains=query)
        )
    return rows.filter(kind=kind) if kind else rows


def _sorted(rows: QuerySet[Registry], sort: str) -> QuerySet[Registry]:
    column = SORTS.get(sort.removeprefix("-"), "name")
    if column not in MAY_BE_EMPTY:
        sign = "-" if sort.startswith("-") else ""
        return rows.order_by(f"{sign}{column}", f"{sign}pk")  # in the order of an index
    order = F(column).desc(nulls_last=True) if sort.startswith("-") else F(column).asc(nulls_last=True)
    return rows.order_by(order, "pk")
