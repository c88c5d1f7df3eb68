"""The tests of servers: asked for, watched, and read again later."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import trigger_client_event

from organisations.access import OrganisationRequest, requires
from organisations.responses import number_in, see_other
from servers import testing
from servers.models import ServerTest
from servers.views.servers import SECTION, server_of
from servers.watching import wait_for_change

PATIENCE_SECONDS = 1.0


@require_POST
@requires("servers.view_server")
def start(request: OrganisationRequest, server_id: str) -> HttpResponse:
    server = server_of(request, server_id)
    test = testing.ask_unless_running(server=server, asked_by=request.user)
    if request.htmx:
        return render(request, "servers/detail.html#ladder", {"run": test})
    return see_other(server)


@vary_on_headers("HX-Request")
@require_safe
@requires("servers.view_server")
def detail(request: OrganisationRequest, test_id: str) -> HttpResponse:
    tests = ServerTest.objects.of(request.organisation).select_related("server", "asked_by")
    test = get_object_or_404(tests, pk=test_id)
    if not request.htmx:
        return render(request, "servers/test.html", {"section": SECTION, "run": test})
    return _news(request, test, number_in(request, "seen", usual=-1))


def _news(request: OrganisationRequest, test: ServerTest, seen: int) -> HttpResponse:
    """The ladder once it is not the one that the page shows; 204 leaves the page as it is."""
    test = wait_for_change(test, seen, PATIENCE_SECONDS)
    if test.revision == seen:
        return HttpResponse(status=204)
    response = render(request, "servers/detail.html#ladder", {"run": test})
    # What else the page shows of the server (its host key, the history) is fetched anew after the test.
    return trigger_client_event(response, "tested", after="settle") if test.is_over else response
