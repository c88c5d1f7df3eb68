"""What a deployment that did not come to its end left on a server is put right, now or later."""

import datetime as dt
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.utils import timezone

from applications import container, containers, journal, recovery, sweeping, tasks
from applications.models import Application, Deployment
from organisations.models import Organisation, User
from registries.models import Registry, TokenRefresh
from servers import docker, engine, ladder, ssh
from servers.models import Server
from tests.applications.rows import deployed, make_application, ran
from tests.lab import sshd
from tests.lab.engine import Engine
from tests.lab.fixtures import NewFolder
from tests.lab.registry import BasicRegistry
from tests.lab.web import DEAF, answer_of, containers_on, push_web
from tests.registries.rows import lab_server

Action, State = Deployment.Action, Deployment.State
SLEEPS = ["sleep", "3600"]


@pytest.fixture
def image(lab_registry: BasicRegistry, engine_two: Engine, port: int) -> str:
    reference = f"{lab_registry.host}/shop/web:{port}"
    push_web(engine_two, reference, port=port, marker="old", command=DEAF.format(port=port))
    return reference


@pytest.fixture
def application(
    organisation: Organisation, server: Server, registry: Registry, image: str, engine_one: Engine
) -> Application:
    application = make_application(organisation, server=server, registry=registry, image=image)
    assert deployed(application).state == State.SUCCEEDED
    application.refresh_from_db()
    return application


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.run_deployment, "delay", lambda _id: None)


def put_back(deployment: Deployment) -> bool:
    """As the worker does that has it in hand still."""
    Deployment.objects.filter(pk=deployment.pk).update(state=State.RUNNING)
    return recovery.put_back(deployment, say=lambda _line: None)


def lost(application: Application, *, replaces: list[dict[str, Any]] | None = None) -> Deployment:
    """The row of a deployment whose worker died."""
    return Deployment.objects.create(
        organisation=application.organisation,
        application=application,
        server=application.server,
        server_name=application.server.name,
        container_name=application.container_name,
        reference=application.image,
        state=State.LOST,
        to_tidy=True,
        replaces=replaces or [],
        finished_at=timezone.now(),
    )


def make_container(application: Application, deployment: Deployment, *, name: str, runs: bool = True) -> str:
    """A container as that deployment would have made it."""
    with engine.connect(docker.host_of(application.server), deadline=30) as daemon:
        body = container.creation(application, deployment, image=application.image, environment={})
        made = containers.create(daemon, name=name, body=body | {"Cmd": SLEEPS})
        if runs:
            containers.start(daemon, made)
    return made


def test_the_old_one_runs_again_and_the_new_one_goes(application: Application, engine_one: Engine, port: int) -> None:
    assert application.serving
    deployment = lost(application, replaces=[{"id": application.serving.container_id, "ran": True}])
    make_container(application, deployment, name="web.new")
    engine_one.docker("stop", "--time=1", "web")
    assert put_back(deployment)
    assert containers_on(engine_one) == {"web": "running"}
    assert answer_of(port) == "old"
    assert put_back(deployment)  # twice does no harm
    assert containers_on(engine_one) == {"web": "running"}


def test_a_stop_that_goes_on_without_the_worker_is_outlasted(
    application: Application, engine_one: Engine, port: int
) -> None:
    """Docker was asked to stop the old one, which is deaf to that, and the worker died: it still runs for a moment."""
    application.stop_seconds = 3
    application.save()
    assert application.serving
    deployment = lost(application, replaces=[{"id": application.serving.container_id, "ran": True}])
    deployment.rungs = [ladder.new_rung("start", "Start") | {"state": "failed"}]
    with ThreadPoolExecutor() as threads:
        stopping = threads.submit(engine_one.docker, "stop", "--time=3", "web")
        time.sleep(0.5)
        assert containers_on(engine_one) == {"web": "running"}
        assert recovery.put_back(deployment, say=lambda _line: None) is False  # a lost row is not this worker's
        with engine.connect(docker.host_of(application.server), deadline=30) as daemon:
            recovery.restore(daemon, deployment, say=lambda _line: None)
        stopping.result()
    assert containers_on(engine_one) == {"web": "running"}
    assert answer_of(port) == "old"


