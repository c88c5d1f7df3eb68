"""Calls of an application's webhook as senders make them, over HTTP, and payloads as their documentation shows them."""

import hmac
import json
import time
from collections.abc import Callable
from typing import Any

from django.test import Client

from applications.models import Application
from applications.webhooks import keys
from organisations.models import Organisation, User
from tests.applications.rows import make_application
from tests.servers.rows import make_server

DIGEST = "sha256:" + "5" * 64
Payload = dict[str, Any]


def hooked(organisation: Organisation, by: User, image: str, **values: Any) -> Application:
    """An application with a webhook, on a server that nobody reaches."""
    server = make_server(organisation, values.pop("server", "web-1"))
    application = make_application(organisation, server=server, registry=None, image=image, **values)
    keys.make_key(application=application, by=by)
    return application


def path_of(application: Application) -> str:
    return keys.address_of(application).removeprefix("http://127.0.0.1:8000")


def call(application: Application, payload: Any = None, **headers: str) -> tuple[int, dict[str, str]]:
    """POST a payload as JSON, text as it is, or nothing; the status and the answer."""
    body = payload if isinstance(payload, str) else "" if payload is None else json.dumps(payload)
    answer = Client().generic("POST", path_of(application), body, content_type="application/json", headers=headers)
    return answer.status_code, answer.json()


def signed(secret: str, body: str, *, at: float | None = None) -> dict[str, str]:
    """The headers of dokreg's own signature."""
    sent_at = str(int(time.time() if at is None else at))
    digest = hmac.digest(secret.encode(), f"{sent_at}.{body}".encode(), "sha256").hex()
    return {"X-Dokreg-Timestamp": sent_at, "X-Dokreg-Signature-256": f"sha256={digest}"}


def signed_like_github(secret: str, body: str) -> dict[str, str]:
    digest = hmac.digest(secret.encode(), body.encode(), "sha256").hex()
    return {"X-GitHub-Event": "registry_package", "X-Hub-Signature-256": f"sha256={digest}"}


def docker_hub(_host: str, repository: str, tag: str) -> Payload:
    namespace, _, name = repository.partition("/")
    return {
        "callback_url": f"https://registry.hub.docker.com/u/{repository}/hook/2141b5bi/",
        "push_data": {"pushed_at": 1764000000, "pusher": "robot", "tag": tag},
        "repository": {
            "name": name,
            "namespace": namespace,
            "owner": namespace,
            "repo_name": repository,
            "repo_url": f"https://hub.docker.com/r/{repository}",
            "is_private": True,
            "status": "Active",
        },
    }


def github(host: str, repository: str, tag: str) -> Payload:
    namespace, _, name = repository.partition("/")
    return {
        "action": "published",
        "registry_package": {
            "id": 1,
            "name": name,
            "namespace": namespace.capitalize(),
            "ecosystem": "CONTAINER",
            "package_type": "CONTAINER",
            "package_version": {
                "version": DIGEST,
                "container_metadata": {"tag": {"name": tag, "digest": DIGEST}, "labels": {}, "manifest": {}},
                "package_url": f"{host}/{namespace.capitalize()}/{name}:{tag}",
            },
            "registry": {
                "name": "GitHub CONTAINER registry",
                "type": "CONTAINER",
                "url": f"https://{host}/{namespace}",
            },
        },
        "repository": {"full_name": repository},
        "sender": {"login": "octo"},
    }


def _harbor_event(host: str, repository: str, tag: str) -> Payload:
    namespace, _, name = repository.partition("/")
    return {
        "resources": [{"digest": DIGEST, "tag": tag, "resource_url": f"{host}/{repository}:{tag}"}],
        "repository": {"name": name, "namespace": namespace, "repo_full_name": repository, "repo_type": "private"},
    }


def harbor(host: str, repository: str, tag: str) -> Payload:
    event = _harbor_event(host, repository, tag)
    return {"type": "PUSH_ARTIFACT", "occur_at": 1764000000, "operator": "robot$ci", "event_data": event}


def harbor_cloud_event(host: str, repository: str, tag: str) -> Payload:
    return {
        "specversion": "1.0",
        "id": "0a3c1f0e-58f5-4f0c-9a3c-6f1d9d6e7b11",
        "source": "/projects/2/webhook/policies/15",
        "type": "harbor.artifact.pushed",
        "datacontenttype": "application/json",
        "time": "2026-11-24T10:00:00Z",
        "data": _harbor_event(host, repository, tag),
        "operator": "robot$ci",
    }


