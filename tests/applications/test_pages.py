"""The pages of projects, applications and deployments."""

import datetime as dt
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from applications import deploying, looking, saving
from applications.models import Application, ContainerLook, Deployment, Project
from applications.views import projects
from organisations.models import Organisation, User
from registries.models import Registry
from servers.models import Server
from tests.applications.page_rows import DIGEST, HTMX, OTHER_DIGEST, address, make_deployment, make_look, serve, text_of
from tests.applications.rows import deployed, make_application, ran
from tests.lab.engine import Engine
from tests.lab.registry import BasicRegistry
from tests.lab.web import push_web
from tests.people import ClientOf, allow
from tests.registries.rows import make_registry

Action, State = Deployment.Action, Deployment.State
HEAVY = re.compile(
    r'"applications_application"\."(?:environment|webhook_key|webhook_secret)"'
    r'|"applications_deployment"\."log"|T\d+\."log"|"registries_registry"\."(?:password|token)"'
)


# Projects


def test_a_project_is_made_renamed_and_deleted(client: Client) -> None:
    client.post(address("project_add"), {"name": "Shop", "description": "What customers see"})
    project = Project.objects.get()
    client.post(address("project_edit", project_id=project.pk), {"name": "Store", "description": ""})
    project.refresh_from_db()
    assert (project.name, project.description) == ("Store", "")
    answer = client.post(address("project_delete", project_id=project.pk))
    assert answer["Location"] == address("projects")
    assert not Project.objects.exists()


def test_a_project_with_applications_is_not_deleted_and_they_are_named(
    client: Client, application: Application
) -> None:
    answer = client.post(address("project_delete", project_id=application.project_id))
    assert answer.status_code == 422
    assert "application web" in answer.content.decode()
    assert Project.objects.exists()


def test_the_list_shows_each_application_with_its_states(client: Client, application: Application) -> None:
    serve(application, make_deployment(application, State.FAILED))
    make_look(application, health="unhealthy")
    page = text_of(client, address("projects"))
    for words in ("Shop", "nginx:1.27", "web-1", "Failed", "Unhealthy"):
        assert words in page


def test_projects_and_applications_are_found(client: Client, application: Application) -> None:
    Project.objects.create(organisation=application.organisation, name="Another")
    for query in ("shop", "nginx", "WEB"):
        page = text_of(client, f"{address('projects')}?q={query}")
        assert "Shop" in page
        assert "Another" not in page
    assert "Nothing found" in text_of(client, f"{address('projects')}?q=none+of+them")


def test_of_a_large_project_the_list_shows_the_first_and_leads_to_the_others(
    client: Client, organisation: Organisation, host: Server
) -> None:
    for number in range(22):
        make_application(organisation, server=host, registry=None, image="nginx", name=f"one-{number:02}")
    page = text_of(client, address("projects"))
    assert page.count("Actions for one-") == 20
    assert "one-19" in page
    assert "All applications of Shop" in page
    assert text_of(client, Project.objects.get().get_absolute_url()).count("Actions for one-") == 22


@pytest.mark.parametrize(
    ("numbers", "most"),
    [([], 20), ([20] * 5, 20), ([1] * 19 + [400], 20), ([20] * 20, 5), ([1] * 10 + [20] * 10, 9), ([6] * 20, 5)],
)
def test_small_projects_leave_room_to_large_ones(numbers: list[int], most: int) -> None:
    assert projects._most_of_each(numbers) == most
    assert sum(min(number, most) for number in numbers) <= projects.MOST_ROWS


def test_many_large_projects_show_fewer_of_each(
    client: Client, organisation: Organisation, host: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects, "MOST_ROWS", 5)
    for project, number in (("Large", 4), ("Other", 4), ("Small", 1)):
        row = Project.objects.create(organisation=organisation, name=project)
        names = [f"{project.lower()}-{place}" for place in range(number)]
        for name in names:
            make_application(organisation, server=host, registry=None, image="nginx", name=name)
        Application.objects.filter(name__in=names).update(project=row)
    page = text_of(client, address("projects"))
    assert re.findall(r"Actions for ([a-z0-9-]+)", page) == ["large-0", "large-1", "other-0", "other-1", "small-0"]
    assert re.findall(r"All applications of (\w+)", page) == ["Large", "Other"]


def test_the_list_and_a_project_take_as_many_queries_for_many_as_for_few(
    client: Client, application: Application, organisation: Organisation, host: Server
) -> None:
    pages = (address("projects"), application.project.get_absolute_url(), f"{address('projects')}?q=e")
    serve(application, make_deployment(application))
    make_look(application)
    before = [queries(client, page) for page in pages]
    for number in range(8):
        other = make_application(organisation, server=host, registry=None, image="nginx", name=f"one-{number}")
        serve(other, make_deployment(other))
        make_look(other)
        Project.objects.create(organisation=organisation, name=f"More {number}")
    assert [queries(client, page) for page in pages] == before


