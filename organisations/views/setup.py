"""The set-up of the first owner, behind the one-time link from the terminal."""

from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from organisations import setup
from organisations.forms import SetupForm
from organisations.responses import posted, see_other, status_of

BACKEND = "organisations.backends.MembershipBackend"


@sensitive_post_parameters()
@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def set_up(request: HttpRequest, token: str) -> HttpResponse:
    if not setup.is_open_for(token):
        return _closed(request)
    form = SetupForm(posted(request))
    if not form.is_valid():
        return render(request, "organisations/setup.html", {"form": form}, status=status_of(request))
    try:
        owner = setup.create_first_owner(
            token=token,
            organisation=form.cleaned_data["organisation"],
            username=form.cleaned_data["username"],
            email=form.cleaned_data["email"],
            password=form.cleaned_data["password1"],
        )
    except setup.SetupClosed:
        return _closed(request)
    login(request, owner, backend=BACKEND)
    return see_other("home")


def _closed(request: HttpRequest) -> HttpResponse:
    return render(request, "organisations/setup_closed.html", {"is_needed": setup.is_needed()}, status=404)
