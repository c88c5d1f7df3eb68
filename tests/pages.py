"""The table of every page and action: its address, and the permissions that it needs.

A row more for each new URL: `tests/test_permissions.py` fails while one is missing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from applications.models import Application, ContainerLook, Deployment, Project
from organisations import api_keys, invitations
from organisations.api_key_models import ApiKey
from organisations.models import Invitation, Membership, Organisation, Role, User
from organisations.notification_models import NotificationChannel
from registries.models import CatalogLook, ConfigCheck, Registry, RegistryTest, Rotation, TestBatch
from servers import keys
from servers.models import Server, ServerTest, SSHKey
from tests.people import join, membership_of

PRIVATE_KEY = keys.generate()


@dataclass(frozen=True)
class Things:
    """One of each in the organisation."""

    organisation: Organisation
    membership: Membership
    invitation: Invitation
    invitation_token: str
    api_key: ApiKey
    channel: NotificationChannel
    key: SSHKey
    server: Server
    server_test: ServerTest
    registry: Registry
    registry_test: RegistryTest
    rotation: Rotation
    config_check: ConfigCheck
    batch: TestBatch
    project: Project
    empty_project: Project
    application: Application
    deployment: Deployment
    container_look: ContainerLook
    catalog_look: CatalogLook


Arguments = Callable[[Things], dict[str, str]]


def _nothing(_: Things) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Row:
    """One method of one address, and what a member with the permissions gets."""

    name: str
    permissions: tuple[str, ...] = ()
    arguments: Arguments = _nothing
    method: str = "GET"
    status: int = 200
    data: dict[str, str] = field(default_factory=dict)
    any_of: tuple[str, ...] = ()  # of these one is enough

    @property
    def id(self) -> str:
        return f"{self.method} {self.name}"

    @property
    def names_a_row(self) -> bool:
        """Whether the address has the id of something that belongs to the organisation."""
        return self.arguments not in {_nothing, _kind}

    def address(self, things: Things) -> str:
        """Under the organisation's slug, if the page belongs to one."""
        arguments = self.arguments(things)
        if ":" in self.name:
            arguments = {"organisation": things.organisation.slug} | arguments
        return reverse(self.name, kwargs=arguments)

    def ask(self, client: Client, things: Things) -> int:
        """The status that this person gets."""
        return int(client.generic(*self._request(things)).status_code)

    def _request(self, things: Things) -> tuple[str, str, str, str]:
        body = "&".join(f"{name}={value}" for name, value in self.data.items())
        return self.method, self.address(things), body, "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class FreeRow(Row):
    """An address that belongs to no organisation: what everybody gets who is signed in, and who is not."""

    anonymous: int = 302


def _member(things: Things) -> dict[str, str]:
    return {"membership_id": things.membership.pk}


def _invitation(things: Things) -> dict[str, str]:
    return {"invitation_id": things.invitation.pk}


def _token(things: Things) -> dict[str, str]:
    return {"token": things.invitation_token}


def _api_key(things: Things) -> dict[str, str]:
    return {"key_id": things.api_key.pk}


def _channel(things: Things) -> dict[str, str]:
    return {"channel_id": things.channel.pk}


def _server(things: Things) -> dict[str, str]:
    return {"server_id": things.server.pk}


def _server_test(things: Things) -> dict[str, str]:
    return {"test_id": things.server_test.pk}


def _key(things: Things) -> dict[str, str]:
    return {"key_id": things.key.pk}


def _registry(things: Things) -> dict[str, str]:
    return {"registry_id": things.registry.pk}


def _registry_test(things: Things) -> dict[str, str]:
    return {"test_id": things.registry_test.pk}


def _batch(things: Things) -> dict[str, str]:
    return {"batch_id": things.batch.pk}


def _rotation(things: Things) -> dict[str, str]:
    return {"rotation_id": things.rotation.pk}


def _config_check(things: Things) -> dict[str, str]:
    return {"check_id": things.config_check.pk}


def _project(things: Things) -> dict[str, str]:
    return {"project_id": things.project.pk}


def _empty_project(things: Things) -> dict[str, str]:
    return {"project_id": things.empty_project.pk}


def _application(things: Things) -> dict[str, str]:
    return {"application_id": things.application.pk}


def _deployment(things: Things) -> dict[str, str]:
    return {"deployment_id": things.deployment.pk}


def _container_look(things: Things) -> dict[str, str]:
    return {"look_id": things.container_look.pk}


def _catalog_look(things: Things) -> dict[str, str]:
    return {"look_id": things.catalog_look.pk}


def _webhook(_: Things) -> dict[str, str]:
    return {"key": "no-such-key"}


def _kind(_: Things) -> dict[str, str]:
    return {"kind": "generic"}


