"""The page of a deployment, and the buttons that lead to one."""

import pytest
from django.test import Client

from applications.models import Application, Deployment
from organisations.models import User
from tests.applications.page_rows import DIGEST, HTMX, OTHER_DIGEST, address, make_deployment, serve, text_of

Action, State = Deployment.Action, Deployment.State


def test_deploying_leads_to_its_page_and_twice_is_once(client: Client, application: Application) -> None:
    deploy = address("deploy", application_id=application.pk)
    first, second = client.post(deploy), client.post(deploy)
    deployment = Deployment.objects.get()
    assert first["Location"] == second["Location"] == deployment.get_absolute_url()
    assert deployment.asked_by == User.objects.get(username="alice")
    page = text_of(client, deployment.get_absolute_url())
    assert "Waiting for its turn" in page
    assert 'http-equiv="refresh"' in page


@pytest.mark.parametrize("action", ["start", "stop", "restart", "remove"])
def test_what_is_done_to_a_container(client: Client, application: Application, action: str) -> None:
    serve(application, make_deployment(application))
    answer = client.post(address("action", application_id=application.pk), {"action": action})
    queued = Deployment.objects.get(state=State.QUEUED)
    assert queued.action == action
    assert answer["Location"] == (queued if action == "remove" else application).get_absolute_url()


@pytest.mark.parametrize("action", ["delete", "tidy", "deploy", "", "x"])
def test_nothing_else_can_be_done_so(client: Client, application: Application, action: str) -> None:
    serve(application, make_deployment(application))
    client.post(address("action", application_id=application.pk), {"action": action})
    assert not Deployment.objects.filter(state=State.QUEUED).exists()


def test_a_container_that_is_not_there_is_not_stopped(client: Client, application: Application) -> None:
    page = client.post(address("action", application_id=application.pk), {"action": "stop"}, follow=True)
    assert "Deploy it first" in page.content.decode()


def test_one_that_waits_is_cancelled_at_once(client: Client, application: Application) -> None:
    client.post(address("deploy", application_id=application.pk))
    deployment = Deployment.objects.get()
    page = client.post(address("cancel", deployment_id=deployment.pk), follow=True).content.decode()
    assert "alice cancelled it" in page
    assert "Deploy again" in page
    assert "too late" in client.post(address("cancel", deployment_id=deployment.pk), follow=True).content.decode()


def live(client: Client, deployment: Deployment, **seen: str | int) -> str:
    return text_of(client, deployment.get_absolute_url(), query_params=seen, headers=HTMX)


def test_only_what_is_new_of_the_log_is_sent(client: Client, application: Application) -> None:
    deployment = make_deployment(application, State.RUNNING, log="one\ntwo <three>\n", revision=2)
    assert "two &lt;three&gt;" in text_of(client, deployment.get_absolute_url())
    part = live(client, deployment, seen=1, **{"from": 4})
    assert '<div hx-swap-oob="beforeend:#log">two &lt;three&gt;\n</div>' in part
    assert "one" not in part.partition("hx-swap-oob")[2]
    assert f"seen=2&amp;from={len(deployment.log)}&amp;step=" in part
    assert "beforeend" not in live(client, deployment, seen=1, **{"from": len(deployment.log)})


def test_a_rung_is_announced_once_and_so_is_the_end(client: Client, application: Application) -> None:
    deployment = make_deployment(application, State.RUNNING, revision=2)
    deployment.rungs[0]["state"] = "running"
    deployment.save()
    assert 'id="announce"' in live(client, deployment, seen=1)
    assert 'id="announce"' not in live(client, deployment, seen=1, step="pull")
    Deployment.objects.update(state=State.SUCCEEDED)
    ended = live(client, deployment, seen=1, step="pull")
    assert "The deployment succeeded." in ended
    assert "hx-trigger" not in ended


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (
            {"layers": 7, "layers_done": 3, "bytes": 42_000_000, "bytes_total": 120_000_000},
            "3 of 7 layers, 42 of 120 MB",
        ),
        ({"layers": 1, "layers_done": 0, "bytes": 0, "bytes_total": 0}, "0 of 1 layer"),
    ],
)
def test_how_far_the_pull_is(client: Client, application: Application, progress: dict[str, int], words: str) -> None:
    deployment = make_deployment(application, State.RUNNING, progress=progress)
    page = text_of(client, deployment.get_absolute_url())
    assert words in page
    assert "<progress" in page


def test_what_can_be_done_after_its_end(client: Client, application: Application) -> None:
    old = make_deployment(application, digest=OTHER_DIGEST)
    new = make_deployment(application, digest=DIGEST)
    assert f"Roll back to {old.short_digest}" in text_of(client, new.get_absolute_url())
    failed = make_deployment(application, State.FAILED)
    page = text_of(client, failed.get_absolute_url())
    assert "Deploy again" in page
    assert "Roll back" not in page


def test_after_a_removal_there_is_no_container_to_look_at(client: Client, application: Application) -> None:
    serve(application, make_deployment(application, digest=DIGEST))
    removal = make_deployment(application, action=Action.REMOVE)
    page = text_of(client, removal.get_absolute_url())
    assert "To the application" in page
    assert "Look at the container" not in page
    assert "Roll back" not in page


def test_who_watches_the_end_of_an_application_is_led_away(client: Client, application: Application) -> None:
    deployment = make_deployment(application, State.RUNNING, action=Action.DELETE)
    application.delete()
    answer = client.get(deployment.get_absolute_url(), headers=HTMX)
    assert answer["HX-Redirect"] == address("projects")
    assert client.get(deployment.get_absolute_url()).status_code == 404
