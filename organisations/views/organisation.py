"""Organisations: a new one, and the name of one."""

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from organisations import setup
from organisations.access import OrganisationRequest, PersonRequest, requires
from organisations.forms import NewOrganisationForm, OrganisationForm
from organisations.models import Organisation, User
from organisations.responses import posted, see_other, status_of


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("organisations.add_organisation", raise_exception=True)
def new(request: PersonRequest) -> HttpResponse:
    """For staff who may make organisations; whoever makes one owns it."""
    form = NewOrganisationForm(posted(request))
    if not form.is_valid():
        context = {"form": form, "section": "account"}
        return render(request, "organisations/new.html", context, status=status_of(request))
    owner = User.objects.get(pk=request.user.pk)
    organisation = setup.create_organisation(name=form.cleaned_data["name"], owner=owner)
    messages.success(request, f"{organisation} is made, and you own it.")
    return see_other(organisation)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("organisations.change_organisation")
def settings(request: OrganisationRequest) -> HttpResponse:
    # A copy: a name that is refused must not stand in the frame around the form.
    organisation = Organisation.objects.get(pk=request.organisation.pk)
    form = OrganisationForm(posted(request), instance=organisation)
    if not form.is_valid():
        context = {"form": form, "section": "organisation"}
        return render(request, "organisations/settings.html", context, status=status_of(request))
    form.save()
    messages.success(request, f"{organisation} is saved.")
    return see_other("organisations:settings", organisation=organisation.slug)