CHANGE_APPLICATION = ("applications.change_application",)
PICK_IMAGE = ("applications.add_application", "applications.change_application")
CHANGE_HERE = ("registries.change_registry", "servers.view_server")
SEE_BOTH = ("registries.view_registry", "servers.view_server")
FREE = (
    FreeRow("healthz", status=503, anonymous=503),  # no worker beats in the tests
    FreeRow("metrics", status=404, anonymous=404),  # the settings of the tests open it to nobody
    FreeRow("doctor", status=404),
    FreeRow("api", arguments=lambda _: {"path": "registry.all"}, anonymous=401),
    FreeRow("api_docs"),
    FreeRow("webhook", arguments=_webhook, status=405, anonymous=405),
    FreeRow("webhook", arguments=_webhook, method="POST", status=404, anonymous=404),
    FreeRow("home", status=302),
    FreeRow("setup", arguments=_token, status=404, anonymous=404),
    FreeRow("sign_in", status=302, anonymous=200),
    FreeRow("sign_in", method="POST", status=302, anonymous=422),
    FreeRow("sign_out", method="POST", status=303, anonymous=303),
    FreeRow("account"),
    FreeRow("account", method="POST", status=303),
    FreeRow("password_change"),
    FreeRow("password_change", method="POST", status=422),
    FreeRow("sign_out_everywhere", method="POST", status=303),
    FreeRow("organisation_new", status=403),
    FreeRow("organisation_new", method="POST", status=403),
    FreeRow("invitation", arguments=_token, anonymous=200),
    FreeRow("invitation", arguments=_token, method="POST", status=303, anonymous=422),
)
OWNED = (
    Row("organisations:home", status=200),
    Row("organisations:settings", ("organisations.change_organisation",)),
    Row("organisations:settings", ("organisations.change_organisation",), method="POST", status=422),
    Row("organisations:member_list", ("organisations.view_membership",)),
    Row("organisations:member_invite", ("organisations.add_membership",)),
    Row("organisations:member_invite", ("organisations.add_membership",), method="POST", status=422),
    Row("organisations:member_detail", ("organisations.view_membership",), _member),
    Row(
        "organisations:member_detail",
        ("organisations.view_membership", "organisations.change_membership"),
        _member,
        method="POST",
        status=422,
    ),
    Row("organisations:member_remove", ("organisations.delete_membership",), _member),
    Row("organisations:member_remove", ("organisations.delete_membership",), _member, method="POST", status=303),
    Row(
        "organisations:invitation_revoke",
        ("organisations.add_membership",),
        _invitation,
        method="POST",
        status=303,
    ),
    Row("organisations:api_key_list"),
    Row("organisations:api_key_add"),
    Row("organisations:api_key_add", method="POST", status=422),
    Row("organisations:api_key_detail", ("organisations.change_membership",), _api_key),  # it is Alice's
    Row("organisations:api_key_revoke", ("organisations.change_membership",), _api_key),
    Row("organisations:api_key_revoke", ("organisations.change_membership",), _api_key, "POST", 303),
    Row("organisations:notification_list", ("organisations.view_notificationchannel",)),
    Row("organisations:channel_add", ("organisations.add_notificationchannel",)),
    Row("organisations:channel_add", ("organisations.add_notificationchannel",), method="POST", status=422),
    Row("organisations:channel_edit", ("organisations.change_notificationchannel",), _channel),
    Row("organisations:channel_edit", ("organisations.change_notificationchannel",), _channel, "POST", 422),
    Row("organisations:channel_delete", ("organisations.delete_notificationchannel",), _channel),
    Row("organisations:channel_delete", ("organisations.delete_notificationchannel",), _channel, "POST", 303),
    Row("organisations:channel_test", ("organisations.change_notificationchannel",), _channel, "POST", 303),
    Row("organisations:audit", ("organisations.view_auditentry",)),
    Row("servers:list", ("servers.view_server",)),
    Row("servers:add", ("servers.add_server",)),
    Row("servers:add", ("servers.add_server",), method="POST", status=422),
    Row("servers:detail", ("servers.view_server",), _server),
    Row("servers:edit", ("servers.change_server",), _server),
    Row("servers:edit", ("servers.change_server",), _server, method="POST", status=422),
    Row("servers:delete", ("servers.delete_server",), _server),
    Row("servers:delete", ("servers.delete_server",), _server, method="POST", status=303),
    Row("servers:test", ("servers.view_server",), _server, method="POST", status=303),
    Row("servers:trust", ("servers.trust_server",), _server, method="POST", status=422),
    Row("servers:test_detail", ("servers.view_server",), _server_test),
    Row("servers:key_list", ("servers.view_sshkey",)),
    Row("servers:key_add", ("servers.add_sshkey",)),
    Row("servers:key_add", ("servers.add_sshkey",), method="POST", status=422),
    Row("servers:key_detail", ("servers.view_sshkey",), _key),
    Row("servers:key_edit", ("servers.change_sshkey",), _key),
    Row("servers:key_edit", ("servers.change_sshkey",), _key, method="POST", status=422),
    Row("servers:key_delete", ("servers.delete_sshkey",), _key),
    Row("servers:key_delete", ("servers.delete_sshkey",), _key, method="POST", status=422),
    Row("registries:list", ("registries.view_registry",)),
    Row("registries:choose", ("registries.add_registry",)),
    Row("registries:paste", ("registries.add_registry",), method="POST", status=422),
    Row("registries:add", ("registries.add_registry",), _kind),
    Row("registries:add", ("registries.add_registry",), _kind, method="POST", status=422),
    Row("registries:test_draft", ("registries.add_registry",), _kind, method="POST", status=422),
    Row("registries:test_detail", ("registries.view_registry",), _registry_test),
    Row("registries:detail", ("registries.view_registry",), _registry),
    Row("registries:edit", ("registries.change_registry",), _registry),
    Row("registries:edit", ("registries.change_registry",), _registry, method="POST", status=422),
    Row("registries:test_edit", ("registries.change_registry",), _registry, method="POST", status=422),
    Row("registries:test", ("registries.view_registry",), _registry, method="POST", status=303),
    Row("registries:refresh", ("registries.change_registry",), _registry, method="POST", status=303),
    Row("registries:logins", CHANGE_HERE, _registry, method="POST", status=303),
    Row(
        "registries:logins_retry",
        CHANGE_HERE,
        _registry,
        method="POST",
        status=303,
    ),
    Row("registries:rotation", ("registries.view_registry",), _rotation, status=303),
    Row("registries:rotation_switch", ("registries.change_registry",), _rotation, method="POST", status=303),
    Row("registries:rotation_discard", ("registries.change_registry",), _rotation, method="POST", status=303),
    Row("registries:server_logins", SEE_BOTH, _server),
    Row(
        "registries:config_check",
        SEE_BOTH,
        _server,
        method="POST",
        status=303,
    ),
    Row("registries:config_check_detail", SEE_BOTH, _config_check, status=303),
    Row(
        "registries:login_adopt",
        ("registries.add_registry", "servers.trust_server"),
        _server,
        method="POST",
        status=303,
    ),
    Row("registries:login_remove", ("servers.change_server",), _server, method="POST", status=303),
    Row(
        "registries:login_mend",
        CHANGE_HERE,
        _server,
        method="POST",
        status=303,
    ),
    Row("registries:delete", ("registries.delete_registry",), _registry),
    Row("registries:delete", ("registries.delete_registry",), _registry, method="POST", status=303),
    Row("applications:projects", ("applications.view_application",)),
    Row("applications:project_add", ("applications.add_project",)),
    Row("applications:project_add", ("applications.add_project",), method="POST", status=422),
    Row("applications:project", ("applications.view_application",), _project),
    Row("applications:project_edit", ("applications.change_project",), _project),
    Row("applications:project_edit", ("applications.change_project",), _project, method="POST", status=422),
    Row("applications:project_delete", ("applications.delete_project",), _project),
    Row("applications:project_delete", ("applications.delete_project",), _project, method="POST", status=422),
    Row("applications:project_delete", ("applications.delete_project",), _empty_project, method="POST", status=303),
    Row("applications:service_add", ("applications.add_application",), _project),
    Row("applications:add", ("applications.add_application",), _project),
    Row("applications:add", ("applications.add_application",), _project, method="POST", status=422),
    Row("applications:reference", ("applications.view_application",)),
    Row("applications:browse", method="POST", status=422, any_of=PICK_IMAGE),
    Row(
        "applications:browse_look",
        arguments=_catalog_look,
        status=404,  # it is Alice's
        any_of=PICK_IMAGE,
    ),
    Row("applications:detail", ("applications.view_application",), _application),
    Row("applications:edit", ("applications.change_application",), _application),
    Row("applications:edit", ("applications.change_application",), _application, method="POST", status=422),
    Row("applications:delete", ("applications.delete_application",), _application),
    Row("applications:delete", ("applications.delete_application",), _application, method="POST", status=303),
    Row("applications:deploy", ("applications.deploy_application",), _application, method="POST", status=303),
    Row(
        "applications:rollback",
        ("applications.deploy_application",),
        _application,
        method="POST",
        status=404,  # the table posts no deployment
    ),
    Row("applications:action", ("applications.deploy_application",), _application, method="POST", status=303),
    Row("applications:look", ("applications.view_application",), _application, method="POST", status=303),
    Row("applications:look_detail", ("applications.view_application",), _container_look, status=303),
    Row("applications:deployment", ("applications.view_application",), _deployment),
    Row("applications:cancel", ("applications.deploy_application",), _deployment, method="POST", status=303),
    Row("applications:webhook", CHANGE_APPLICATION, _application),
    Row(
        "applications:webhook_key", (*CHANGE_APPLICATION, "applications.deploy_application"), _application, "POST", 303
    ),
    Row("applications:webhook_end", CHANGE_APPLICATION, _application, "POST", 303),
    Row("applications:webhook_secret", CHANGE_APPLICATION, _application, "POST", 303),
    Row("applications:webhook_secret_remove", CHANGE_APPLICATION, _application, "POST", 303),
    Row("applications:webhook_unsigned", CHANGE_APPLICATION, _application, "POST", 303),
    Row("fleet:matrix", SEE_BOTH),
    Row("fleet:test", SEE_BOTH, method="POST", status=303),
    Row("fleet:test_registry", SEE_BOTH, _registry, method="POST", status=303),
    Row("fleet:test_server", SEE_BOTH, _server, method="POST", status=303),
    Row("fleet:batch", SEE_BOTH, _batch),
    Row("fleet:cancel", (*SEE_BOTH, "registries.change_registry"), _batch, method="POST", status=303),
)
TABLE = (*FREE, *OWNED)


