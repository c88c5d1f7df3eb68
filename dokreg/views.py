"""Pages of the installation itself."""

import sys

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseServerError, JsonResponse
from django.shortcuts import render
from django.template import loader
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_safe
from django.views.defaults import bad_request

from dokreg import database, health, logs
from dokreg.http import API


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 and what was checked, or 503 and what is wrong. Open, for load balancers; names no address.

    `?only=database` asks for nothing else, and so waits for nothing else.
    """
    findings = [health.ask("database")] if request.GET.get("only") == "database" else health.examine()
    is_well = not any(finding.problem for finding in findings)
    body = {
        "status": "ok" if is_well else "error",
        "checks": {finding.part: finding.problem or "ok" for finding in findings},
    }
    return JsonResponse(body, status=200 if is_well else 503)


@csrf_exempt  # a session's token is asked for by the API itself; a key needs none
@login_not_required
@sensitive_variables()
def api(request: HttpRequest, path: str) -> HttpResponse:
    """The HTTP API. It is loaded with its first request, since many installations never get one."""
    from dokreg.api.views import answer

    return answer(request, path)


def api_docs(request: HttpRequest) -> HttpResponse:
    """The page about it for people."""
    from dokreg.api.docs import show

    return show(request)


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 - Django's signature
    """The form's token is missing or old: say what to do."""
    return render(request, "403_csrf.html", status=403)


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus. Loaded with the first request, since most installations never get one."""
    if not settings.DOKREG_METRICS:
        raise Http404
    from dokreg.metrics.exposing import answer

    return answer(request)


@never_cache
@require_safe
def doctor(request: HttpRequest) -> HttpResponse:
    """What `manage.py doctor` says, for staff."""
    if not (request.user.is_authenticated and request.user.is_staff):
        raise Http404
    from dokreg.doctor.examining import examine

    return render(request, "doctor.html", {"report": examine(everything=False), "section": "doctor"})


def not_understood(request: HttpRequest, exception: Exception) -> HttpResponse:
    """For a request that no view got to see: programs get JSON here too."""
    called = API.match(request.path_info)
    if not called:
        return bad_request(request, exception)
    from dokreg.api.views import not_understood

    return not_understood(request.path_info[called.end() :], exception)


def broken(request: HttpRequest) -> HttpResponse:
    """For a request that ended in an exception: what to do now. Asks no database, which may be the very reason.

    Nothing of what was sent stands in the answer: whoever sent it still has it, in the form or by loading again.
    """
    error = sys.exc_info()[1]
    if error is None or not database.is_away(error):
        # No frame either: whatever is broken, this must still come, with the id to look for in the log.
        page = loader.get_template("500.html").render({"request_id": logs.request_id()})
        return HttpResponseServerError(page)
    headers = {"Retry-After": str(database.RETRY_SECONDS), "Cache-Control": "no-store"}
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(database.AWAY, status=503, content_type="text/plain; charset=utf-8", headers=headers)
    if request.path_info.startswith("/webhooks/"):
        return JsonResponse({"error": database.AWAY}, status=503, headers=headers)
    page = loader.get_template("503.html").render({"was_sent": request.method == "POST"})
    return HttpResponse(page, status=503, headers=headers)
