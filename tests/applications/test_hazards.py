"""What could go wrong around a deployment and must not: secrets on a wrong way, containers that nobody has any more."""

from collections.abc import Iterator
from typing import Any

import pytest

from applications import container, containers, deploying, polling, recovery, saving, sweeping, tasks
from applications.deploying import CannotDeploy
from applications.models import Application, Deployment
from organisations.models import Organisation, User
from registries.models import Registry
from servers import docker, engine
from servers.engine import Engine as Daemon
from servers.engine import EngineRefused
from servers.models import Server
from tests.applications.rows import deployed, make_application, ran
from tests.applications.test_recovery import lost, make_container
from tests.lab.engine import Engine
from tests.lab.impostors import Answer, HttpImpostor, Request, problem
from tests.lab.registry import BasicRegistry
from tests.lab.web import answer_of, containers_on, push_web
from tests.people import ClientOf, allow
from tests.servers.rows import make_server

Action, State, Reason = Deployment.Action, Deployment.State, Deployment.Reason
FAR = f"sha256:{'a' * 64}"


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.run_deployment, "delay", lambda _id: None)


@pytest.fixture
def image(lab_registry: BasicRegistry, engine_two: Engine, port: int) -> str:
    reference = f"{lab_registry.host}/shop/web:{port}"
    push_web(engine_two, reference, port=port, marker="old")
    return reference


@pytest.fixture
def application(organisation: Organisation, server: Server, registry: Registry, image: str) -> Application:
    application = make_application(organisation, server=server, registry=registry, image=image)
    assert deployed(application).state == State.SUCCEEDED
    application.refresh_from_db()
    return application


