"""Deployments on a real engine, over real SSH, from a real private registry."""

import pytest

from applications import deploying
from applications.models import Application, Deployment
from organisations.models import Organisation
from registries.models import Registry
from servers.models import Server
from tests.applications.rows import deployed, make_application, ran
from tests.lab.engine import Engine
from tests.lab.registry import BasicRegistry
from tests.lab.web import answer_of, containers_on, push_web

State = Deployment.State


@pytest.fixture
def image(lab_registry: BasicRegistry, engine_two: Engine, port: int) -> str:
    """The reference of an image that answers "one"."""
    reference = f"{lab_registry.host}/shop/web:{port}"
    push_web(engine_two, reference, port=port, marker="one")
    return reference


@pytest.fixture
def application(organisation: Organisation, server: Server, registry: Registry, image: str) -> Application:
    return make_application(organisation, server=server, registry=registry, image=image)


def test_it_pulls_runs_and_answers(application: Application, engine_one: Engine, port: int) -> None:
    deployment = deployed(application)
    assert deployment.state == State.SUCCEEDED, (deployment.rungs, deployment.log)
    assert [rung["state"] for rung in deployment.rungs] == ["passed"] * 8
    assert answer_of(port) == "one"
    assert containers_on(engine_one) == {"web": "running"}
    application.refresh_from_db()
    assert application.serving == deployment
    assert deployment.digest.startswith("sha256:")
    assert deployment.progress["layers"] == deployment.progress["layers_done"] == 1


def test_the_same_tag_with_new_content_really_runs_the_new_content(
    application: Application, image: str, engine_one: Engine, engine_two: Engine, port: int
) -> None:
    first = deployed(application)
    digest = push_web(engine_two, image, port=port, marker="two")
    second = deployed(application)
    assert second.state == State.SUCCEEDED, (second.rungs, second.log)
    assert answer_of(port) == "two"
    assert second.digest == digest != first.digest
    assert containers_on(engine_one) == {"web": "running"}


def test_rolling_back_runs_the_earlier_image(
    application: Application, image: str, lab_registry: BasicRegistry, engine_two: Engine, port: int
) -> None:
    first = deployed(application)
    push_web(engine_two, image, port=port, marker="two")
    deployed(application)
    back = ran(deploying.ask_for_rollback(application=application, to=first, asked_by=None))
    assert back.state == State.SUCCEEDED, (back.rungs, back.log)
    assert back.digest == first.digest
    assert answer_of(port) == "one"
