"""Settings → API keys: made and shown once, looked at, revoked."""

from collections.abc import Iterator

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from organisations import api_keys, audit
from organisations.access import OrganisationRequest, requires
from organisations.api_key_forms import ApiKeyForm
from organisations.api_key_models import ApiKey
from organisations.forms import Tick, tick_groups
from organisations.members import NotAllowed
from organisations.responses import posted, see_other, status_of

SECTION = "api_keys"
PAGE_SIZE = 25
LONGEST_IN_LIST = 60


@require_safe
@requires("")
def index(request: OrganisationRequest) -> HttpResponse:
    """One's own keys; everybody's for those who may change members."""
    page = Paginator(api_keys.keys_of(request.may), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "section": SECTION,
        "page_obj": page,
        "rows": [(key, api_keys.limits_in_words(key), _now_in_short(key)) for key in page],
        "sees_all": api_keys.MANAGE_ALL in request.may,
    }
    return render(request, "organisations/api_key_list.html", context)


@sensitive_variables()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@requires("")
def add(request: OrganisationRequest) -> HttpResponse:
    """Make a key; the answer shows it, and nothing shows it again: sent anew, the form makes no other one."""
    form = ApiKeyForm(posted(request), by=request.may)
    if form.is_valid():
        try:
            key, text = api_keys.make(
                membership=request.may,
                name=form.cleaned_data["name"],
                limits=form.limits,
                expires_at=form.expires_at,
                key_id=form.cleaned_data["key_id"],
            )
        except api_keys.AlreadyMade:
            messages.info(request, "The key of that form is made already. It is not shown again.")
            return _to_list(request)
        except NotAllowed as error:
            form.add_error(None, str(error))
        else:
            return _show_once(request, key, text)
    context = {"section": SECTION, "form": form}
    return render(request, "organisations/api_key_form.html", context, status=status_of(request))


@require_safe
@requires("")
def detail(request: OrganisationRequest, key_id: str) -> HttpResponse:
    """What a key may do now, when and from where it was used, and what happened to it."""
    key = _key_of(request, key_id)
    may_audit = "organisations.view_auditentry" in request.may
    context = {
        "section": SECTION,
        "key": key,
        "is_own": key.membership_id == request.may.pk,
        "tick_groups": list(_tick_groups(key)),
        "entries": audit.entries_of(key) if may_audit else [],
    }
    return render(request, "organisations/api_key_detail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("")
def revoke(request: OrganisationRequest, key_id: str) -> HttpResponse:
    key = _key_of(request, key_id)
    if request.method == "POST":
        if api_keys.revoke(key, by=request.user):
            messages.success(request, f"“{key}” is revoked. Whatever still uses it is refused.")
        else:
            messages.info(request, f"“{key}” was revoked before.")
        return _to_list(request)
    if not key.is_active:
        return see_other(key)
    is_own = key.membership_id == request.may.pk
    return render(request, "organisations/api_key_revoke.html", {"section": SECTION, "key": key, "is_own": is_own})


@sensitive_variables()
def _show_once(request: OrganisationRequest, key: ApiKey, text: str) -> HttpResponse:
    context = {
        "section": SECTION,
        "key": key,
        "text": text,
        "limits": api_keys.limits_in_words(key),
        "call": api_keys.call_example(),
        "address": settings.DOKREG_URL,
    }
    return render(request, "organisations/api_key_made.html", context)


def _now_in_short(key: ApiKey) -> str:
    """What it may do at this moment, if that is not what it is limited to; "" for a key that does not work."""
    if not key.is_active or (key.permissions is not None and key.granted == key.limits):
        return ""
    words = api_keys.granted_in_words(key)
    return words if len(words) <= LONGEST_IN_LIST else f"{len(key.granted)} permissions"


def _tick_groups(key: ApiKey) -> Iterator[tuple[str, list[Tick]]]:
    """Its limits, ticked as far as its member has them now; without limits what it may do now, which may be nothing."""
    if key.is_active:
        return tick_groups(key.granted if key.permissions is None else key.limits, ticked=key.granted)
    was = frozenset[str]() if key.permissions is None else key.limits
    return tick_groups(was, ticked=was)


def _to_list(request: OrganisationRequest) -> HttpResponse:
    return see_other("organisations:api_key_list", organisation=request.organisation.slug)


def _key_of(request: OrganisationRequest, key_id: str) -> ApiKey:
    """The organisation's key with this id, or Http404; PermissionDenied for somebody else's."""
    rows = ApiKey.objects.of(request.organisation).select_related("organisation", "membership__user", "revoked_by")
    key = get_object_or_404(rows, pk=key_id)
    if not api_keys.may_manage(key, by=request.may):
        raise PermissionDenied
    return key