class Listener(HttpImpostor):
    """A registry of somebody else, that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(self._listen)
        self.heard: list[Request] = []

    def _listen(self, request: Request) -> Answer:
        self.heard.append(request)
        return problem(401, "UNAUTHORIZED", "who are you?")


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as started:
        yield started


@pytest.mark.parametrize("digest", ["", f"@{FAR}"], ids=["waiting", "rollback"])
def test_a_password_goes_to_no_other_host_than_its_registrys(
    organisation: Organisation, server: Server, registry: Registry, listener: Listener, digest: str
) -> None:
    """The registry is chosen after the deployment of an image elsewhere was asked for."""
    application = make_application(
        organisation, server=server, registry=None, image=f"{listener.host}/shop/web{digest}"
    )
    waiting = deploying.ask(application=application, asked_by=None)
    Application.objects.update(registry=registry)
    ran(waiting)
    assert (waiting.state, waiting.verdict) == (State.FAILED, "other_host"), waiting.log
    assert registry.url in waiting.failing_rung["cause"]  # type: ignore[index]  # it has failed
    assert listener.heard == []


def test_a_rollback_needs_no_registry_while_the_image_is_there(
    application: Application, image: str, lab_registry: BasicRegistry, engine_two: Engine, port: int
) -> None:
    first = application.serving
    assert first is not None
    push_web(engine_two, image, port=port, marker="new")
    deployed(application)
    back = deploying.ask_for_rollback(application=application, to=first, asked_by=None)
    with lab_registry.down():
        ran(back)
    assert back.state == State.SUCCEEDED, (back.rungs, back.log)
    assert answer_of(port) == "old"


def test_what_was_left_on_a_server_is_not_called_tidy_on_another(
    application: Application, server: Server, other_server: Server, engine_one: Engine
) -> None:
    left = lost(application)
    make_container(application, left, name="web.new")
    Application.objects.update(server=other_server)
    engine_one.docker("stop", "--time=1", "web")  # both servers are this machine, whose port it has
    application = Application.objects.get()
    with engine.connect(docker.host_of(other_server), deadline=30) as daemon:
        recovery.tidy_leftovers(daemon, application, other_server, say=lambda _line: None)
    left.refresh_from_db()
    assert left.to_tidy


def test_a_server_that_the_application_has_left_keeps_none_of_its_containers(
    application: Application, other_server: Server, engine_one: Engine
) -> None:
    left = lost(application, replaces=[{"id": application.serving.container_id, "ran": True}])  # type: ignore[union-attr]
    elsewhere = Deployment.objects.create(
        organisation=application.organisation, application=application, server=other_server, state=State.SUCCEEDED
    )
    Application.objects.update(server=other_server, serving=elsewhere)
    sweeping.sweep()
    assert ran(Deployment.objects.get(action=Action.TIDY)).state == State.SUCCEEDED
    assert containers_on(engine_one) == {}
    left.refresh_from_db()
    assert not left.to_tidy


def test_a_first_container_that_has_its_name_stays_whoever_was_killed(
    application: Application, server: Server, engine_one: Engine
) -> None:
    """The row was swept as lost after the switch: nothing had been there before, or it was on another server."""
    assert application.serving
    Deployment.objects.update(state=State.LOST, to_tidy=True, replaces=[])
    Application.objects.update(serving=None)
    with engine.connect(docker.host_of(server), deadline=30) as daemon:
        recovery.restore(daemon, Deployment.objects.get(), say=lambda _line: None)
    assert containers_on(engine_one) == {"web": "running"}
    assert Application.objects.get().serving is not None


def test_an_old_one_that_docker_does_not_let_go_of_costs_nothing(
    application: Application, image: str, engine_one: Engine, engine_two: Engine, port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    push_web(engine_two, image, port=port, marker="new")

    def refuse(_daemon: Daemon, _container: str) -> None:
        raise EngineRefused(500, "device or resource busy")

    monkeypatch.setattr(containers, "remove", refuse)
    second = deployed(application)
    monkeypatch.undo()
    assert (second.state, second.verdict) == (State.SUCCEEDED, "old_not_removed")
    assert answer_of(port) == "new"
    monkeypatch.setattr(tasks.run_deployment, "delay", lambda _id: None)
    third = deployed(Application.objects.get())
    assert third.verdict == "", third.log
    assert containers_on(engine_one) == {"web": "running"}


def test_two_never_write_to_one_volume_unless_somebody_says_so(organisation: Organisation) -> None:
    volume = {"source": "data", "target": "/data", "read_only": False}
    database = make_application(
        organisation,
        server=make_server(organisation),
        registry=None,
        image="postgres",
        network="none",
        volumes=[volume],
    )
    assert not container.starts_beside(database)
    database.volumes = [volume | {"read_only": True}]
    assert container.starts_beside(database)
    database.volumes, database.order = [volume], Application.Order.START_FIRST
    assert container.starts_beside(database)


def test_a_health_check_that_prints_a_secret_shows_none(application: Application) -> None:
    secret = "postgres://shop:s3cr3t-of-the-database@db/shop"
    application.environment = f"DATABASE_URL={secret}"
    application.health_command = f'echo "{"x" * 180} $DATABASE_URL"; exit 1'
    application.health_interval_seconds = application.health_retries = 1
    application.save()
    deployment = deployed(application)
    assert deployment.verdict == "unhealthy", deployment.log
    assert "s3cr3t" not in str(deployment.rungs) + deployment.log
    assert "********" in str(deployment.rungs)


def test_a_look_is_scrubbed_of_what_the_container_was_made_with(application: Application, alice: User) -> None:
    from applications import looking

    application.environment = "TOKEN=the-value-of-before"
    application.command = ["sh", "-c", "echo $TOKEN; exec sleep 3600"]
    application.save()
    assert deployed(application).state == State.SUCCEEDED
    application.environment = "TOKEN=the-value-of-now"
    application.save()
    look = looking.ask(application=Application.objects.get(), asked_by=alice)
    looking.run(look.pk)
    look.refresh_from_db()
    assert look.log == "********"


def test_a_machine_does_not_take_the_place_of_what_somebody_asked_for(application: Application, alice: User) -> None:
    removal = deploying.ask_for(application=application, action=Action.REMOVE, asked_by=alice)
    for reason in (Reason.WEBHOOK, Reason.POLL):
        with pytest.raises(CannotDeploy, match="waits for its turn"):
            deploying.ask(application=application, asked_by=None, reason=reason)
    removal.refresh_from_db()
    assert removal.state == State.QUEUED


def test_what_waits_behind_somebodys_wish_is_found_again_by_the_next_look(
    application: Application, image: str, engine_two: Engine, port: int, alice: User
) -> None:
    Application.objects.update(poll_minutes=5)
    push_web(engine_two, image, port=port, marker="new")
    stop = deploying.ask_for(application=application, action=Action.STOP, asked_by=alice)
    assert polling.poll(application.pk) is None
    ran(stop)
    assert polling.poll(application.pk) is not None


def test_a_key_that_cannot_be_opened_is_named_at_once(application: Application, other_key: None) -> None:
    deployment = deployed(application)
    assert (deployment.state, deployment.verdict, deployment.to_tidy) == (State.FAILED, "secret_unreadable", False)


@pytest.fixture
def other_key(application: Application) -> None:
    """The server's key is one that was encrypted for another row."""
    from tests.servers.rows import make_key

    stranger = make_key(application.organisation, "another")
    key = application.server.ssh_key
    key.__dict__["private_key"] = stranger.private_key
    type(key).objects.filter(pk=key.pk).update(private_key=stranger.private_key)


