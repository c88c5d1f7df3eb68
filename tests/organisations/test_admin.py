"""Django's admin: no secrets, nothing of other people's organisations, and the rules hold there too."""

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from dokreg import permissions
from organisations.models import AuditEntry, Organisation, Role, User
from registries.models import Registry, RegistryTest
from servers import keys
from servers.models import Server, ServerTest, SSHKey
from tests.pages import PRIVATE_KEY, Things
from tests.people import ClientOf, allow, join, membership_of

SECRET = "marked-secret-of-the-admin"
MODELS = sorted(
    f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    for model in admin.site._registry
    if model._meta.app_label in {"dokreg", "organisations", "servers", "registries", "applications", "axes"}
)


@pytest.fixture
def root(db: None, client_of: ClientOf) -> Client:
    """The browser of a superuser who is a member of nothing."""
    return client_of(User.objects.create_superuser("root", password="a long password"))


@pytest.fixture
def staff(bob: User, client_of: ClientOf) -> Client:
    """The browser of Bob, who is staff with every permission of Django's, and a member."""
    bob.is_staff = True
    bob.save()
    bob.user_permissions.set(Permission.objects.all())
    return client_of(bob)


def registry_form(things: Things, **changes: str) -> dict[str, str]:
    form = {
        "name": "Production",
        "kind": "generic",
        "url": "https://Registry.Example.com/",
        "username": "robot",
        "new_password": "",
        "image_prefix": "",
        "server": "",
    }
    return form | changes


def secrets_of(things: Things) -> list[str]:
    """The secrets in clear, and as they are stored."""
    stored = [things.registry.password, things.key.private_key, things.application.environment]
    ciphertexts = [secret.token.decode() for secret in stored if secret]
    clear = ["s3cret-of-the-robot", "s3cret-of-the-application"]
    return [*clear, PRIVATE_KEY.private[40:80], things.invitation.token_hash, things.api_key.key_hash, *ciphertexts]


@pytest.mark.parametrize("path", MODELS)
def test_every_list_opens_and_can_be_searched(path: str, root: Client, things: Things) -> None:
    assert root.get(path).status_code == 200
    assert root.get(path, {"q": "a"}).status_code in {200, 302}


@pytest.mark.parametrize(
    "name",
    [
        "registry",
        "key",
        "server",
        "invitation",
        "api_key",
        "registry_test",
        "server_test",
        "membership",
        "project",
        "application",
        "deployment",
        "container_look",
    ],
)
def test_no_page_shows_a_secret(name: str, root: Client, things: Things) -> None:
    row = getattr(things, name)
    path = f"/admin/{row._meta.app_label}/{row._meta.model_name}/"
    for page in (root.get(f"{path}{row.pk}/change/"), root.get(path), root.get(f"{path}{row.pk}/history/")):
        assert page.status_code == 200
        for secret in secrets_of(things):
            assert secret not in page.content.decode()


def test_entries_of_the_audit_trail_show_no_secret(root: Client, things: Things) -> None:
    for entry in AuditEntry.objects.all():
        page = root.get(f"/admin/organisations/auditentry/{entry.pk}/change/").content.decode()
        assert not [secret for secret in secrets_of(things) if secret in page]


def test_a_registry_is_added_with_its_host_normalised(root: Client, things: Things) -> None:
    form = registry_form(things, organisation=things.organisation.pk, name="Second", new_password=SECRET)
    assert root.post("/admin/registries/registry/add/", form).status_code == 302
    registry = Registry.objects.get(name="Second")
    assert (registry.url, registry.open_password()) == ("registry.example.com", SECRET)


def test_a_registry_needs_a_password_at_first(root: Client, things: Things) -> None:
    form = registry_form(things, organisation=things.organisation.pk, name="Second")
    assert "Enter the password or token." in root.post("/admin/registries/registry/add/", form).content.decode()


def test_an_empty_password_keeps_the_stored_one(root: Client, things: Things) -> None:
    path = f"/admin/registries/registry/{things.registry.pk}/change/"
    assert root.post(path, registry_form(things, username="other")).status_code == 302
    kept = Registry.objects.get(pk=things.registry.pk)
    assert (kept.username, kept.open_password()) == ("other", "s3cret-of-the-robot")
    assert kept.secret_changed_at == things.registry.secret_changed_at


