"""Picking repository and tag from the registry, in the form of an application."""

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from applications import browsing, pull_references
from applications.models import Application, Project
from organisations.models import Organisation, User
from registries import catalog
from registries.models import CatalogLook, Registry
from registries.references import Reference
from servers.models import Server
from tests.applications.page_rows import HTMX, address
from tests.applications.rows import make_application
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE
from tests.lab.registry import BasicRegistry, BearerRegistry
from tests.lab.tokens import EVERYTHING
from tests.people import ClientOf, allow
from tests.registries.rows import make_registry

DIGEST = "sha256:" + "a" * 64
MARKED = "marked-value-of-the-environment"
PASSWORD = "s3cret-that-is-shown-nowhere"
PICK = "applications.add_application"


@pytest.fixture
def project(organisation: Organisation) -> Project:
    return Project.objects.create(organisation=organisation, name="Shop")


@pytest.fixture
def images(organisation: Organisation, alice: User) -> Registry:
    return make_registry(organisation, alice, "Images", image_prefix="acme", password=PASSWORD)


@pytest.fixture(scope="module")
def pushed(engine_one: Engine, lab_registry: BasicRegistry, bearer_registry: BearerRegistry) -> None:
    for registry in (lab_registry, bearer_registry):
        for name in ("browse/web:1.0", "browse/web:1.1", "browse/worker:latest"):
            reference = f"{registry.host}/{name}"
            engine_one.import_image(reference, marker=name)
            engine_one.push(reference, ALICE)
            engine_one.remove_image(reference)


@pytest.fixture(params=["basic", "bearer"])
def asked(
    request: pytest.FixtureRequest,
    organisation: Organisation,
    alice: User,
    lab_registry: BasicRegistry,
    bearer_registry: BearerRegistry,
    pushed: None,
) -> Iterator[Registry]:
    """A registry of the lab that has something, with each way of asking who one is."""
    host = lab_registry.host if request.param == "basic" else bearer_registry.host
    with bearer_registry.tokens.limited(ALICE.username, {"catalog": frozenset({"*"}), "*": EVERYTHING}):
        yield make_registry(
            organisation,
            alice,
            "Lab",
            url=host,
            image_prefix="browse",
            username=ALICE.username,
            password=ALICE.password,
        )


def browse(client: Client, *, origin: str = "", **values: Any) -> Any:
    return client.post(f"{address('browse')}?{origin}", {"image": "", "registry": "", "server": ""} | values)


def answered(client: Client, look: CatalogLook) -> str:
    """What the dialog shows once a worker has answered."""
    catalog.run(look.pk)
    return client.get(address("browse_look", look_id=look.pk), headers=HTMX).content.decode()


def make_look(organisation: Organisation, by: User, *tags: str, **values: Any) -> CatalogLook:
    """A look at tags that is over."""
    described = [
        {"name": name, "digest": DIGEST, "size": 42_000_000, "created": "2026-01-02T03:04:05+00:00", "platforms": []}
        for name in tags
    ]
    answer = {
        "tags": described,
        "total": len(tags),
        "is_total_exact": True,
        "problem": "",
        "place": "web-1",
        "note": "",
    }
    answer |= values.pop("answer", {})
    values = {"url": "registry.example.com", "repository": "acme/web", "state": "passed"} | values
    return CatalogLook.objects.create(organisation=organisation, asked_by=by, answer=answer, **values)


# On real registries


def test_from_the_repositories_of_a_registry_to_a_tag_that_the_form_takes(
    client: Client, asked: Registry, server: Server
) -> None:
    browse(client, registry=asked.pk, server=server.pk)
    look = CatalogLook.objects.get()
    assert (look.registry, look.server, look.repository) == (asked, server, "")
    page = answered(client, look)
    assert re.findall(r'name="repository" type="submit" value="(.+?)"', page) == ["browse/web", "browse/worker"]

    browse(client, registry=asked.pk, server=server.pk, repository="browse/web")
    page = answered(client, CatalogLook.objects.get(repository="browse/web"))
    picks = re.findall(r'name="picked_image" value="(.+?)"', page)
    composed = [pull_references.compose(registry=asked, image=image) for image in picks]
    assert picks[::2] == ["web:1.1", "web:1.0"]  # without host and prefix, the newest first
    assert {reference.repository for reference in composed} == {f"{asked.url}/browse/web"}
    assert all(reference.digest and not reference.tag for reference in composed[1::2])
    for words in ("linux/amd64", " MB", "just now", "as seen from one", "2 tags, newest first"):
        assert words in page
    assert ALICE.password not in page


