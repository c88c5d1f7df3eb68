"""What an application means for the registry that it pulls with."""

import pytest

from applications.models import Application
from organisations.models import Organisation, User
from registries import rotations, saving, tasks
from registries.models import Registry, RegistryTest
from servers.models import Server
from tests.applications.rows import make_application
from tests.registries.rows import make_registry
from tests.servers.rows import make_server


@pytest.fixture
def registry(organisation: Organisation, alice: User) -> Registry:
    return make_registry(organisation, alice)


@pytest.fixture
def web(organisation: Organisation) -> Server:
    return make_server(organisation)


@pytest.fixture
def application(organisation: Organisation, registry: Registry, web: Server) -> Application:
    return make_application(organisation, server=web, registry=registry, image="shop:1")


def test_new_credentials_are_tried_where_applications_pull_with_the_old_ones(
    application: Application, registry: Registry, web: Server, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.prepare_rotation, "delay", lambda _id: None)
    rotation = saving.save_registry(registry=registry, password="the new one", by=alice)
    assert rotation is not None
    rotations.prepare(rotation.pk)
    assert [test.server for test in RegistryTest.objects.filter(rotation=rotation)] == [web]
    registry.refresh_from_db()
    assert registry.open_password() == "s3cret"


def test_the_form_says_how_many_pull_with_it(application: Application, registry: Registry) -> None:
    assert rotations.dependents(registry) == ["1 application pulls with it."]


def test_without_an_application_they_are_saved_at_once(registry: Registry, alice: User) -> None:
    assert saving.save_registry(registry=registry, password="the new one", by=alice) is None
    assert rotations.dependents(registry) == []