def test_a_new_password_is_dated(root: Client, things: Things) -> None:
    before = timezone.now()
    path = f"/admin/registries/registry/{things.registry.pk}/change/"
    assert root.post(path, registry_form(things, new_password=f" {SECRET} ")).status_code == 302
    changed = Registry.objects.get(pk=things.registry.pk)
    assert changed.open_password() == f" {SECRET} "
    assert changed.secret_changed_at >= before


def test_another_host_asks_for_the_password_again(root: Client, things: Things) -> None:
    path = f"/admin/registries/registry/{things.registry.pk}/change/"
    page = root.post(path, registry_form(things, url="evil.example"))
    assert "the stored one goes to no other host" in page.content.decode()
    assert Registry.objects.get(pk=things.registry.pk).url == "registry.example.com"


@pytest.mark.parametrize(
    "change", [{"url": "a b"}, {"url": "ghcr.io/team"}, {"image_prefix": "Team"}, {"username": ""}]
)
def test_mistakes_in_a_registry_are_shown_without_the_password(
    change: dict[str, str], root: Client, things: Things
) -> None:
    path = f"/admin/registries/registry/{things.registry.pk}/change/"
    page = root.post(path, registry_form(things, new_password=SECRET, **change))
    assert page.status_code == 200
    assert "errorlist" in page.content.decode()
    assert SECRET not in page.content.decode()


def test_a_name_that_is_taken_is_refused_in_words(root: Client, things: Things) -> None:
    second = Registry(organisation=things.organisation, name="Second", kind="generic", url="a.example", username="x")
    second.password = SECRET
    second.save()
    page = root.post(f"/admin/registries/registry/{second.pk}/change/", registry_form(things, new_password=SECRET))
    assert "Another registry of this organisation has this name." in page.content.decode()


def test_a_server_of_another_organisation_is_refused(root: Client, things: Things, charlie: User) -> None:
    other = Registry(organisation=membership_of(charlie).organisation, name="x", kind="generic", url="a.example")
    other.username, other.password = "x", SECRET
    other.save()
    form = registry_form(things, url="a.example", server=things.server.pk)
    page = root.post(f"/admin/registries/registry/{other.pk}/change/", form)
    assert "web-1 belongs to another organisation." in page.content.decode()


def test_an_ssh_key_is_read_and_never_shown(root: Client, things: Things) -> None:
    pair = keys.generate()
    form = {"organisation": things.organisation.pk, "name": "second", "pasted_key": pair.private}
    assert root.post("/admin/servers/sshkey/add/", form).status_code == 302
    saved = SSHKey.objects.get(name="second")
    assert saved.public_key == keys.read_private_key(saved.private_key.reveal()).public == pair.public


def test_a_bad_ssh_key_is_refused_and_not_sent_back(root: Client, things: Things) -> None:
    form = {"organisation": things.organisation.pk, "name": "", "pasted_key": PRIVATE_KEY.private}
    assert PRIVATE_KEY.private[40:80] not in root.post("/admin/servers/sshkey/add/", form).content.decode()
    page = root.post("/admin/servers/sshkey/add/", form | {"name": "x", "pasted_key": PRIVATE_KEY.public})
    assert "This is the public half" in page.content.decode()


def test_an_ssh_key_is_renamed_and_its_pair_stays(root: Client, things: Things) -> None:
    path = f"/admin/servers/sshkey/{things.key.pk}/change/"
    assert "pasted_key" not in root.get(path).content.decode()
    assert root.post(path, {"name": "renamed"}).status_code == 302
    kept = SSHKey.objects.get(pk=things.key.pk)
    assert (kept.name, kept.private_key.reveal()) == ("renamed", PRIVATE_KEY.private)


