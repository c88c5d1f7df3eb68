"""A person's own account."""

from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST

from organisations import audit
from organisations.access import PersonRequest
from organisations.forms import AccountForm
from organisations.models import Membership, User
from organisations.responses import posted, see_other, status_of


@require_http_methods(["GET", "HEAD", "POST"])
def account(request: PersonRequest) -> HttpResponse:
    """Name and e-mail, organisations, and what ends sessions."""
    person = User.objects.get(pk=request.user.pk)
    form = AccountForm(posted(request), instance=person)
    if form.is_valid():
        form.save()
        messages.success(request, "Your account is saved.")
        return see_other("account")
    memberships = Membership.objects.filter(user=person).select_related("organisation")
    context = {"form": form, "memberships": memberships.order_by("organisation__name"), "section": "account"}
    return render(request, "organisations/account.html", context, status=status_of(request))


class PasswordChange(PasswordChangeView):
    """A new password: this session stays, every other one of the person ends."""

    request: PersonRequest
    template_name = "organisations/password_change.html"
    extra_context = {"section": "account"}

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        # The parent would redirect by itself, to a page of its own, once these two things are done.
        form.save()
        person = User.objects.get(pk=self.request.user.pk)
        update_session_auth_hash(self.request, person)
        audit.record_for_all("changed the password", person, self.request, actor=person)
        messages.success(self.request, "Your password is changed. Every other session of yours has ended.")
        return see_other("account")

    def form_invalid(self, form: PasswordChangeForm) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 422
        return response


@require_POST
def sign_out_everywhere(request: PersonRequest) -> HttpResponse:
    person = User.objects.get(pk=request.user.pk)
    person.sign_out_everywhere()
    audit.record_for_all("ended all sessions", person, request, actor=person)
    logout(request)
    messages.success(request, "Every session of yours has ended, here and elsewhere.")
    return see_other("sign_in")