def test_what_a_first_deployment_left_is_removed_before_the_application_is_forgotten(
    application: Application, alice: User, engine_one: Engine
) -> None:
    Deployment.objects.update(state=State.LOST, to_tidy=True)
    Application.objects.update(serving=None)
    removal = saving.delete_application(application=Application.objects.get(), leave_container=False, by=alice)
    assert removal is not None
    from applications import deploy

    deploy.run(removal.pk)
    assert containers_on(engine_one) == {}
    assert not Application.objects.exists()


def test_no_server_has_more_than_its_share_of_the_places(
    organisation: Organisation, settings: Any, alice: User, django_capture_on_commit_callbacks: Any
) -> None:
    settings.DOKREG_DEPLOYMENTS_AT_ONCE = 8
    busy, idle = make_server(organisation), make_server(organisation, "web-2")
    servers = [busy] * 6 + [idle]
    with django_capture_on_commit_callbacks(execute=True):
        for number, server in enumerate(servers):
            application = make_application(
                organisation, server=server, registry=None, image="nginx", name=f"a-{number}"
            )
            deploying.ask(application=application, asked_by=alice)
    sent = Deployment.objects.filter(sent_at__isnull=False)
    assert sent.filter(server=busy).count() == deploying.PLACES_PER_SERVER
    assert sent.filter(server=idle).count() == 1


def test_a_short_name_is_not_taken_for_the_beginning_of_an_id(
    application: Application, engine_one: Engine, image: str
) -> None:
    foreign = engine_one.docker("run", "--detach", "--network=none", image, "/bin/busybox", "sleep", "3600")
    beginning = foreign.stdout.strip()[:3]
    Application.objects.update(container_name=beginning)
    renamed = deployed(Application.objects.get())
    assert renamed.state == State.SUCCEEDED, renamed.log
    assert beginning in containers_on(engine_one)


def test_whoever_may_not_deploy_gets_no_address_and_no_polling(
    application: Application, bob: User, client_of: ClientOf
) -> None:
    allow(bob, "applications.view_application", "applications.change_application")
    page = client_of(bob).get(f"{application.get_absolute_url()}webhook/").content.decode()
    assert "only members who may deploy can make one" in page
    form = client_of(bob).get(f"{application.get_absolute_url()}edit/").content.decode()
    assert "you may not deploy" in form


def test_a_notice_does_not_say_that_the_old_one_runs_while_it_does_not(application: Application) -> None:
    from applications import telling, verdicts
    from organisations.notification_models import Notice

    deployment = Deployment(
        organisation=application.organisation,
        application=application,
        reason=Reason.POLL,
        to_tidy=True,
        server_name="one",
    )
    telling.failed(deployment, application, verdicts.superseded())
    assert "could not be started again yet" in Notice.objects.get().text