def test_what_was_stopped_before_stays_stopped(application: Application, engine_one: Engine) -> None:
    assert application.serving
    engine_one.docker("stop", "--time=1", "web")
    deployment = lost(application, replaces=[{"id": application.serving.container_id, "ran": False}])
    make_container(application, deployment, name="web.new")
    assert put_back(deployment)
    assert containers_on(engine_one) == {"web": "exited"}


def test_a_new_one_that_had_taken_over_stays(application: Application, engine_one: Engine) -> None:
    assert application.serving
    deployment = lost(application, replaces=[{"id": application.serving.container_id, "ran": True}])
    make_container(application, deployment, name="web.new")
    engine_one.docker("rm", "--force", "web")
    assert put_back(deployment)
    assert containers_on(engine_one) == {"web": "running"}
    application.refresh_from_db()
    assert application.serving == deployment


def test_the_sweep_has_it_put_right_and_forgets_that_it_did(application: Application, engine_one: Engine) -> None:
    deployment = lost(application)
    make_container(application, deployment, name="web.new")
    sweeping.sweep()
    sweeping.sweep()
    tidying = Deployment.objects.get(action=Action.TIDY)
    assert ran(tidying).state == State.SUCCEEDED, tidying.log
    assert containers_on(engine_one) == {"web": "running"}
    deployment.refresh_from_db()
    assert not deployment.to_tidy
    Deployment.objects.filter(pk=tidying.pk).update(finished_at=timezone.now() - dt.timedelta(minutes=2))
    sweeping.sweep()
    assert not Deployment.objects.filter(action=Action.TIDY).exists()


def test_the_next_deployment_puts_it_right_first(application: Application, engine_one: Engine) -> None:
    deployment = lost(application)
    make_container(application, deployment, name="web.new")
    second = deployed(application)
    assert second.state == State.SUCCEEDED, second.log
    assert "Putting right what the deployment of" in second.log
    assert containers_on(engine_one) == {"web": "running"}


@pytest.fixture
def away(
    organisation: Organisation, engine_one: Engine, new_folder: NewFolder, settings: Any
) -> Iterator[tuple[sshd.Server, Server]]:
    """A machine of the test's own, to be taken away, and its row."""
    settings.DOKREG_ALLOW_LOOPBACK = True
    with sshd.Server(new_folder(), engine_one) as machine:
        yield machine, lab_server(organisation, machine, name="away")


