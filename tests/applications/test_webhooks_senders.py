"""Whose payload it is, which images it names, and that only the application's own deploys it."""

import pytest

from applications.models import Application, Deployment
from applications.webhook_models import WebhookDelivery
from applications.webhooks import deliveries
from organisations.models import Organisation, User
from tests.applications import webhook_calls as calls
from tests.applications.webhook_calls import SHAPES, Shape, call, hooked

Outcome = WebhookDelivery.Outcome
each_shape = pytest.mark.parametrize(
    ("shape", "headers", "sender", "host", "other_host"), SHAPES, ids=[shape[0].__name__ for shape in SHAPES]
)


def deploys(application: Application, payload: object, **headers: str) -> bool:
    """Whether a call queues a deployment; else it must be ignored, with a reason, and leave nothing."""
    before = Deployment.objects.count()
    status, answer = call(application, payload, **headers)
    assert status == 200, answer
    if answer["status"] == "queued":
        assert Deployment.objects.get(pk=answer["deployment"]).application == application
        return True
    assert answer["status"] == "ignored"
    assert answer["reason"]
    assert Deployment.objects.count() == before
    return False


@each_shape
def test_a_push_of_its_image_deploys_it(
    organisation: Organisation,
    alice: User,
    shape: Shape,
    headers: dict[str, str],
    sender: str,
    host: str,
    other_host: str,
) -> None:
    application = hooked(organisation, alice, f"{host}/acme/web:1.4")
    assert deploys(application, shape(host, "acme/web", "1.4"), **headers)
    deployment = Deployment.objects.get()
    assert (deployment.reason, deployment.asked_by) == (Deployment.Reason.WEBHOOK, None)
    assert deployment.note.startswith(f"{sender} named ")
    assert "acme/web:1.4" in deployment.note
    delivery = deliveries.recent(application).get()
    assert (delivery.sender, delivery.outcome, delivery.deployment) == (sender, Outcome.QUEUED, deployment)


@each_shape
def test_a_push_of_anything_else_does_not(
    organisation: Organisation,
    alice: User,
    shape: Shape,
    headers: dict[str, str],
    sender: str,
    host: str,
    other_host: str,
) -> None:
    application = hooked(organisation, alice, f"{host}/acme/web:1.4")
    assert not deploys(application, shape(host, "acme/web", "1.5"), **headers)
    assert not deploys(application, shape(host, "acme/api", "1.4"), **headers)
    assert not deploys(application, shape(host, "other/web", "1.4"), **headers)
    elsewhere = hooked(organisation, alice, f"{other_host or 'quay.io'}/acme/web:1.4", server="web-2", name="api")
    assert not deploys(elsewhere, shape(host, "acme/web", "1.4"), **headers)
    assert {delivery.sender for delivery in WebhookDelivery.objects.all()} == {sender}
    assert f"the application runs {host}/acme/web:1.4" in deliveries.recent(application)[0].words


@each_shape
def test_an_application_that_is_bound_to_a_digest_is_changed_by_no_push(
    organisation: Organisation,
    alice: User,
    shape: Shape,
    headers: dict[str, str],
    sender: str,
    host: str,
    other_host: str,
) -> None:
    for number, reference in enumerate((f"@{calls.DIGEST}", f":1.4@{calls.DIGEST}")):
        application = hooked(
            organisation, alice, f"{host}/acme/web{reference}", server=f"web-{number}", name=f"web-{number}"
        )
        assert not deploys(application, shape(host, "acme/web", "1.4"), **headers)


@pytest.mark.parametrize(
    ("payload", "headers"),
    [
        (calls.docker_hub("", "acme/web", ""), {}),
        (calls.github("ghcr.io", "acme/web", ""), {"X-GitHub-Event": "registry_package"}),
        (calls.harbor("docker.io", "acme/web", calls.DIGEST), {}),
        (calls.ecr(calls.ECR_HOST, "acme/web", ""), {}),
        (calls.distribution("docker.io", "acme/web", ""), {}),
        ({"repository": "acme/web"}, {}),
    ],
    ids=["docker hub", "github", "harbor", "ecr", "distribution", "generic"],
)
def test_a_push_without_a_tag_changes_nothing(
    organisation: Organisation, alice: User, payload: calls.Payload, headers: dict[str, str]
) -> None:
    assert not deploys(hooked(organisation, alice, "acme/web"), payload, **headers)


