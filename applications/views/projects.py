"""Projects, and the applications in each."""

from collections.abc import Sequence

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from applications import looking, saving
from applications.forms import ProjectForm
from applications.models import Application, ContainerLook, Project
from applications.views.access import SECTION, applications_of, one_project
from organisations import audit
from organisations.access import OrganisationRequest, requires
from organisations.deletion import StillUsed, used_by
from organisations.responses import posted, see_other, status_of

PROJECTS_PER_PAGE = 20
MOST_OF_EACH = 20
APPLICATIONS_PER_PAGE = 50
Rows = list[tuple[Application, ContainerLook | None]]


@require_safe
@requires("applications.view_application")
def show_list(request: OrganisationRequest) -> HttpResponse:
    """Every project with its applications; `?q=` finds projects, and applications by name or image."""
    query = request.GET.get("q", "").strip()
    projects = Project.objects.of(request.organisation)
    found = applications_of(request)
    if query:
        matching = found.filter(name__icontains=query) | found.filter(image__icontains=query)
        named = projects.filter(name__icontains=query)
        found = matching | found.filter(project__in=named)
        projects = projects.filter(pk__in=found.values("project")) | named
    page = Paginator(projects, PROJECTS_PER_PAGE).get_page(request.GET.get("page"))
    rows = _rows(_first_of_each(found.filter(project__in=list(page.object_list))))
    for project in page.object_list:
        project.organisation = request.organisation
    context = {
        "section": SECTION,
        "page_obj": page,
        "query": query,
        "projects": [(project, *_of(project, rows)) for project in page.object_list],
    }
    return render(request, "applications/projects.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("applications.add_project")
def add(request: OrganisationRequest) -> HttpResponse:
    return _form(request, Project(organisation=request.organisation), is_new=True)


@require_safe
@requires("applications.view_application")
def show(request: OrganisationRequest, project_id: str) -> HttpResponse:
    project = one_project(request, project_id)
    rows = applications_of(request).filter(project=project).order_by("name")
    page = Paginator(rows, APPLICATIONS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "section": SECTION,
        "project": project,
        "page_obj": page,
        "rows": _rows(list(page.object_list)),
        "entries": audit.entries_of(project) if "organisations.view_auditentry" in request.may else [],
    }
    return render(request, "applications/project.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("applications.change_project")
def edit(request: OrganisationRequest, project_id: str) -> HttpResponse:
    return _form(request, one_project(request, project_id), is_new=False)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("applications.delete_project")
def delete(request: OrganisationRequest, project_id: str) -> HttpResponse:
    project = one_project(request, project_id)
    if request.method == "POST":
        try:
            saving.delete_project(project=project)
        except StillUsed:
            pass  # the page below names by what
        else:
            messages.success(request, f"{project.name} is deleted.")
            return see_other("applications:projects", organisation=request.organisation.slug)
    context = {"section": SECTION, "project": project, "users": used_by(project)}
    return render(request, "applications/project_delete.html", context, status=status_of(request))


@require_safe
@requires("applications.add_application")
def choose_service(request: OrganisationRequest, project_id: str) -> HttpResponse:
    """New Service: of which kind."""
    return render(
        request, "applications/service_add.html", {"section": SECTION, "project": one_project(request, project_id)}
    )


def _form(request: OrganisationRequest, project: Project, *, is_new: bool) -> HttpResponse:
    form = ProjectForm(posted(request), instance=project, organisation=request.organisation)
    if form.is_valid():
        project = form.save()
        messages.success(request, f"{project.name} is saved.")
        return see_other(project)
    shown = None if is_new else one_project(request, project.pk)
    context = {"section": SECTION, "form": form, "project": shown}
    return render(request, "applications/project_form.html", context, status=status_of(request))


def _first_of_each(applications: "QuerySet[Application]") -> list[Application]:
    """By name: of each project as many as the list shows, and one more to tell that there are more."""
    place = Window(RowNumber(), partition_by=F("project"), order_by=[F("name").asc(), F("pk").asc()])
    return list(applications.annotate(place=place).filter(place__lte=MOST_OF_EACH + 1).order_by("name", "pk"))


def _of(project: Project, rows: Rows) -> tuple[Rows, bool]:
    """The rows that the list shows of a project, and whether there are more."""
    own = [row for row in rows if row[0].project_id == project.pk]
    return own[:MOST_OF_EACH], len(own) > MOST_OF_EACH


def _rows(applications: Sequence[Application]) -> Rows:
    """Each with the last look at its container."""
    looks = looking.last_of(applications)
    return [(application, looks.get(application.pk)) for application in applications]