def test_an_image_that_is_typed_already_has_its_tags_listed_at_once(
    client: Client, asked: Registry, server: Server
) -> None:
    browse(client, registry=asked.pk, server=server.pk, image="worker")
    look = CatalogLook.objects.get()
    assert look.repository == "browse/worker"
    page = answered(client, look)
    assert "worker:latest" in page
    assert "All repositories" in page


def test_dokregs_own_host_asks_where_no_server_is_chosen(client: Client, asked: Registry, settings: Settings) -> None:
    settings.DOKREG_ALLOW_LOOPBACK = True
    browse(client, registry=asked.pk)
    assert "browse/web" in answered(client, CatalogLook.objects.get())


def test_what_cannot_be_listed_says_why_and_how_to_go_on(
    client: Client, server: Server, lab_registry: BasicRegistry, pushed: None
) -> None:
    browse(client, server=server.pk, image=f"{lab_registry.host}/browse/web")
    look = CatalogLook.objects.get()
    assert (look.registry, look.url, look.repository) == (None, lab_registry.host, "browse/web")
    page = answered(client, look)
    rung = CatalogLook.objects.get().failing_rung
    assert rung
    for words in (rung["cause"], rung["fix"], "can be typed", "All repositories"):
        assert words in html.unescape(page)


# Whom to ask


def test_without_a_registry_the_host_of_the_image_is_asked_as_anybody(client: Client, host: Server) -> None:
    for image, expected in {
        "nginx": ("docker.io", "library/nginx"),
        "ghcr.io/acme/web:1": ("ghcr.io", "acme/web"),
        "quay.io/": ("quay.io", ""),
    }.items():
        browse(client, server=host.pk, image=image)
        assert CatalogLook.objects.filter(registry=None, url=expected[0], repository=expected[1]).exists(), image


@pytest.mark.parametrize(("image", "words"), [("", "No registry is chosen"), ("UPPER/case", "lower case")])
def test_with_nobody_to_ask_it_says_what_is_missing(client: Client, host: Server, image: str, words: str) -> None:
    answer = browse(client, server=host.pk, image=image)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not CatalogLook.objects.exists()


def test_without_a_server_it_says_to_choose_one_where_dokregs_own_host_may_not_be_used(
    client: Client, images: Registry, settings: Settings
) -> None:
    settings.DOKREG_LOCAL_DOCKER = False
    answer = browse(client, registry=images.pk)
    assert answer.status_code == 422
    assert "Choose a server" in answer.content.decode()


def test_what_stands_below_another_host_is_no_repository_of_the_registry(
    client: Client, images: Registry, host: Server
) -> None:
    browse(client, registry=images.pk, server=host.pk, image="ghcr.io/acme/web")
    assert CatalogLook.objects.get().repository == ""


def test_no_secret_goes_out_and_none_is_stored(
    client: Client, images: Registry, project: Project, host: Server
) -> None:
    browse(client, registry=images.pk, server=host.pk, environment=f"TOKEN={MARKED}")
    assert [PASSWORD in str(row) or MARKED in str(row) for row in CatalogLook.objects.values()] == [False]
    shown = browse(client, registry=images.pk, server=host.pk, origin=f"project={project.pk}")
    assert PASSWORD not in shown.content.decode()


# Who may


def test_a_look_is_for_whoever_asked_for_it(
    organisation: Organisation, alice: User, bob: User, client_of: ClientOf
) -> None:
    allow(bob, PICK)
    look = make_look(organisation, alice, "1.0")
    asked_for = address("browse_look", look_id=look.pk)
    assert client_of(alice).get(asked_for, headers=HTMX).status_code == 200
    assert client_of(bob).get(asked_for, headers=HTMX).status_code == 404
    assert browse(client_of(bob), look=look.pk).status_code == 404