def queries(client: Client, page: str) -> int:
    """How many queries the page takes; none of them reads a secret or a log."""
    text_of(client, page)  # the first one writes the session
    with CaptureQueriesContext(connection) as captured:
        text_of(client, page)
    statements = [query["sql"] for query in captured.captured_queries]
    assert not [sql for sql in statements if HEAVY.search(sql)]
    return len(statements)


def test_where_there_is_a_project_the_work_begins_there(client: Client, organisation: Organisation) -> None:
    assert client.get("/acme/")["Location"] == "/acme/settings/registries/"
    Project.objects.create(organisation=organisation, name="Shop")
    assert client.get("/acme/")["Location"] == address("projects")


# An application


def test_its_page_before_the_first_deployment(client: Client, application: Application) -> None:
    page = text_of(client, application.get_absolute_url())
    assert "Never deployed" in page
    assert "docker.io/library/nginx:1.27" in page
    assert "No container yet" in page
    assert ">Stop<" not in page


def test_its_page_takes_as_many_queries_for_a_long_history_as_for_a_short_one(
    client: Client, application: Application
) -> None:
    serve(application, make_deployment(application, digest=DIGEST, asked_by=User.objects.get()))
    before = queries(client, application.get_absolute_url())
    for _ in range(12):
        make_deployment(application, digest=OTHER_DIGEST, asked_by=User.objects.get())
    assert queries(client, application.get_absolute_url()) == before


def test_the_container_is_shown_with_what_fits_its_state(client: Client, application: Application) -> None:
    serve(application, make_deployment(application, digest=DIGEST))
    make_look(application, started_at="2026-03-10T12:00:00.5Z", restarts=2)
    page = text_of(client, application.get_absolute_url())
    for words in (">Running<", "restarted 2 times", "listening on :80", 'value="stop"', 'value="restart"', DIGEST):
        assert words in page
    assert 'value="start"' not in page
    make_look(application, status="exited", exit_code=137, finished_at="2026-03-10T12:00:00Z")
    page = text_of(client, application.get_absolute_url())
    for words in ("Stopped", "exit code 137", 'value="start"'):
        assert words in page
    assert 'value="stop"' not in page


def test_settings_that_changed_since_the_last_deployment_are_said(client: Client, application: Application) -> None:
    serve(application, make_deployment(application))
    assert "Settings changed" not in text_of(client, application.get_absolute_url())
    Application.objects.update(settings_changed_at=timezone.now() + dt.timedelta(seconds=1))
    assert "Settings changed since the last deployment" in text_of(client, application.get_absolute_url())


def test_only_what_another_image_brought_can_be_rolled_back_to(client: Client, application: Application) -> None:
    old = make_deployment(application, digest=OTHER_DIGEST)
    failed = make_deployment(application, State.FAILED, digest="sha256:" + "c" * 64)
    serve(application, make_deployment(application, digest=DIGEST))
    offered = re.findall(
        r'name="deployment" type="hidden" value="(\w+)"', text_of(client, application.get_absolute_url())
    )
    assert offered == [old.pk]
    rollback = address("rollback", application_id=application.pk)
    answer = client.post(rollback, {"deployment": old.pk})
    queued = Deployment.objects.get(state=State.QUEUED)
    assert answer["Location"] == queued.get_absolute_url()
    assert (queued.action, queued.reference) == (Action.ROLLBACK, f"docker.io/library/nginx@{OTHER_DIGEST}")
    assert client.post(rollback, {"deployment": failed.pk}, follow=True).redirect_chain[-1][0] == (
        application.get_absolute_url()
    )


def test_a_deployment_of_another_application_is_not_rolled_back_to(
    client: Client, application: Application, organisation: Organisation, host: Server
) -> None:
    other = make_application(organisation, server=host, registry=None, image="redis", name="other")
    foreign = make_deployment(other, digest=DIGEST)
    answer = client.post(address("rollback", application_id=application.pk), {"deployment": foreign.pk})
    assert answer.status_code == 404


def test_the_history_is_shown_page_by_page(client: Client, application: Application) -> None:
    for _ in range(21):
        make_deployment(application)
    assert "1–20 of 21" in text_of(client, application.get_absolute_url())
    assert "21–21 of 21" in text_of(client, f"{application.get_absolute_url()}?page=2")


def test_who_may_only_see_is_offered_nothing_to_do(bob: User, client_of: ClientOf, application: Application) -> None:
    deployment = make_deployment(application, digest=DIGEST)
    serve(application, deployment)
    make_look(application)
    allow(bob, "applications.view_application")
    client = client_of(bob)
    pages = (application.get_absolute_url(), application.project.get_absolute_url(), deployment.get_absolute_url())
    for page in (*pages, address("projects")):
        main = text_of(client, page).partition("<main")[2]
        for action in ("/deploy/", "/rollback/", "/action/", "/edit/", "/delete/", "/services/add/", "/projects/add/"):
            assert action not in main, page


