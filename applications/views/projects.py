"""Projects, and the applications in each."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, F, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from applications import looking, saving
from applications.forms import ProjectForm
from applications.models import Application, ContainerLook, Project
from applications.views.access import SECTION, in_lists, one_project
from organisations import audit
from organisations.access import OrganisationRequest, requires
from organisations.deletion import StillUsed, used_by
from organisations.responses import posted, see_other, status_of

PROJECTS_PER_PAGE = 20
MOST_OF_EACH = 20
MOST_ROWS = 100  # of the page with all projects: a row has a menu, which takes as long to write as ten cells
APPLICATIONS_PER_PAGE = 50
Rows = list[tuple[Application, ContainerLook | None]]


@require_safe
@requires("applications.view_application")
def show_list(request: OrganisationRequest) -> HttpResponse:
    """Every project with its applications; `?q=` finds projects, and applications by name or image."""
    query = request.GET.get("q", "").strip()
    projects = Project.objects.of(request.organisation)
    found = in_lists(request)
    if query:
        matching = found.filter(name__icontains=query) | found.filter(image__icontains=query)
        named = projects.filter(name__icontains=query)
        found = matching | found.filter(project__in=named)
        projects = projects.filter(pk__in=found.values("project")) | named
    page = Paginator(projects, PROJECTS_PER_PAGE).get_page(request.GET.get("page"))
    for project in page.object_list:
        project.organisation = request.organisation
    found = found.filter(project__in=list(page.object_list))
    numbers = dict(found.order_by().values_list("project").annotate(Count("pk")))
    most = _most_of_each(numbers.values())
    rows = _by_project(_rows(_first_of_each(found, most), page.object_list))
    context = {
        "section": SECTION,
        "page_obj": page,
        "query": query,
        "projects": [(project, rows[project.pk], numbers.get(project.pk, 0) > most) for project in page.object_list],
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
    rows = in_lists(request).filter(project=project).order_by("name")
    page = Paginator(rows, APPLICATIONS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "section": SECTION,
        "project": project,
        "page_obj": page,
        "rows": _rows(list(page.object_list), [project]),
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


def _most_of_each(numbers: Collection[int]) -> int:
    """How many applications the list may show of each project that has so many: those with few leave room to others."""
    fitting = (most for most in range(MOST_OF_EACH, 1, -1) if sum(min(number, most) for number in numbers) <= MOST_ROWS)
    return next(fitting, 1)


def _first_of_each(applications: "QuerySet[Application]", most: int) -> list[Application]:
    """By name, so many of each project."""
    place = Window(RowNumber(), partition_by=F("project"), order_by=[F("name").asc(), F("pk").asc()])
    return list(applications.annotate(place=place).filter(place__lte=most).order_by("name", "pk"))


def _by_project(rows: Rows) -> dict[str, Rows]:
    of: dict[str, Rows] = defaultdict(list)
    for row in rows:
        of[row[0].project_id].append(row)
    return of


def _rows(applications: Sequence[Application], projects: Iterable[Project]) -> Rows:
    """Each with the last look at its container."""
    of = {project.pk: project for project in projects}
    for application in applications:
        application.project = of[application.project_id]
        application.organisation = application.project.organisation
    looks = looking.last_of(applications)
    return [(application, looks.get(application.pk)) for application in applications]