def test_another_host_of_a_server_starts_without_a_pinned_key(root: Client, things: Things) -> None:
    Server.objects.filter(pk=things.server.pk).update(host_key=PRIVATE_KEY.public)
    form = {"name": "web-1", "host": "192.0.2.11", "port": "22", "user": "deploy", "ssh_key": things.key.pk}
    assert root.post(f"/admin/servers/server/{things.server.pk}/change/", form).status_code == 302
    assert Server.objects.get(pk=things.server.pk).host_key == ""


def test_the_chosen_ones_are_tested(root: Client, things: Things) -> None:
    RegistryTest.objects.all().delete()
    ServerTest.objects.all().delete()
    for path, row in (("servers/server", things.server), ("registries/registry", things.registry)):
        data = {"action": "test_chosen", "_selected_action": row.pk}
        page = root.post(f"/admin/{path}/", data, follow=True)
        assert "Tests asked for: 1." in page.content.decode()
    assert RegistryTest.objects.get().asked_by == ServerTest.objects.get().asked_by == User.objects.get(username="root")


def test_the_chosen_api_keys_are_revoked(root: Client, things: Things) -> None:
    data = {"action": "revoke_chosen", "_selected_action": things.api_key.pk}
    page = root.post("/admin/organisations/apikey/", data, follow=True)
    assert "API keys revoked: 1." in page.content.decode()
    things.api_key.refresh_from_db()
    assert things.api_key.state == "revoked"
    assert things.api_key.revoked_by == User.objects.get(username="root")


