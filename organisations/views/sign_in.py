"""Signing in and out."""

import math
from typing import Any

from axes.helpers import get_cool_off
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST

from organisations import setup
from organisations.responses import see_other

DEFAULT_WAIT_SECONDS = 15 * 60


@method_decorator(login_not_required, name="dispatch")
class SignIn(LoginView):
    """Username and password; leads on to where the person wanted to go."""

    template_name = "organisations/sign_in.html"
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if setup.is_needed():
            return redirect("home")
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        super().form_valid(form)
        return see_other(self.get_success_url())

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 422
        return response


@login_not_required
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return see_other("sign_in")


def locked_out(request: HttpRequest, _response: Any = None, _credentials: Any = None, **_: Any) -> HttpResponse:
    """429 after too many wrong passwords for one username from one address; says how long to wait."""
    wait = get_cool_off(request)
    seconds = math.ceil(wait.total_seconds()) if wait else DEFAULT_WAIT_SECONDS
    response = render(request, "organisations/locked_out.html", {"minutes": math.ceil(seconds / 60)}, status=429)
    response["Retry-After"] = str(seconds)
    return response