def test_a_registry_needs_the_right_to_use_it_unless_the_application_has_it(
    organisation: Organisation, alice: User, bob: User, client_of: ClientOf, host: Server, images: Registry,
) -> None:  # fmt: skip
    allow(bob, "applications.change_application")
    client = client_of(bob)
    application = make_application(organisation, server=host, registry=images, image="web")
    other = make_registry(organisation, alice, "Other", url="ghcr.io")
    own = f"application={application.pk}"
    assert browse(client, registry=images.pk, server=host.pk).status_code == 404
    assert browse(client, registry=other.pk, server=host.pk, origin=own).status_code == 404
    assert browse(client, registry=images.pk, server=host.pk, origin=own).status_code == 200
    assert CatalogLook.objects.get().registry == images


def test_nothing_of_another_organisation_is_asked(
    client: Client, charlie: User, images: Registry, host: Server
) -> None:
    theirs = Organisation.objects.get(slug="elsewhere")
    registry = make_registry(theirs, charlie, "Theirs")
    server = Server.objects.create(organisation=theirs, name="theirs", host="192.0.2.9", ssh_key=host.ssh_key)
    assert browse(client, registry=registry.pk, server=host.pk).status_code == 404
    assert browse(client, registry=images.pk, server=server.pk).status_code == 404
    assert not CatalogLook.objects.exists()


@pytest.mark.parametrize("repository", ["../catalog", "a b", "UPPER", "a/" * 200])
def test_what_cannot_be_a_repository_is_refused(
    client: Client, images: Registry, host: Server, repository: str
) -> None:
    assert browse(client, registry=images.pk, server=host.pk, repository=repository).status_code == 400


# What is shown


def test_a_search_finds_among_what_is_listed_and_asks_nobody(
    client: Client, organisation: Organisation, alice: User
) -> None:
    look = make_look(organisation, alice, "1.27", "1.28", "edge", answer={"total": 1234})
    page = client.get(address("browse_look", look_id=look.pk), headers=HTMX).content.decode()
    assert page.count("<tr>") == 4
    searched = client.get(address("browse_look", look_id=look.pk), {"q": " EDGE "}, headers=HTMX).content.decode()
    assert "edge" in searched
    assert "1.27" not in searched
    assert "1 of the 3 listed" in searched
    nothing = client.get(address("browse_look", look_id=look.pk), {"q": "none"}, headers=HTMX).content.decode()
    assert "Nothing found" in nothing
    assert CatalogLook.objects.count() == 1


@pytest.mark.parametrize(
    ("is_exact", "total", "words"),
    [(True, 2, "2 tags, newest"), (True, 1234, "2 of 1,234 tags"), (False, 20000, "2 of more than 20,000 tags")],
)
def test_how_many_of_how_many(organisation: Organisation, alice: User, is_exact: bool, total: int, words: str) -> None:
    look = make_look(organisation, alice, "1", "2", answer={"total": total, "is_total_exact": is_exact})
    found = browsing.found_by(look)
    assert found
    assert f"{found.counted}, newest".startswith(words)
    assert found.is_complete == (total == 2)


@pytest.mark.parametrize(
    ("paths", "is_complete", "words"),
    [(["acme/web"], True, "1 repository"), (["acme/web", "acme/worker"], False, "The first 2 repositories")],
)
def test_how_many_repositories(
    organisation: Organisation, alice: User, paths: list[str], is_complete: bool, words: str
) -> None:
    answer = {"repositories": paths, "is_complete": is_complete}
    found = browsing.found_by(make_look(organisation, alice, repository="", answer=answer))
    assert found
    assert (found.counted, found.repositories, found.is_complete) == (words, paths, is_complete)


def test_what_is_not_known_of_a_tag_is_left_out(client: Client, organisation: Organisation, alice: User) -> None:
    bare: dict[str, Any] = {"name": "1.0", "digest": "", "size": None, "created": None, "platforms": []}
    look = make_look(organisation, alice, answer={"tags": [bare], "total": 1, "problem": "It was slow."})
    page = client.get(address("browse_look", look_id=look.pk), headers=HTMX).content.decode()
    assert "registry.example.com/acme/web:1.0" in page
    assert "Use this digest" not in page
    assert "It was slow." in page


@pytest.mark.parametrize("state", ["lost", "failed"])
def test_a_look_that_nobody_answered_says_so(
    client: Client, organisation: Organisation, alice: User, state: str
) -> None:
    look = make_look(organisation, alice, state=state)
    CatalogLook.objects.filter(pk=look.pk).update(answer={})
    page = client.get(address("browse_look", look_id=look.pk), headers=HTMX).content.decode()
    assert "Browse once more" in page
    assert "hx-trigger" not in page