@pytest.mark.parametrize("repository", ["library/nginx", "nginx"])
def test_docker_hub_is_one_registry_under_all_its_names(
    organisation: Organisation, alice: User, repository: str
) -> None:
    application = hooked(organisation, alice, "nginx:1.29")
    assert deploys(application, calls.docker_hub("", repository, "1.29"))
    assert deploys(application, calls.harbor("registry-1.docker.io", repository, "1.29"))
    assert deploys(application, {"image": "index.docker.io/library/nginx:1.29"})


def test_all_hosts_of_one_ecr_registry_are_one(organisation: Organisation, alice: User) -> None:
    dual_stack = "123456789012.dkr-ecr.eu-central-1.on.aws"
    application = hooked(organisation, alice, f"{dual_stack}/acme/web:1.4")
    assert deploys(application, calls.ecr(calls.ECR_HOST, "acme/web", "1.4"))


def test_ecr_in_china_has_hosts_of_its_own(organisation: Organisation, alice: User) -> None:
    host = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"
    assert deploys(hooked(organisation, alice, f"{host}/acme/web:1.4"), calls.ecr(host, "acme/web", "1.4"))


def test_a_repository_without_a_host_is_on_the_applications_own(organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, "registry.example.com/acme/web:1.4")
    assert deploys(application, {"repository": "acme/web", "tag": "1.4"})
    assert not deploys(application, {"repository": "acme/web:1.4", "tag": "1.4"})


def test_an_image_without_a_host_is_on_docker_hub(organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, "registry.example.com/acme/web:latest")
    assert not deploys(application, {"image": "acme/web"})
    assert not deploys(application, {"image": "Not an image"})
    assert deploys(application, {"image": "registry.example.com/acme/web"})


def test_a_digest_that_is_named_is_noted(organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, "registry.example.com/acme/web:1.4")
    assert deploys(application, {"repository": "acme/web", "tag": "1.4", "digest": calls.DIGEST})
    assert calls.DIGEST in Deployment.objects.get().note


def test_githubs_other_packages_and_events_are_ignored(organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, "ghcr.io/acme/web:1.4")
    payload = calls.github("ghcr.io", "acme/web", "1.4")
    renamed = {"action": "updated", "package": payload["registry_package"]}
    assert not deploys(application, {"zen": "Keep it logically awesome.", "hook_id": 1}, **{"X-GitHub-Event": "ping"})
    assert not deploys(application, payload, **{"X-GitHub-Event": "push"})
    assert not deploys(application, payload | {"action": "deleted"}, **{"X-GitHub-Event": "registry_package"})
    payload["registry_package"]["package_type"] = "npm"
    assert not deploys(application, payload, **{"X-GitHub-Event": "registry_package"})
    renamed["package"]["package_type"] = "container"
    assert deploys(application, renamed, **{"X-GitHub-Event": "package"})


def test_githubs_package_without_an_address_is_on_its_own_registry(organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, "ghcr.io/acme/web:1.4")
    payload = calls.github("ghcr.io", "acme/web", "1.4")
    del payload["registry_package"]["package_version"]["package_url"]
    assert deploys(application, payload, **{"X-GitHub-Event": "registry_package"})


