"""Where CI jobs and registries call: open to everybody who has the address of a webhook."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from applications.webhooks import deliveries, keys, receiving
from applications.webhooks.receiving import Answer


@sensitive_variables()
@csrf_exempt
@login_not_required
@never_cache
@require_POST
def webhook_in(request: HttpRequest, key: str) -> JsonResponse:
    """Small JSON, whatever happens: `status` (queued, ignored) or `error`."""
    if wait := deliveries.seconds_to_wait_from(address=request.META.get("REMOTE_ADDR", "")):
        return _json(Answer(429, {"error": "Too many calls from this address. Wait a minute."}, wait))
    application = keys.find(key)
    if application is None:
        return _json(
            Answer(404, {"error": "There is no such webhook. Copy its address again from its page in dokreg."})
        )
    if refusal := _unreadable(request):
        return _json(refusal)
    body = request.read(receiving.MOST_BYTES + 1)
    return _json(receiving.receive(application=application, headers=request.headers, body=body, now=timezone.now()))


def _unreadable(request: HttpRequest) -> Answer | None:
    """What hides its body from us must not count as a call without one, which deploys."""
    if request.headers.get("Transfer-Encoding"):
        return Answer(411, {"error": "Send the body with a Content-Length, not in chunks."})
    if (request.content_type or "").startswith("multipart/"):
        return Answer(415, {"error": "Send the body as application/json."})
    return None


def _json(answer: Answer) -> JsonResponse:
    headers = {"Retry-After": str(answer.retry_after)} if answer.retry_after else {}
    return JsonResponse(answer.words, status=answer.status, headers=headers)