def test_a_server_that_is_away_is_put_right_once_it_is_back(
    application: Application, away: tuple[sshd.Server, Server], image: str, engine_one: Engine, engine_two: Engine,
    port: int, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    machine, row = away
    Application.objects.update(server=row, settle_seconds=1)
    Deployment.objects.update(server=row)
    push_web(engine_two, image, port=port, marker="new")
    monkeypatch.setattr(recovery, "PAUSES", (0.0,))
    looked = containers.inspect

    def lose_the_machine(daemon: Any, name: str) -> Any:
        found = looked(daemon, name)
        if len(name) == 64 and machine.running:
            machine.cut_connections()
            machine.stop()
        return found

    monkeypatch.setattr(containers, "inspect", lose_the_machine)
    failed = deployed(Application.objects.get())
    assert (failed.state, failed.to_tidy) == (State.FAILED, True)
    assert answer_of(port) == "new"  # which never proved that it holds
    machine.start()
    ssh.close_all()  # as if a while had passed: who has just failed to connect is not tried again at once
    sweeping.sweep()
    tidying = Deployment.objects.get(action=Action.TIDY)
    assert ran(tidying).state == State.SUCCEEDED, tidying.log
    assert containers_on(engine_one) == {"web": "running"}
    assert answer_of(port) == "old"


def test_an_application_that_was_moved_leaves_its_old_server(
    application: Application, other_server: Server, engine_one: Engine, engine_two: Engine, port: int
) -> None:
    Application.objects.update(server=other_server, settle_seconds=0)
    engine_one.docker("stop", "--time=1", "web")  # both servers are this machine, whose port it has
    moved = deployed(Application.objects.get())
    assert moved.state == State.SUCCEEDED, moved.log
    assert containers_on(engine_one) == {}
    assert containers_on(engine_two) == {"web": "running"}


def test_a_full_disk_is_named_and_the_old_one_serves_on(
    organisation: Organisation, registry: Registry, image: str, small_engine: Engine, engine_two: Engine,
    new_server: Any, settings: Any, port: int,
) -> None:  # fmt: skip
    settings.DOKREG_ALLOW_LOOPBACK = True
    row = lab_server(organisation, new_server(small_engine), name="small")
    application = make_application(organisation, server=row, registry=registry, image=image)
    assert deployed(application).state == State.SUCCEEDED
    push_web(engine_two, image, port=port, marker="new", padding=30_000_000)
    failed = deployed(application)
    assert (failed.state, failed.verdict) == (State.FAILED, "no_space"), failed.log
    assert answer_of(port) == "old"
    assert containers_on(small_engine) == {"web": "running"}


def test_a_token_about_to_end_is_minted_anew_first(organisation: Organisation, server: Server, ecr: Registry) -> None:
    before = ecr.token
    soon, long_ago = timezone.now() + dt.timedelta(minutes=1), timezone.now() - dt.timedelta(hours=11)
    Registry.objects.filter(pk=ecr.pk).update(token_issued_at=long_ago, token_expires_at=soon)
    application = make_application(organisation, server=server, registry=ecr, image="shop/web:1")
    deployment = deployed(application)
    ecr.refresh_from_db()
    assert ecr.token != before
    assert TokenRefresh.objects.filter(registry=ecr, reason=TokenRefresh.Reason.NEEDED).count() == 1
    states = {rung["name"]: rung["state"] for rung in deployment.rungs}
    assert (states["token"], states["login"], states["pull"]) == ("passed", "passed", "failed")  # there is no image


def test_start_stop_and_remove(application: Application, alice: User, engine_one: Engine, port: int) -> None:
    from applications import deploying, looking
    from applications.models import ContainerLook

    def act(action: str) -> Deployment:
        application.refresh_from_db()
        return ran(deploying.ask_for(application=application, action=action, asked_by=alice))

    assert act(Action.STOP).state == State.SUCCEEDED
    assert containers_on(engine_one) == {"web": "exited"}
    assert act(Action.START).state == State.SUCCEEDED
    assert act(Action.RESTART).state == State.SUCCEEDED
    assert answer_of(port) == "old"
    look = looking.ask(application=application, asked_by=alice)
    looking.run(look.pk)
    look.refresh_from_db()
    assert (look.state, look.answer["status"], look.answer["restarts"]) == (ContainerLook.State.PASSED, "running", 0)
    assert act(Action.REMOVE).state == State.SUCCEEDED
    assert containers_on(engine_one) == {}
    application.refresh_from_db()
    assert application.serving is None


def test_deleting_removes_the_container_first(application: Application, alice: User, engine_one: Engine) -> None:
    from applications import saving

    deployment = saving.delete_application(application=application, leave_container=False, by=alice)
    assert deployment is not None
    from applications import deploy

    deploy.run(deployment.pk)
    assert containers_on(engine_one) == {}
    assert not Application.objects.exists()


def test_a_worker_that_was_taken_for_dead_leaves_everything_to_the_others(
    application: Application, image: str, engine_one: Engine, engine_two: Engine, port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    push_web(engine_two, image, port=port, marker="new")
    Application.objects.update(settle_seconds=30)
    looked = containers.inspect

    def be_swept(daemon: Any, name: str) -> Any:
        found = looked(daemon, name)
        if len(name) == 64:
            Deployment.objects.filter(state=State.RUNNING).update(state=State.LOST, finished_at=timezone.now())
            monkeypatch.setattr(journal, "SECONDS_BETWEEN_BEATS", 0)
        return found

    monkeypatch.setattr(containers, "inspect", be_swept)
    deployment = deployed(Application.objects.get())
    assert (deployment.state, deployment.to_tidy) == (State.LOST, True)
    assert containers_on(engine_one) == {"web": "exited", container.temporary_name(deployment): "running"}
    sweeping.sweep()
    assert ran(Deployment.objects.get(action=Action.TIDY)).state == State.SUCCEEDED
    assert containers_on(engine_one) == {"web": "running"}
    assert answer_of(port) == "old"