@pytest.fixture
def things(organisation: Organisation, alice: User) -> Things:
    """One of each, made by Alice."""
    return make_things(organisation, alice)


def make_things(organisation: Organisation, alice: User) -> Things:
    """One of each, made by a member who may do everything."""
    dora = join(organisation, "dora", Role.VIEWER)
    invitation, token = invitations.invite(
        by=membership_of(alice), note="Erin", role=Role.VIEWER, names=frozenset({"registries.view_registry"})
    )
    key = SSHKey(organisation=organisation, name="deploy", public_key=PRIVATE_KEY.public)
    key.private_key = PRIVATE_KEY.private
    key.save()
    channel = NotificationChannel(organisation=organisation, name="On-call chat", shown_as="JSON at chat.example.com")
    channel.address = "json://chat.example.com/s3cret-of-the-chat"
    channel.save()
    server = Server.objects.create(
        organisation=organisation,
        name="web-1",
        host="192.0.2.10",
        user="deploy",
        ssh_key=key,
        seen_host_key=PRIVATE_KEY.public,
    )
    registry = Registry(
        organisation=organisation, name="Production", kind="generic", url="registry.example.com", username="robot"
    )
    registry.password = "s3cret-of-the-robot"
    registry.save()
    project = Project.objects.create(organisation=organisation, name="Shop")
    application = Application(
        organisation=organisation,
        project=project,
        name="web",
        server=Server.objects.create(organisation=organisation, name="run-1", host="192.0.2.11", ssh_key=key),
        image="shop/web:1",
        container_name="shop-web",
    )
    application.environment = "TOKEN=s3cret-of-the-application"
    application.save()
    return Things(
        organisation=organisation,
        membership=membership_of(dora),
        invitation=invitation,
        invitation_token=token,
        api_key=api_keys.make(membership=membership_of(alice), name="CI")[0],
        channel=channel,
        key=key,
        server=server,
        server_test=ServerTest.objects.create(organisation=organisation, server=server, asked_by=alice),
        registry=registry,
        rotation=Rotation.objects.create(
            organisation=organisation,
            registry=registry,
            asked_by=alice,
            url=registry.url,
            state=Rotation.State.SWITCHED,
        ),
        config_check=ConfigCheck.objects.create(organisation=organisation, server=server, asked_by=alice),
        registry_test=RegistryTest.objects.create(
            organisation=organisation,
            registry=registry,
            kind=registry.kind,
            url=registry.url,
            username=registry.username,
            asked_by=alice,
        ),
        batch=TestBatch.objects.create(organisation=organisation, registry=registry, asked_by=alice),
        project=project,
        empty_project=Project.objects.create(organisation=organisation, name="Empty"),
        application=application,
        deployment=Deployment.objects.create(
            organisation=organisation,
            application=application,
            asked_by=alice,
            state=Deployment.State.FAILED,
        ),
        container_look=ContainerLook.objects.create(organisation=organisation, application=application, asked_by=alice),
        catalog_look=CatalogLook.objects.create(organisation=organisation, url="registry.example.com", asked_by=alice),
    )


def url_names(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[str]:
    """The name of every URL pattern of the project, except those of Django's admin."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLPattern):
            yield prefix + (pattern.name or str(pattern.pattern))
        elif pattern.app_name != "admin":
            yield from url_names(pattern, f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix)