@pytest.mark.parametrize("name", ["registry_test", "server_test", "invitation", "api_key"])
def test_what_dokreg_writes_is_read_only(name: str, root: Client, things: Things) -> None:
    row = getattr(things, name)
    path = f"/admin/{row._meta.app_label}/{row._meta.model_name}/"
    assert root.get(f"{path}add/").status_code == 403
    assert root.post(f"{path}{row.pk}/change/", {}).status_code == 403
    assert root.post(f"{path}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_registry_is_deleted_with_its_tests(root: Client, things: Things) -> None:
    assert root.post(f"/admin/registries/registry/{things.registry.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not RegistryTest.objects.exists()


def test_an_organisation_is_deleted_with_everything(root: Client, things: Things) -> None:
    page = root.post(f"/admin/organisations/organisation/{things.organisation.pk}/delete/", {"post": "yes"})
    assert page.status_code == 302
    assert not Server.objects.exists()
    assert not SSHKey.objects.exists()


def test_the_last_owner_stays_in_the_admin_too(root: Client, alice: User) -> None:
    membership = membership_of(alice)
    path = f"/admin/organisations/membership/{membership.pk}/"
    page = root.post(f"{path}change/", {"user": alice.pk, "role": Role.VIEWER, "permissions": ""})
    assert "alice is the last owner" in page.content.decode()
    assert root.post(f"{path}delete/", {"post": "yes"}).status_code == 403
    assert root.post(f"/admin/organisations/user/{alice.pk}/delete/", {"post": "yes"}).status_code == 403
    assert membership_of(alice).role == Role.OWNER


@pytest.fixture
def elsewhere(charlie: User) -> Registry:
    """A registry of Charlie's organisation."""
    registry = Registry(
        organisation=membership_of(charlie).organisation, name="Hidden", kind="generic", url="a.example"
    )
    registry.username, registry.password = "x", SECRET
    registry.save()
    return registry


def test_staff_sees_the_rows_of_their_organisations(staff: Client, things: Things, elsewhere: Registry) -> None:
    page = staff.get("/admin/registries/registry/").content.decode()
    assert "Production" in page
    assert "Hidden" not in page
    assert "Elsewhere" not in page
    assert staff.get(f"/admin/registries/registry/{elsewhere.pk}/change/").status_code == 302
    action = {"action": "test_chosen", "_selected_action": elsewhere.pk}
    staff.post("/admin/registries/registry/", action)
    assert not elsewhere.tests.exists()


# Addresses and user names of refused sign-ins belong to no organisation.
@pytest.mark.parametrize("path", [path for path in MODELS if "/axes/" not in path])
def test_no_list_shows_staff_other_organisations(path: str, staff: Client, things: Things, elsewhere: Registry) -> None:
    page = staff.get(path).content.decode()
    for name in ("Hidden", "Elsewhere", "charlie"):
        assert name not in page


def test_staff_is_offered_only_their_own(staff: Client, things: Things, elsewhere: Registry) -> None:
    page = staff.get("/admin/registries/registry/add/").content.decode()
    assert re.search(r">\s*Acme\s*</option>", page)
    assert "Elsewhere" not in page
    form = registry_form(things, organisation=elsewhere.organisation_id, name="Second", new_password=SECRET)
    assert "Select a valid choice" in staff.post("/admin/registries/registry/add/", form).content.decode()


def test_staff_needs_the_membership_for_what_they_do(staff: Client, bob: User, things: Things) -> None:
    path = f"/admin/registries/registry/{things.registry.pk}/"
    allow(bob, "registries.view_registry")
    assert staff.get(f"{path}change/").status_code == 200
    assert staff.post(f"{path}change/", registry_form(things)).status_code == 403
    assert staff.post(f"{path}delete/", {"post": "yes"}).status_code == 403
    allow(bob)
    assert staff.get(f"{path}change/").status_code == 302


def test_staff_sees_and_revokes_api_keys_as_on_the_pages(staff: Client, bob: User, things: Things) -> None:
    revoke = {"action": "revoke_chosen", "_selected_action": things.api_key.pk}
    allow(bob, *(permissions.ALL - {"organisations.change_membership"}))
    assert things.api_key.start not in staff.get("/admin/organisations/apikey/").content.decode()
    staff.post("/admin/organisations/apikey/", revoke)
    things.api_key.refresh_from_db()
    assert things.api_key.is_active
    allow(bob, "organisations.change_membership")
    assert things.api_key.start in staff.get("/admin/organisations/apikey/").content.decode()
    bob.user_permissions.set(Permission.objects.exclude(codename="change_apikey"))
    staff.post("/admin/organisations/apikey/", revoke)
    things.api_key.refresh_from_db()
    assert things.api_key.is_active
    bob.user_permissions.set(Permission.objects.all())
    staff.post("/admin/organisations/apikey/", revoke)
    things.api_key.refresh_from_db()
    assert not things.api_key.is_active


def test_staff_does_not_become_more_by_the_admin(staff: Client, bob: User, alice: User) -> None:
    membership = membership_of(bob)
    form = {"user": bob.pk, "role": Role.OWNER, "permissions": ""}
    assert staff.post(f"/admin/organisations/membership/{membership.pk}/change/", form).status_code in {302, 403}
    assert staff.post(f"/admin/organisations/user/{bob.pk}/change/", {"is_superuser": "on"}).status_code == 403
    assert staff.post(f"/admin/organisations/user/{alice.pk}/password/", {}).status_code == 403
    assert membership_of(bob).role == Role.MEMBER
    assert staff.post("/admin/auth/group/add/", {"name": "x"}).status_code in {302, 403}
    bob.refresh_from_db()
    assert not bob.is_superuser


def test_a_person_of_two_organisations_is_listed_once(root: Client, staff: Client, organisation: Organisation) -> None:
    erin = join(organisation, "erin", Role.VIEWER)
    Organisation.objects.create(name="Beta", slug="beta").memberships.create(user=erin, role=Role.VIEWER)
    assert staff.get("/admin/organisations/user/").content.decode().count(">erin</a>") == 1


def test_a_registry_that_mints_keeps_its_method_and_takes_a_new_secret(root: Client, things: Things) -> None:
    account = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "role_arn": "", "external_id": ""}
    Registry.objects.update(
        kind="ecr",
        url="123456789012.dkr.ecr.eu-central-1.amazonaws.com",
        username="AWS",
        method="access_key",
        account=account,
    )
    path = f"/admin/registries/registry/{things.registry.pk}/change/"
    form = registry_form(things, url="123456789012.dkr.ecr.eu-central-1.amazonaws.com", new_password="w" * 40)
    assert root.post(path, form).status_code == 302
    changed = Registry.objects.get(pk=things.registry.pk)
    assert (changed.method, changed.username, changed.account) == ("access_key", "AWS", account)
    assert changed.open_password() == "w" * 40
    assert changed.refresh_due_at is not None
