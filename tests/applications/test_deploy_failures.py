"""A deployment that fails, wherever it fails: what ran before runs on, and nothing is left behind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from applications import container, containers, deploying
from applications.models import Application, Deployment
from organisations.models import Organisation, User
from registries.models import Registry
from servers.models import Server
from tests.applications.rows import deployed, make_application, ran
from tests.lab import sshd
from tests.lab.engine import Engine
from tests.lab.registry import BasicRegistry
from tests.lab.web import answer_of, containers_on, push_web

State = Deployment.State
FOREVER = '["/bin/busybox", "sleep", "3600"]'


@pytest.fixture
def image(lab_registry: BasicRegistry, engine_two: Engine, port: int) -> str:
    reference = f"{lab_registry.host}/shop/web:{port}"
    push_web(engine_two, reference, port=port, marker="old")
    return reference


@pytest.fixture
def application(
    organisation: Organisation, server: Server, registry: Registry, image: str, engine_one: Engine
) -> Application:
    """With a container that serves."""
    application = make_application(organisation, server=server, registry=registry, image=image)
    assert deployed(application).state == State.SUCCEEDED
    application.refresh_from_db()
    return application


@pytest.fixture(autouse=True)
def _nothing_left_behind(server: Server, engine_one: Engine, server_one: sshd.Server) -> Iterator[None]:
    yield
    assert not list(Path("/dev/shm").glob("dokreg.*"))
    assert not list(Path("/tmp").glob("dokreg.*"))
    assert not (server_one.home / ".docker" / "config.json").exists()


def failed_at(deployment: Deployment) -> tuple[str, str]:
    """The rung and the verdict."""
    assert deployment.state == State.FAILED, deployment.log
    return next(rung["name"] for rung in deployment.rungs if rung["state"] == "failed"), deployment.verdict


def assert_old_serves(engine: Engine, port: int) -> None:
    assert containers_on(engine) == {"web": "running"}
    assert answer_of(port) == "old"


def test_at_login(application: Application, registry: Registry, engine_one: Engine, port: int) -> None:
    registry.password = "not the password"
    registry.save()
    assert failed_at(deployed(application)) == ("login", "unauthorized")
    assert_old_serves(engine_one, port)


def test_at_pull_because_the_tag_is_missing(application: Application, engine_one: Engine, port: int) -> None:
    Application.objects.update(image=application.image.replace(str(port), "no-such-tag"))
    application.refresh_from_db()
    deployment = deployed(application)
    assert failed_at(deployment)[0] == "pull"
    assert "manifest unknown" in deployment.rungs[4]["words"]
    assert_old_serves(engine_one, port)


def test_a_stale_image_is_never_started_when_the_pull_fails(
    application: Application, registry: Registry, image: str, engine_one: Engine, lab_registry: BasicRegistry, port: int
) -> None:
    assert engine_one.has_image(image)
    lab_registry.stop()
    try:
        deployment = deployed(application)
    finally:
        lab_registry.start()
    assert failed_at(deployment)[0] == "login"
    assert deployment.digest == ""
    assert_old_serves(engine_one, port)


def test_at_start(application: Application, image: str, engine_one: Engine, engine_two: Engine, port: int) -> None:
    push_web(engine_two, image, port=port, marker="new", command='["/no/such/command"]')
    deployment = deployed(application)
    assert failed_at(deployment) == ("start", "command_missing")
    assert_old_serves(engine_one, port)
    assert "again, which ran before" in deployment.log
    assert not deployment.to_tidy


def test_because_it_ends_at_once(
    application: Application, image: str, engine_one: Engine, engine_two: Engine, port: int
) -> None:
    command = '["/bin/busybox", "sh", "-c", "echo the database is missing; exit 3"]'
    push_web(engine_two, image, port=port, marker="new", command=command)
    Application.objects.update(settle_seconds=2)
    deployment = deployed(application)
    assert failed_at(deployment) == ("up", "exited")
    assert "the database is missing" in deployment.rungs[6]["words"]
    assert_old_serves(engine_one, port)


def test_because_it_is_unhealthy(
    application: Application, image: str, engine_one: Engine, engine_two: Engine, port: int
) -> None:
    push_web(engine_two, image, port=port, marker="new")
    health = {"health_command": "echo not yet; exit 1", "health_interval_seconds": 1, "health_retries": 2}
    Application.objects.update(**health)
    deployment = deployed(application)
    assert failed_at(deployment) == ("up", "unhealthy")
    assert "not yet" in deployment.rungs[6]["cause"]
    assert_old_serves(engine_one, port)


def test_a_health_check_that_holds_is_waited_for(
    application: Application, image: str, engine_one: Engine, engine_two: Engine, port: int
) -> None:
    push_web(engine_two, image, port=port, marker="new")
    Application.objects.update(health_command="cat /etc/marker", health_interval_seconds=1)
    deployment = deployed(application)
    assert deployment.state == State.SUCCEEDED, deployment.log
    assert "The new container is healthy" in deployment.log
    assert answer_of(port) == "new"


def test_because_somebody_elses_container_has_its_name(
    application: Application, organisation: Organisation, server: Server, engine_one: Engine, image: str, port: int
) -> None:
    engine_one.docker("run", "--detach", "--network=none", "--name=shop", image, "/bin/busybox", "sleep", "3600")
    Application.objects.update(container_name="shop")
    application.refresh_from_db()
    assert failed_at(deployed(application)) == ("start", "name_taken")
    assert containers_on(engine_one) == {"web": "running", "shop": "running"}
    assert answer_of(port) == "old"


def test_cancelled_while_it_waits_for_health(
    application: Application,
    image: str,
    alice: User,
    engine_one: Engine,
    engine_two: Engine,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    push_web(engine_two, image, port=port, marker="new")
    Application.objects.update(health_command="exit 1", health_interval_seconds=60)
    deployment = deploying.ask(application=application, asked_by=alice)
    looked = containers.inspect

    def cancel_when_it_runs(daemon: Any, name: str) -> Any:
        found = looked(daemon, name)
        if found is not None and found["State"]["Status"] == "running" and len(name) == 64:
            deploying.cancel(deployment=deployment, by=alice)
        return found

    monkeypatch.setattr(containers, "inspect", cancel_when_it_runs)
    ran(deployment)
    assert deployment.state == State.CANCELLED, deployment.log
    assert deployment.rungs[6]["cause"] == "alice cancelled it."
    assert_old_serves(engine_one, port)


def test_because_the_connection_is_cut_while_it_waits(
    application: Application,
    image: str,
    engine_one: Engine,
    engine_two: Engine,
    server_one: sshd.Server,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    push_web(engine_two, image, port=port, marker="new")
    looked = containers.inspect
    cuts = iter([True])

    def cut_once_it_runs(daemon: Any, name: str) -> Any:
        found = looked(daemon, name)
        if found is not None and found["State"]["Status"] == "running" and len(name) == 64 and next(cuts, False):
            server_one.cut_connections()
        return found

    monkeypatch.setattr(containers, "inspect", cut_once_it_runs)
    Application.objects.update(settle_seconds=1)
    deployment = deployed(application)
    assert failed_at(deployment) == ("up", "connection_lost")
    assert not deployment.to_tidy
    assert_old_serves(engine_one, port)


def test_two_that_do_not_need_the_same_ports_run_side_by_side_until_the_new_one_holds(
    organisation: Organisation,
    server: Server,
    registry: Registry,
    image: str,
    engine_one: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    application = make_application(
        organisation, server=server, registry=registry, image=image, network="none", command=["sleep", "3600"]
    )
    deployed(application)
    seen: list[dict[str, str]] = []
    looked = containers.wait_until_up

    def look(*args: Any, **kwargs: Any) -> None:
        seen.append(containers_on(engine_one))
        looked(*args, **kwargs)

    monkeypatch.setattr(containers, "wait_until_up", look)
    second = deployed(application)
    assert second.state == State.SUCCEEDED, second.log
    assert seen == [{"web": "running", container.temporary_name(second): "running"}]
    assert containers_on(engine_one) == {"web": "running"}
