"""Deployments and looks as rows, and pages as text: what the tests of pages share. Nothing here is really deployed."""

from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from applications.models import Application, ContainerLook, Deployment
from servers.ladder import new_rung

State = Deployment.State
DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64
HTMX = {"HX-Request": "true"}


def address(name: str, **more: str) -> str:
    return reverse(f"applications:{name}", kwargs={"organisation": "acme"} | more)


def make_deployment(application: Application, state: str = State.SUCCEEDED, **values: Any) -> Deployment:
    now = timezone.now()
    values = {"reference": "docker.io/library/nginx:1.27", "server_name": "web-1", "container_name": "web"} | values
    if state not in {State.QUEUED, State.RUNNING}:
        values = {"started_at": now, "finished_at": now} | values
    deployment = Deployment.objects.create(
        organisation=application.organisation,
        application=application,
        state=state,
        rungs=[new_rung("pull", "Pull")],
        **values,
    )
    Application.objects.filter(pk=application.pk).update(last_deployment=deployment)
    return deployment


def serve(application: Application, deployment: Deployment) -> None:
    Application.objects.filter(pk=application.pk).update(serving=deployment)


def make_look(application: Application, **answer: Any) -> ContainerLook:
    answer = {"name": "web", "status": "running", "health": "", "exit_code": 0, "restarts": 0} | answer
    return ContainerLook.objects.create(
        organisation=application.organisation,
        application=application,
        state="passed",
        finished_at=timezone.now(),
        answer=answer,
        log="listening on :80",
    )


def text_of(client: Client, page: str, **options: Any) -> str:
    answer = client.get(page, **options)
    assert answer.status_code == 200
    return str(answer.content.decode().replace("<wbr>", ""))  # where an address may be broken