@pytest.mark.parametrize(
    "payload",
    [
        calls.harbor("docker.io", "acme/web", "1.4") | {"type": "PULL_ARTIFACT"},
        calls.harbor_cloud_event("docker.io", "acme/web", "1.4") | {"type": "harbor.artifact.deleted"},
        calls.quay("docker.io", "acme/web", "1.4") | {"updated_tags": None, "build_id": "1", "docker_tags": ["1.4"]},
        calls.ecr(calls.ECR_HOST, "acme/web", "1.4") | {"detail-type": "ECR Image Scan"},
        calls.sns("Notification", Message="ERROR"),
        calls.sns("Notification", Message="[" * 100_000),
        {"events": [{"action": "push", "target": {"repository": "acme/web"}}]},
    ],
    ids=["harbor", "harbor's cloud event", "quay", "ecr", "sns", "sns, deep", "distribution"],
)
def test_events_that_are_no_push_are_known_and_ignored(
    organisation: Organisation, alice: User, payload: calls.Payload
) -> None:
    application = hooked(organisation, alice, "acme/web:1.4")
    assert not deploys(application, payload)
    assert WebhookDelivery.objects.get().sender


def test_a_failed_or_deleted_image_of_ecr_is_ignored(organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, f"{calls.ECR_HOST}/acme/web:1.4")
    for change in ({"result": "FAILURE"}, {"action-type": "DELETE"}):
        payload = calls.ecr(calls.ECR_HOST, "acme/web", "1.4")
        payload["detail"] |= change
        assert not deploys(application, payload)


def test_gitlabs_webhooks_name_no_image_and_it_is_said(organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, "registry.gitlab.com/acme/web:1.4")
    payload = {"object_kind": "pipeline", "object_attributes": {"status": "success"}, "project": {"name": "web"}}
    assert not deploys(application, payload, **{"X-Gitlab-Event": "Pipeline Hook"})
    assert "Let the job that pushes call this address" in WebhookDelivery.objects.get().words


def test_gitlabs_registry_speaks_as_the_distribution_project(organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, "registry.gitlab.example.com/acme/web/backend:main")
    assert deploys(application, calls.distribution("registry.gitlab.example.com", "acme/web/backend", "main"))


def test_one_envelope_may_hold_pushes_of_many_images(organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, "registry.example.com/acme/web:9")
    events = [
        event
        for number in range(12)
        for event in calls.distribution("registry.example.com", "acme/web", str(number))["events"]
    ]
    assert deploys(application, {"events": events})
    assert "registry.example.com/acme/web:9" in Deployment.objects.get().note
    assert deliveries.recent(application)[0].named == "registry.example.com/acme/web:9"
    elsewhere = hooked(organisation, alice, "registry.example.com/acme/api:9", server="web-2", name="api")
    assert not deploys(elsewhere, {"events": events})
    assert deliveries.recent(elsewhere)[0].named.endswith("acme/web:2 and 9 more")


@pytest.mark.parametrize(
    "payload",
    [
        {"anything": "else"},
        {"image": 7, "repository": ["acme/web"], "tag": {}},
        {"push_data": "text", "repository": {"repo_name": "acme/web"}},
        {"events": {"target": {}}},
        {"type": "PUSH_ARTIFACT", "event_data": []},
    ],
)
def test_what_nobody_is_known_to_send_is_ignored(
    organisation: Organisation, alice: User, payload: calls.Payload
) -> None:
    assert not deploys(hooked(organisation, alice, "acme/web:1.4"), payload)
    assert WebhookDelivery.objects.get().sender == ""


@pytest.mark.parametrize("name", ["type", "target", "detail", "event_data", "repository", "events", "package_version"])
@each_shape
def test_a_payload_with_something_odd_in_it_is_ignored(
    organisation: Organisation,
    alice: User,
    name: str,
    shape: Shape,
    headers: dict[str, str],
    sender: str,
    host: str,
    other_host: str,
) -> None:
    application = hooked(organisation, alice, f"{host}/acme/web:1.4")
    payload = shape(host, "acme/web", "1.4")
    for odd in (None, 7, [], [None], "\ud800\0"):
        for part in (payload, payload.get("registry_package", {})):
            if name in part:
                changed = (
                    payload | {name: odd} if part is payload else payload | {"registry_package": part | {name: odd}}
                )
                call_status, _answer = call(application, changed, **headers)
                assert call_status == 200
    assert not any("\0" in f"{delivery.named}{delivery.words}" for delivery in WebhookDelivery.objects.all())
