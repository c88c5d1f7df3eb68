"""Writes a row of everything into a dokreg's empty database, as it may stand there after a while."""

import datetime as dt
from decimal import Decimal

import django

django.setup()

from axes.models import AccessAttempt, AccessLog  # noqa: E402 - Django must be set up first
from django.contrib.auth.models import Group, Permission  # noqa: E402
from django.utils import timezone  # noqa: E402

from applications.models import Application, ContainerLook, Deployment  # noqa: E402
from applications.webhook_models import WebhookDelivery, WebhookSignature  # noqa: E402
from organisations import audit  # noqa: E402
from organisations.api_key_models import ApiKey  # noqa: E402
from organisations.models import Invitation, Membership, Organisation, User  # noqa: E402
from organisations.notification_models import Delivery, NotificationChannel  # noqa: E402
from organisations.notifying import notify  # noqa: E402
from registries import batches  # noqa: E402
from registries.models import (  # noqa: E402
    Alarm,
    CatalogLook,
    ConfigCheck,
    Login,
    Quota,
    Registry,
    RegistryTest,
    Rotation,
    TestBatch,
    TokenRefresh,
)
from servers.models import ConfigTurn, Server  # noqa: E402
from tests.applications.page_rows import DIGEST, make_deployment, serve  # noqa: E402
from tests.applications.rows import make_application  # noqa: E402
from tests.people import join  # noqa: E402
from tests.registries.rows import make_registry  # noqa: E402
from tests.servers.rows import make_server, make_test  # noqa: E402

SECRET = "pä$$ \"'\\ 🐋 word"


def fill() -> None:
    acme = Organisation.objects.create(name="Acme – “Images”", slug="acme")
    alice, bob = join(acme, "alice", "owner"), join(acme, "bob", "member")
    _people(acme, alice, bob)
    server = make_server(acme, "web-1", host_key="ssh-ed25519 AAAA")
    make_test(server)
    ConfigTurn.objects.create(server=server)
    registry = make_registry(acme, alice, "Images", password=SECRET)
    _registry(acme, alice, server, registry)
    _application(acme, alice, server, registry)
    audit.record("asked for a test", registry, actor=alice, place="web-1", attempts=3)


def _people(acme: Organisation, alice: User, bob: User) -> None:
    bob.groups.add(Group.objects.create(name="Staff"))
    bob.user_permissions.add(Permission.objects.earliest("pk"))
    membership = Membership.objects.get(user=bob)
    membership.set_permissions("member", frozenset({"registries.view_registry"}))
    membership.save()
    first = ApiKey.objects.create(
        organisation=acme, membership=membership, name="CI", start="abcdef", key_hash="1" * 64,
        permissions=["registries.view_registry"], last_used_at=timezone.now(), last_used_from="2001:db8::1",
    )  # fmt: skip
    ApiKey.objects.create(
        organisation=acme, membership=membership, name="Old", start="ghijkl", key_hash="2" * 64, made_with=first,
        revoked_at=timezone.now(), revoked_by=alice, last_used_from="192.0.2.7",
    )  # fmt: skip
    Invitation.objects.create(
        organisation=acme, token_hash="3" * 64, invited_by=alice, accepted_by=bob, accepted_at=timezone.now()
    )
    channel = NotificationChannel(organisation=acme, name="Chat", shown_as="Slack")
    channel.address = "slack://marked/address"
    channel.save()
    notify(organisation=acme, level="failure", title="It stopped", text="Look.", path="/acme/")
    Delivery.objects.update(state="sent", sent_at=timezone.now())
    AccessAttempt.objects.create(
        username="mallory", ip_address="192.0.2.9", user_agent="x", path_info="/sign-in/", failures_since_start=2
    )
    AccessLog.objects.create(username="alice", ip_address="192.0.2.1", user_agent="x", path_info="/sign-in/")


def _registry(acme: Organisation, alice: User, server: Server, registry: Registry) -> None:
    registry.token = "a token " * 300
    registry.save()
    batches.ask(organisation=acme, registry=registry, server=server, asked_by=alice)
    RegistryTest.objects.update(
        state="passed", finished_at=timezone.now(), account={"région": ["ü", 1, 2.5, None, True]}
    )
    TestBatch.objects.update(finished_at=timezone.now())
    over = {"organisation": acme, "state": "passed", "finished_at": timezone.now()}
    TokenRefresh.objects.create(**over, registry=registry, reason="due")
    CatalogLook.objects.create(**over, registry=registry, url="r", answer={"repositories": [], "is_complete": True})
    ConfigCheck.objects.create(**over, server=server, findings=[{"host": "r", "state": "held"}])
    Login.objects.create(organisation=acme, registry=registry, registry_name="Images", server=server, url="r")
    Quota.objects.create(organisation=acme, host="r", registry=registry, limit=2**31 - 1, remaining=0)
    Alarm.objects.create(organisation=acme, registry=registry, kind="ends_soon", cleared_at=timezone.now())
    Rotation.objects.create(
        organisation=acme, registry=registry, state="switched", url="r", secret_ends_on=dt.date(2028, 2, 29)
    )


def _application(acme: Organisation, alice: User, server: Server, registry: Registry) -> None:
    application = make_application(
        acme, server=server, registry=registry, image="web:1", environment="KEY=VALUE", cpus=Decimal("0.25"),
        memory_mb=64, ports=[{"host": 80, "container": 8080}],
    )  # fmt: skip
    Application.objects.update(poll_due_at=dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC))
    deployment = make_deployment(application, digest=DIGEST, log="12:00:00 Pulled – ✓\n", asked_by=alice)
    serve(application, deployment)
    Deployment.objects.update(progress={"done": 1, "of": 3})
    ContainerLook.objects.create(organisation=acme, application=application, state="passed", answer={"status": "up"})
    WebhookDelivery.objects.create(application=application, outcome="queued", deployment=deployment, named="web:1")
    WebhookSignature.objects.create(application=application, signature="4" * 64, seen_at=timezone.now())


if __name__ == "__main__":
    fill()