def test_it_takes_as_many_queries_for_many_tags_as_for_few(
    client: Client, organisation: Organisation, alice: User, images: Registry
) -> None:
    few = make_look(organisation, alice, "1", registry=images)
    many = make_look(organisation, alice, *map(str, range(50)), registry=images)
    assert queries(client, few) == queries(client, many)


def queries(client: Client, look: CatalogLook) -> int:
    """How many queries it takes; none of them reads a secret."""
    where = address("browse_look", look_id=look.pk)
    client.get(where, headers=HTMX)  # the first one writes the session
    with CaptureQueriesContext(connection) as captured:
        assert client.get(where, headers=HTMX).status_code == 200
    assert not [query for query in captured.captured_queries if '"registries_registry"."password"' in query["sql"]]
    return len(captured)


# Without JavaScript


def test_a_page_of_its_own_carries_what_was_typed_there_and_back(
    client: Client, organisation: Organisation, alice: User, project: Project, host: Server, images: Registry
) -> None:
    look = make_look(organisation, alice, "1.0", registry=images)
    typed = {
        "name": "web",
        "registry": images.pk,
        "server": host.pk,
        "image": "old",
        "environment": f'A="{MARKED}"\nB=2',
    }
    page = browse(client, origin=f"project={project.pk}", look=look.pk, **typed).content.decode()
    form = address("add", project_id=project.pk)
    assert f'formaction="{form}"' in page
    assert "hx-post" not in page.partition("<main")[2]
    carried = {
        name: html.unescape(text)
        for name, text in re.findall(r'<input name="(\w+)" type="hidden" value="(.*?)">', page, re.DOTALL)
    }
    assert carried == typed | {"look": look.pk}

    back = client.post(form, carried | {"picked_image": "web:1.0"})
    assert back.status_code == 200
    values = {name: back.context["form"][name].value() for name in typed}
    assert values == typed | {"image": "web:1.0"}
    assert "/acme/web:1.0" in back.content.decode().replace("<wbr>", "")
    assert not Application.objects.exists()


def test_whoever_goes_back_with_nothing_picked_finds_the_form_as_it_was(
    client: Client, project: Project, host: Server
) -> None:
    back = client.post(address("add", project_id=project.pk), {"name": "web", "picked_image": ""})
    assert back.status_code == 200
    assert back.context["form"]["name"].value() == "web"
    assert not back.context["form"].errors


def test_an_application_that_exists_gets_its_own_form_back(
    client: Client, application: Application, host: Server
) -> None:
    page = browse(client, origin=f"application={application.pk}", server=host.pk, image="nginx").content.decode()
    assert f'formaction="{address("edit", application_id=application.pk)}"' in page
    assert "Look again" in page


def test_a_look_has_no_page_to_itself(client: Client, organisation: Organisation, alice: User) -> None:
    look = make_look(organisation, alice, "1.0")
    assert client.get(address("browse_look", look_id=look.pk))["Location"] == address("projects")


# What one types for a reference


@pytest.mark.parametrize(
    ("host", "prefix", "path", "typed"),
    [
        ("registry.example.com", "", "acme/web", "acme/web:1"),
        ("registry.example.com", "acme", "acme/web", "web:1"),
        ("registry.example.com", "acme", "other/web", "registry.example.com/other/web:1"),
        ("registry.example.com", "acme", "acme/acme/web", "acme/acme/web:1"),
        ("registry.example.com", "group/project", "group/project", "group/project:1"),
        ("registry.example.com", "", "my.team/web", "registry.example.com/my.team/web:1"),
        ("docker.io", "", "library/nginx", "library/nginx:1"),
        (None, "docker.io", "library/nginx", "nginx:1"),
        (None, "docker.io", "acme/web", "acme/web:1"),
        (None, "ghcr.io", "acme/web", "ghcr.io/acme/web:1"),
    ],
)
def test_the_shortest_that_one_can_type(host: str | None, prefix: str, path: str, typed: str) -> None:
    registry = Registry(url=host, image_prefix=prefix) if host else None
    reference = Reference(host or prefix, path, "1")
    assert pull_references.shortest(registry=registry, reference=reference) == typed
    assert pull_references.compose(registry=registry, image=typed) == reference
