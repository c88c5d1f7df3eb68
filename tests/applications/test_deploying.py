"""Whose turn it is: one deployment at a time per application, a newer wish in the place of a waiting one."""

from typing import Any

import pytest

from applications import deploy, deploying, saving, tasks
from applications.deploying import CannotDeploy
from applications.models import Application, Deployment
from organisations.models import AuditEntry, Organisation, User
from registries.models import Registry
from servers.models import Server
from tests.applications.rows import make_application
from tests.registries.rows import make_registry
from tests.servers.rows import make_server

State, Action = Deployment.State, Deployment.Action


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that were handed to the broker."""
    ids: list[str] = []
    monkeypatch.setattr(tasks.run_deployment, "delay", ids.append)
    return ids


@pytest.fixture
def web(organisation: Organisation, alice: User) -> Server:
    return make_server(organisation)


@pytest.fixture
def application(organisation: Organisation, alice: User, web: Server) -> Application:
    registry = make_registry(organisation, alice, image_prefix="acme")
    return make_application(organisation, server=web, registry=registry, image="shop:1")


@pytest.fixture
def ask(application: Application, alice: User, django_capture_on_commit_callbacks: Any) -> Any:
    def ask_and_commit(**values: Any) -> Deployment:
        with django_capture_on_commit_callbacks(execute=True):
            return deploying.ask(**{"application": application, "asked_by": alice} | values)

    return ask_and_commit


def begin(deployment: Deployment) -> None:
    assert deploying.claim(deployment.pk)


def states() -> list[str]:
    return list(Deployment.objects.order_by("created_at").values_list("state", flat=True))


def test_what_is_asked_for_is_handed_over_at_once_with_its_full_reference(ask: Any, sent: list[str]) -> None:
    deployment = ask()
    assert sent == [deployment.pk]
    assert deployment.reference == "registry.example.com/acme/shop:1"


def test_it_is_written_into_the_audit_trail(ask: Any, sent: list[str], alice: User) -> None:
    ask()
    entry = AuditEntry.objects.get(event="asked for a deployment")
    assert entry.additional_data["reference"] == "registry.example.com/acme/shop:1"
    assert entry.actor == alice


def test_two_who_ask_at_once_get_the_same_deployment(ask: Any, sent: list[str], bob: User) -> None:
    first = ask()
    assert ask(asked_by=bob) == first
    assert sent == [first.pk]


def test_while_one_runs_a_second_waits_and_a_third_is_the_second(ask: Any, sent: list[str]) -> None:
    first = ask()
    begin(first)
    second = ask()
    assert second != first
    assert ask() == second
    assert sent == [first.pk]
    assert deploying.claim(second.pk) is None  # also if it were sent
    assert states() == [State.RUNNING, State.QUEUED]


def test_a_newer_image_takes_the_place_of_one_that_waits(ask: Any, sent: list[str], application: Application) -> None:
    begin(ask())
    second = ask()
    Application.objects.update(image="shop:2")
    application.refresh_from_db()
    third = ask(application=application)
    second.refresh_from_db()
    assert (second.state, second.verdict) == (State.CANCELLED, "superseded")
    assert (third.state, third.reference) == (State.QUEUED, "registry.example.com/acme/shop:2")


def test_a_few_run_at_once_over_all_and_the_oldest_goes_first(
    ask: Any, sent: list[str], settings: Any, organisation: Organisation, web: Server,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    settings.DOKREG_DEPLOYMENTS_AT_ONCE = 2
    rows = [
        ask(application=make_application(organisation, server=web, registry=None, image="nginx", name=f"app-{number}"))
        for number in range(4)
    ]
    assert sent == [rows[0].pk, rows[1].pk]
    begin(rows[0])
    Deployment.objects.filter(pk=rows[0].pk).update(state=State.SUCCEEDED)
    with django_capture_on_commit_callbacks(execute=True):
        assert [deploying.dispatch(), deploying.dispatch()] == [1, 0]
    assert sent == [row.pk for row in rows[:3]]


def test_what_pulls_nothing_needs_no_place(
    ask: Any, sent: list[str], settings: Any, organisation: Organisation, web: Server, application: Application,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    settings.DOKREG_DEPLOYMENTS_AT_ONCE = 1
    ask(application=make_application(organisation, server=web, registry=None, image="nginx", name="other"))
    application.serving = Deployment.objects.create(
        organisation=organisation, application=application, server=web, state=State.SUCCEEDED
    )
    application.save()
    with django_capture_on_commit_callbacks(execute=True):
        stop = deploying.ask_for(application=application, action=Action.STOP, asked_by=None)
    assert stop.pk in sent


def test_without_a_container_there_is_nothing_to_stop(application: Application) -> None:
    with pytest.raises(CannotDeploy, match="Deploy it first"):
        deploying.ask_for(application=application, action=Action.STOP, asked_by=None)


def test_a_waiting_one_is_cancelled_at_once(ask: Any, sent: list[str], alice: User) -> None:
    deployment = ask()
    assert deploying.cancel(deployment=deployment, by=alice)
    deployment.refresh_from_db()
    assert (deployment.state, deployment.rungs[0]["cause"]) == (State.CANCELLED, "alice cancelled it.")
    assert not deploying.cancel(deployment=deployment, by=alice)
    deploy.run(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.state == State.CANCELLED


def test_a_running_one_is_asked_to_stop(ask: Any, sent: list[str], alice: User) -> None:
    deployment = ask()
    begin(deployment)
    assert deploying.cancel(deployment=deployment, by=alice)
    deployment.refresh_from_db()
    assert (deployment.state, deployment.cancel_asked_by) == (State.RUNNING, "alice")


@pytest.mark.parametrize(
    "image", ["--privileged", "-v", "a b", "shop:", "UPPER", "shop@sha256:1", "evil.example.com/x", ""]
)
def test_what_is_no_reference_is_refused_before_anything_runs(
    ask: Any, sent: list[str], application: Application, image: str
) -> None:
    Application.objects.update(image=image)
    application.refresh_from_db()
    with pytest.raises(CannotDeploy):
        ask(application=application)
    assert sent == []
    assert states() == []


@pytest.mark.parametrize("name", ["--privileged", "-x", ".x", "a/b", "a b", "", "x" * 64])
def test_what_is_no_name_of_a_container(application: Application, name: str) -> None:
    application.container_name = name
    with pytest.raises(Exception, match="container_name"):
        application.full_clean()


def test_only_what_succeeded_can_be_rolled_back_to(ask: Any, sent: list[str], application: Application) -> None:
    failed = ask()
    with pytest.raises(CannotDeploy, match="succeeded"):
        deploying.ask_for_rollback(application=application, to=failed, asked_by=None)


def test_rolling_back_names_the_digest(ask: Any, sent: list[str], application: Application) -> None:
    earlier = ask()
    digest = f"sha256:{'a' * 64}"
    Deployment.objects.update(state=State.SUCCEEDED, digest=digest)
    earlier.refresh_from_db()
    back = deploying.ask_for_rollback(application=application, to=earlier, asked_by=None)
    assert back.reference == f"registry.example.com/acme/shop@{digest}"


def test_a_changed_setting_shows_until_the_next_deployment(
    application: Application, organisation: Organisation
) -> None:
    application.serving = Deployment.objects.create(
        organisation=organisation, application=application, state=State.SUCCEEDED
    )
    application.save()
    assert not application.is_changed
    application.memory_mb = 64
    saving.save_application(application=application, environment=None)
    assert application.is_changed


@pytest.mark.parametrize("sent", [None, "TOKEN=before"])
def test_an_edit_without_a_new_environment_leaves_what_is_stored_meanwhile(
    application: Application, sent: str | None
) -> None:
    """Such as the same text under another key; forms send the text that they have shown."""
    saving.save_application(application=application, environment="TOKEN=before")
    stale = Application.objects.get(pk=application.pk)
    saving.save_application(application=application, environment="TOKEN=meanwhile")
    stale.name = "renamed"
    saving.save_application(application=stale, environment=sent)
    application.refresh_from_db()
    assert application.environment is not None
    assert (application.name, application.environment.reveal()) == ("renamed", "TOKEN=meanwhile")
    assert application.environment_names == ["TOKEN"]


def test_the_same_environment_under_another_key_is_no_change(application: Application) -> None:
    saving.save_application(application=application, environment="TOKEN=s3cret")
    stale = Application.objects.get(pk=application.pk)
    application.refresh_from_db()
    application.environment = "TOKEN=s3cret"  # encrypted anew
    application.save(update_fields=["environment"])
    saving.save_application(application=stale, environment="TOKEN=s3cret")
    application.refresh_from_db()
    assert application.settings_changed_at == stale.settings_changed_at


def test_an_environment_is_kept_unless_another_is_given(application: Application) -> None:
    saving.save_application(application=application, environment="TOKEN=s3cret\nA=1\n")
    application.refresh_from_db()
    assert application.environment_names == ["A", "TOKEN"]
    changed_at = application.settings_changed_at
    saving.save_application(application=application, environment=None)
    saving.save_application(application=application, environment="TOKEN=s3cret\nA=1\n")
    application.refresh_from_db()
    assert application.environment is not None
    assert application.environment.reveal() == "TOKEN=s3cret\nA=1\n"
    assert application.settings_changed_at == changed_at
    saving.save_application(application=application, environment="")
    without = Application.objects.get(pk=application.pk)
    assert (without.environment, without.environment_names) == (None, [])


def test_a_registry_that_is_used_is_not_deleted(application: Application) -> None:
    from organisations.deletion import StillUsed
    from registries.saving import delete_registry

    assert isinstance(application.registry, Registry)
    with pytest.raises(StillUsed, match="application web"):
        delete_registry(registry=application.registry)


def test_deleting_waits_for_the_end_of_what_is_under_way(ask: Any, sent: list[str], application: Application) -> None:
    begin(ask())
    with pytest.raises(saving.StillDeploying):
        saving.delete_application(application=application, leave_container=True, by=None)