def quay(host: str, repository: str, tag: str) -> Payload:
    namespace, _, name = repository.partition("/")
    return {
        "name": name,
        "repository": repository,
        "namespace": namespace,
        "docker_url": f"{host}/{repository}",
        "homepage": f"https://{host}/repository/{repository}",
        "updated_tags": ["nightly", tag],
    }


def quay_of_before(host: str, repository: str, tag: str) -> Payload:
    return quay(host, repository, tag) | {"updated_tags": {tag: "b" * 64}, "pushed_image_count": 2}


def ecr(host: str, repository: str, tag: str) -> Payload:
    account, _, _, region, *_ = host.split(".")
    return {
        "version": "0",
        "id": "6c1b3a52-0000-4000-8000-0e5566167482",
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": account,
        "time": "2026-11-24T10:00:00Z",
        "region": region,
        "resources": [],
        "detail": {
            "result": "SUCCESS",
            "repository-name": repository,
            "image-digest": DIGEST,
            "action-type": "PUSH",
            "image-tag": tag,
        },
    }


def ecr_by_sns(host: str, repository: str, tag: str) -> Payload:
    return sns("Notification", Message=json.dumps(ecr(host, repository, tag)))


def sns(kind: str, **more: str) -> Payload:
    return {
        "Type": kind,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:eu-central-1:123456789012:images",
        "Message": "You have chosen to subscribe.",
        "Timestamp": "2026-11-24T10:00:00.000Z",
        "SignatureVersion": "1",
        "Signature": "c2lnbmF0dXJl",
        "SigningCertURL": "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService.pem",
    } | more


def distribution(host: str, repository: str, tag: str) -> Payload:
    return {"events": [_layer(host, repository), _pull(host, repository, tag), _push(host, repository, tag)]}


def _event(action: str, host: str, target: Payload) -> Payload:
    return {
        "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7",
        "timestamp": "2026-11-24T10:00:00Z",
        "action": action,
        "target": target,
        "request": {"id": "6df24a34", "addr": "192.0.2.7:51234", "host": host, "method": "PUT", "useragent": "docker"},
        "actor": {"name": "robot"},
        "source": {"addr": "registry:5000", "instanceID": "a53db899"},
    }


def _layer(host: str, repository: str) -> Payload:
    return _event("push", host, {"mediaType": "application/octet-stream", "digest": DIGEST, "repository": repository})


def _pull(host: str, repository: str, tag: str) -> Payload:
    return _event("pull", host, {"digest": DIGEST, "repository": repository, "tag": "pulled", "size": 1})


def _push(host: str, repository: str, tag: str) -> Payload:
    media_type = "application/vnd.oci.image.index.v1+json"
    return _event("push", host, {"mediaType": media_type, "digest": DIGEST, "repository": repository, "tag": tag})


def generic_image(host: str, repository: str, tag: str) -> Payload:
    return {"image": f"{host}/{repository}:{tag}"}


def generic_repository(host: str, repository: str, tag: str) -> Payload:
    return {"repository": f"{host}/{repository}", "tag": tag}


Shape = Callable[[str, str, str], Payload]
ECR_HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
OTHER_ECR_HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
# The payload's shape, its headers, who it is of, the host of the application, and another host.
SHAPES: tuple[tuple[Shape, dict[str, str], str, str, str], ...] = (
    (docker_hub, {}, "Docker Hub", "docker.io", ""),
    (github, {"X-GitHub-Event": "registry_package"}, "GitHub", "ghcr.io", "containers.ghe.example.com"),
    (harbor, {}, "Harbor", "harbor.example.com", "harbor.example.org"),
    (harbor_cloud_event, {}, "Harbor", "harbor.example.com:8443", "harbor.example.com"),
    (quay, {}, "Quay", "quay.io", "quay.example.com"),
    (quay_of_before, {}, "Quay", "quay.io", "quay.example.com"),
    (ecr, {}, "Amazon ECR", ECR_HOST, OTHER_ECR_HOST),
    (ecr_by_sns, {}, "Amazon ECR", ECR_HOST, OTHER_ECR_HOST),
    (distribution, {}, "Registry notifications", "localhost:5000", "registry.example.com"),
    (generic_image, {}, "CI", "registry.example.com", "docker.io"),
    (generic_repository, {}, "CI", "registry.example.com", "registry.example.org"),
)