def test_its_trail_says_that_the_environment_is_another_one_and_no_more(
    client: Client, organisation: Organisation, host: Server
) -> None:
    application = make_application(
        organisation, server=host, registry=None, image="nginx", environment="A=1", environment_names=["A"]
    )
    saving.save_application(application=application, environment="A=marked-value")
    trail = text_of(client, application.get_absolute_url()).partition('id="audit-trail"')[2]
    assert "A new environment" in trail
    assert "marked-value" not in trail


# Deleting


def test_without_a_container_it_is_deleted_at_once(client: Client, application: Application) -> None:
    project = application.project
    answer = client.post(address("delete", application_id=application.pk))
    assert answer["Location"] == project.get_absolute_url()
    assert not Application.objects.exists()


def test_with_a_container_its_removal_is_shown(client: Client, application: Application) -> None:
    serve(application, make_deployment(application))
    answer = client.post(address("delete", application_id=application.pk))
    removal = Deployment.objects.get(state=State.QUEUED)
    assert removal.action == Action.DELETE
    assert answer["Location"] == removal.get_absolute_url()
    assert Application.objects.exists()


def test_the_container_may_stay(client: Client, application: Application) -> None:
    serve(application, make_deployment(application))
    client.post(address("delete", application_id=application.pk), {"leave_container": "on"})
    assert not Application.objects.exists()


def test_it_is_not_deleted_while_it_is_deployed(client: Client, application: Application) -> None:
    make_deployment(application, State.RUNNING)
    answer = client.post(address("delete", application_id=application.pk), {"leave_container": "on"})
    assert answer.status_code == 422
    assert "under way" in answer.content.decode()


# Used by


def test_a_registry_and_a_server_name_their_applications_and_are_not_deleted(
    client: Client, alice: User, organisation: Organisation, host: Server
) -> None:
    registry = make_registry(organisation, alice)
    application = make_application(organisation, server=host, registry=registry, image="web")
    make_deployment(application, State.FAILED)
    for row in (registry, host):
        page = text_of(client, row.get_absolute_url())
        assert f'<a href="{application.get_absolute_url()}">web</a>' in page
        assert 'data-state="failed"' in page
        answer = client.post(f"{row.get_absolute_url()}delete/", follow=True)
        assert "application web" in answer.content.decode()
        row.refresh_from_db()
    assert "1 application<" in text_of(client, reverse("registries:list", args=["acme"]))


def test_applications_are_named_but_not_linked_for_who_may_not_see_them(
    bob: User, alice: User, client_of: ClientOf, organisation: Organisation, host: Server
) -> None:
    registry = make_registry(organisation, alice)
    application = make_application(organisation, server=host, registry=registry, image="web")
    allow(bob, "registries.view_registry")
    assert application.get_absolute_url() not in text_of(client_of(bob), registry.get_absolute_url())


def test_many_applications_of_a_registry_are_counted(
    client: Client, alice: User, organisation: Organisation, host: Server
) -> None:
    registry = make_registry(organisation, alice)
    for number in range(23):
        make_application(organisation, server=host, registry=registry, image="web", name=f"web-{number}")
    assert "and 3 more" in text_of(client, registry.get_absolute_url())


# On a real engine


@pytest.fixture
def real(
    organisation: Organisation,
    server: Server,
    registry: Registry,
    lab_registry: BasicRegistry,
    engine_two: Engine,
    port: int,
) -> Application:
    reference = f"{lab_registry.host}/shop/pages:{port}"
    push_web(engine_two, reference, port=port, marker="one")
    return make_application(organisation, server=server, registry=registry, image=reference)


def test_the_container_is_looked_at_and_stopped(client: Client, real: Application) -> None:
    deployment = deployed(real)
    assert deployment.state == State.SUCCEEDED, deployment.log
    assert deployment.digest in text_of(client, deployment.get_absolute_url())
    assert ">Running<" in look(client, real)
    real.refresh_from_db()
    ran(deploying.ask_for(application=real, action=Action.STOP, asked_by=None))
    card = look(client, real)
    assert "Stopped" in card
    assert 'value="start"' in card


def look(client: Client, application: Application) -> str:
    """The container's card after a look as a worker takes it."""
    answer = client.post(address("look", application_id=application.pk), headers=HTMX).content.decode()
    found = re.search(r'hx-get="([^"?]+)\?seen=', answer)
    assert found, answer
    looking.run(ContainerLook.objects.order_by("-created_at")[0].pk)
    card = text_of(client, found[1], headers=HTMX)
    assert 'hx-trigger="load, again"' not in card
    return card


def test_without_htmx_a_look_leads_back_to_the_page(client: Client, application: Application) -> None:
    serve(application, make_deployment(application))
    answer = client.post(address("look", application_id=application.pk))
    assert answer["Location"] == application.get_absolute_url()
    page = text_of(client, application.get_absolute_url())
    assert "Looking" in page
    assert 'http-equiv="refresh"' in page
