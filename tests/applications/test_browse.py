"""Picking repository and tag from what the registry really has."""

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from applications import browsing, pull_references
from applications.models import Project
from organisations.models import Organisation, User
from registries import catalog
from registries import tasks as registry_tasks
from registries.models import CatalogLook, Registry
from servers.models import Server
from tests.lab.engine import Engine
from tests.lab.registry import BasicRegistry
from tests.lab.web import push_web
from tests.people import ClientOf


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_tasks.run_catalog_look, "delay", lambda _id: None)


@pytest.fixture
def pushed(lab_registry: BasicRegistry, engine_two: Engine, port: int) -> str:
    """The path of a repository with two tags."""
    for tag in ("1.0", "1.1"):
        push_web(engine_two, f"{lab_registry.host}/acme/shop-{port}:{tag}", port=port, marker=tag)
    return f"acme/shop-{port}"


@pytest.fixture
def project(organisation: Organisation) -> Project:
    return Project.objects.create(organisation=organisation, name="Shop")


@pytest.fixture
def client(alice: User, client_of: ClientOf) -> Client:
    return client_of(alice)


def looked(organisation: Organisation, by: User, **values: Any) -> CatalogLook:
    look = browsing.ask(organisation=organisation, asked_by=by, **values)
    catalog.run(look.pk)
    look.refresh_from_db()
    return look


def add_page(project: Project) -> str:
    return reverse("applications:add", kwargs={"organisation": "acme", "project_id": project.pk})


def test_an_image_that_is_named_leads_to_its_tags(
    organisation: Organisation, alice: User, server: Server, registry: Registry, pushed: str
) -> None:
    look = looked(organisation, alice, registry=registry, server=server, image=f"{pushed}:1.0")
    tags = browsing.tags_of(look)
    assert {tag.name for tag in tags} == {"1.0", "1.1"}
    one = next(tag for tag in tags if tag.name == "1.0")
    assert one.size
    assert one.image == f"{pushed}:1.0"
    assert one.pinned == f"{pushed}@{one.digest}"
    assert [tag.name for tag in browsing.tags_of(look, query=".1")] == ["1.1"]


def test_nothing_named_leads_to_the_repositories(
    organisation: Organisation, alice: User, server: Server, registry: Registry, pushed: str
) -> None:
    look = looked(organisation, alice, registry=registry, server=server, image="")
    assert pushed in [repository.path for repository in browsing.repositories_of(look)]


def test_what_is_picked_composes_to_what_was_found(
    organisation: Organisation, alice: User, server: Server, registry: Registry, pushed: str
) -> None:
    Registry.objects.update(image_prefix="acme")
    registry.refresh_from_db()
    look = looked(organisation, alice, registry=registry, server=server, image=f"{pushed.removeprefix('acme/')}:1.0")
    tag = next(tag for tag in browsing.tags_of(look) if tag.name == "1.1")
    assert tag.image == f"{pushed.removeprefix('acme/')}:1.1"
    assert pull_references.compose(registry=registry, image=tag.image).path == pushed


def test_with_a_prefix_the_repositories_below_it_are_listed(
    organisation: Organisation, alice: User, server: Server, registry: Registry, pushed: str
) -> None:
    Registry.objects.update(image_prefix="acme")
    registry.refresh_from_db()
    look = looked(organisation, alice, registry=registry, server=server, image="")
    choices = browsing.repositories_of(look)
    assert all(choice.path.startswith("acme/") for choice in choices)
    assert pushed.removeprefix("acme/") in [choice.image for choice in choices]


def test_browsing_loses_nothing_that_was_typed_and_saves_nothing(
    client: Client, project: Project, server: Server, registry: Registry, pushed: str
) -> None:
    typed = {"name": "web", "registry": registry.pk, "server": server.pk, "image": pushed, "environment": "A=typed"}
    answer = client.post(add_page(project), typed | {"browse": "1"})
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "A=typed" in page
    assert 'data-state="running"' in page
    look = CatalogLook.objects.get()
    catalog.run(look.pk)
    shown = client.post(add_page(project), typed | {"look": look.pk}).content.decode()
    assert f'value="{pushed}:1.1"' in shown
    picked = client.post(add_page(project), typed | {"picked_image": f"{pushed}:1.1"}).content.decode()
    field = re.search(r'<input[^>]*id="id_image"[^>]*>', picked)
    assert field
    assert f'value="{pushed}:1.1"' in html.unescape(field[0])
    assert not project.applications.exists()


def test_why_nothing_is_listed_is_said(
    client: Client, organisation: Organisation, alice: User, server: Server, registry: Registry
) -> None:
    registry.password = "not the password"
    registry.save()
    look = looked(organisation, alice, registry=registry, server=server, image="")
    address = reverse("applications:browse_look", kwargs={"organisation": "acme", "look_id": look.pk})
    page = client.get(address).content.decode()
    assert look.failing_rung
    assert html.escape(look.failing_rung["cause"]) in page
    assert "Or type the name." in page
    assert "not the password" not in page


def test_a_look_is_shown_to_who_asked_for_it_alone(
    organisation: Organisation, alice: User, bob: User, client_of: ClientOf, registry: Registry
) -> None:
    look = browsing.ask(organisation=organisation, registry=registry, server=None, image="", asked_by=alice)
    address = reverse("applications:browse_look", kwargs={"organisation": "acme", "look_id": look.pk})
    assert client_of(bob).get(address).status_code == 404
    assert client_of(alice).get(address).status_code == 200


def test_whoever_may_not_use_registries_browses_none(
    bob: User, client_of: ClientOf, project: Project, registry: Registry
) -> None:
    from tests.people import allow

    allow(bob, "applications.add_application")
    client_of(bob).post(add_page(project), {"registry": registry.pk, "image": "", "browse": "1"})
    assert CatalogLook.objects.get().registry is None
