"""The form of a registry whose tokens are minted: other fields, the same care."""

import datetime as dt
import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from organisations.models import User
from registries import saving
from registries.models import ONLY_HOST, Draft, Registry, RegistryTest, Rotation, TokenRefresh
from servers.models import Server
from tests.lab.google import Google
from tests.people import ClientOf
from tests.registries.rows import make_registry
from tests.servers.rows import make_server

HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
GOOGLE_KEY = Google().key_file(token_uri="https://oauth2.googleapis.com/token")
SECRET = "marked/secret+access+key/of/forty/letters"
FORM = {"name": "Builds", "url": HOST, "method": "access_key", "account_access_key_id": KEY_ID, "password": SECRET}


@pytest.fixture
def client(alice: User, client_of: ClientOf) -> Client:
    return client_of(alice)


def address(name: str, **more: str) -> str:
    return reverse(f"registries:{name}", kwargs={"organisation": "acme"} | more)


def add(client: Client, kind: str = "ecr", **values: str) -> Any:
    return client.post(address("add", kind=kind), FORM | values)


def edit(client: Client, registry: Registry, **values: str) -> Any:
    return client.post(address("edit", registry_id=registry.pk), FORM | values)


def test_it_is_saved_and_its_first_token_asked_for(client: Client) -> None:
    assert add(client).status_code == 303
    registry = Registry.objects.get()
    assert (registry.method, registry.username, registry.open_password()) == ("access_key", "AWS", SECRET)
    assert registry.account == {"access_key_id": KEY_ID, "role_arn": "", "external_id": ""}
    assert TokenRefresh.objects.get().registry == registry


def test_the_recommended_way_is_offered_first_and_asks_for_no_username(client: Client) -> None:
    page = client.get(address("add", kind="ecr")).content.decode()
    assert 'name="account_access_key_id"' in page
    assert 'name="username"' not in page


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("account_access_key_id", ""),
        ("account_access_key_id", "not a key"),
        ("account_role_arn", "not an arn"),
        ("account_external_id", "without a role"),
        ("password", ""),
        ("url", "registry.example.com"),
    ],
)
def test_bad_input_gets_its_error_at_the_field_and_loses_nothing(client: Client, field: str, value: str) -> None:
    response = add(client, **{field: value})
    page = response.content.decode()
    assert response.status_code == 422
    assert response.context["form"].errors[field]
    assert "Builds" in page
    assert SECRET not in page
    assert not Registry.objects.exists()


def test_a_pasted_token_can_still_be_used_as_it_is(client: Client) -> None:
    values = {"name": "Pasted", "url": HOST, "method": "stored", "username": "AWS", "password": "a-token"}
    assert client.post(address("add", kind="ecr"), values).status_code == 303
    registry = Registry.objects.get()
    assert (registry.method, registry.account, registry.refresh_due_at) == ("", {}, None)
    assert registry.secret_ends_at == registry.secret_changed_at + dt.timedelta(hours=12)
    assert "Ends" in client.get(registry.get_absolute_url()).content.decode()


def test_choosing_another_way_shows_its_fields_and_saves_nothing(client: Client) -> None:
    response = add(client, method="stored", switch="1")
    page = response.content.decode()
    assert response.status_code == 200
    assert 'name="username"' in page
    assert "Builds" in page
    assert SECRET not in page
    assert not Registry.objects.exists()


def test_without_javascript_a_button_shows_the_fields_of_the_choice(client: Client) -> None:
    assert re.search(r'<noscript><button[^>]*name="switch"', client.get(address("add", kind="ecr")).content.decode())


def test_the_machines_identity_is_refused_unless_it_is_set_up(client: Client, settings: Any) -> None:
    refused = add(client, method="machine", password="")
    assert "DOKREG_MACHINE_IDENTITY" in str(refused.context["form"].errors["method"])
    settings.DOKREG_MACHINE_IDENTITY = True
    assert add(client, method="machine", password="").status_code == 303
    registry = Registry.objects.get()
    assert (registry.password, registry.open_password()) == (None, "")


def test_blank_keeps_the_stored_secret(client: Client) -> None:
    add(client)
    registry = Registry.objects.get()
    assert edit(client, registry, name="Renamed", password="").status_code == 303
    registry.refresh_from_db()
    assert (registry.name, registry.open_password()) == ("Renamed", SECRET)
    assert TokenRefresh.objects.count() == 1  # a new name needs no new token


def test_another_way_to_log_in_asks_for_its_own_secret(client: Client) -> None:
    add(client)
    response = edit(client, Registry.objects.get(), method="stored", username="AWS", password="")
    assert "another way" in str(response.context["form"].errors["password"])
    assert Registry.objects.get().method == "access_key"


def test_another_host_asks_for_the_secret_again(client: Client) -> None:
    add(client)
    response = edit(client, Registry.objects.get(), url=HOST.replace("central-1", "west-1"), password="")
    assert "goes to no other host" in str(response.context["form"].errors["password"])


def test_a_pasted_service_account_mints_tokens(client: Client) -> None:
    client.post(address("paste"), {"text": GOOGLE_KEY})
    draft = Draft.objects.get()
    page = client.get(f"{address('add', kind='google')}?draft={draft.pk}").content.decode()
    assert re.search(r'value="service_account"[^>]*checked', page)
    assert "BEGIN PRIVATE KEY" not in page
    values = {"name": "Data", "url": "europe-west3-docker.pkg.dev", "method": "service_account", "draft": draft.pk}
    assert client.post(address("add", kind="google"), values).status_code == 303
    registry = Registry.objects.get()
    assert registry.username == "oauth2accesstoken"
    email = json.loads(GOOGLE_KEY)["client_email"]
    page = client.get(registry.get_absolute_url()).content.decode()
    assert email in page
    assert "BEGIN PRIVATE KEY" not in page


def test_the_policy_stands_beside_the_form(client: Client) -> None:
    page = client.get(address("add", kind="ecr_public")).content.decode()
    assert "ecr-public:GetAuthorizationToken" in page


def test_the_day_on_which_a_secret_ends_is_kept_and_shown(client: Client) -> None:
    day = timezone.now().date() + dt.timedelta(days=40)
    values = {"name": "Ends", "url": "r.example.com", "username": "u", "password": "p", "secret_ends_on": str(day)}
    assert client.post(address("add", kind="generic"), values).status_code == 303
    registry = Registry.objects.get()
    assert registry.secret_ends_on == day
    assert f"{day:%Y-%m-%d}" in client.get(registry.get_absolute_url()).content.decode()
    assert f"{day.day} {day:%b %Y}" in client.get(address("list")).content.decode()


def test_the_edit_page_names_what_depends_on_it_and_stages_new_credentials(
    client: Client, alice: User, server: Server
) -> None:
    registry = make_registry(alice.organisations.get(), alice)
    client.post(address("logins", registry_id=registry.pk), {"servers": [server.pk]})
    page = client.get(address("edit", registry_id=registry.pk)).content.decode()
    assert "1 server stays logged in with it." in page
    values = {"name": "Images", "url": registry.url, "username": "robot", "password": "a new one"}
    shown = client.post(address("edit", registry_id=registry.pk), values, follow=True).content.decode()
    assert "New credentials" in shown
    registry.refresh_from_db()
    assert registry.open_password() == "s3cret"
    assert Rotation.objects.get().registry == registry


def test_the_list_shows_tokens_and_logins_in_as_many_queries_for_three_as_for_one(
    client: Client, server: Server, django_assert_num_queries: Any
) -> None:
    def add_another(number: int) -> None:
        add(client, name=f"Builds {number}", account_access_key_id=f"AKIA{number:016}")
        registry = Registry.objects.get(name=f"Builds {number}")
        client.post(address("logins", registry_id=registry.pk), {"servers": [server.pk]})
        now = timezone.now()
        registry.token = "a token"
        registry.token_issued_at = now - dt.timedelta(hours=3, minutes=1)
        registry.refresh_due_at = now + dt.timedelta(hours=6, minutes=1)
        registry.token_expires_at = now + dt.timedelta(hours=9, minutes=1)
        registry.secret_ends_on = now.date() - dt.timedelta(days=1)  # the key has ended; its last token lives
        registry.save()

    add_another(0)
    client.get(address("list"))
    with CaptureQueriesContext(connection) as of_one:
        client.get(address("list"))
    queries = len(of_one)  # the log is emptied by the next request
    add_another(1)
    add_another(2)
    with django_assert_num_queries(queries):
        page = client.get(address("list")).content.decode()
    assert page.count("1 server<") == 3
    for words in ("issued 3 h ago,", "due in 6 h", "expires in 9 h"):
        assert page.count(words) == 3
    assert "Token ended" not in page


def test_a_very_long_service_account_is_shown_as_far_as_there_is_room(client: Client, alice: User) -> None:
    key = json.loads(GOOGLE_KEY) | {"client_email": f"{'a' * 300}@project.iam.gserviceaccount.com"}
    values = {"url": "europe-docker.pkg.dev", "method": "service_account", "password": json.dumps(key)}
    assert add(client, "google", **values).status_code in {303, 422}
    assert all(len(registry.secret_fact) <= 255 for registry in Registry.objects.all())


@pytest.fixture
def server(alice: User) -> Server:
    return make_server(alice.organisations.get())


def test_a_secret_that_was_read_from_a_server_goes_to_its_own_host_alone(client: Client, alice: User) -> None:
    organisation = alice.organisations.get()
    draft = saving.keep_draft(
        organisation=organisation, by=alice, values={"kind": "generic", ONLY_HOST: "r.example.com"}, password="unseen"
    )
    values = {"name": "Adopted", "url": "evil.example.com", "username": "u", "draft": draft.pk}
    for name in ("add", "test_draft"):
        refused = client.post(address(name, kind="generic"), values)
        assert "goes to no other host than r.example.com" in str(refused.context["form"].errors["password"])
    assert not RegistryTest.objects.exists()
    # Without JavaScript a test leads to a new draft, in which the secret is as bound as before.
    client.post(address("test_draft", kind="generic"), values | {"url": "r.example.com"})
    again = Draft.objects.exclude(pk=draft.pk).get()
    assert client.post(address("add", kind="generic"), values | {"draft": again.pk}).status_code == 422
    assert client.post(address("add", kind="generic"), values | {"url": "r.example.com"}).status_code == 303
    assert Registry.objects.get().open_password() == "unseen"


def test_a_secret_typed_into_the_wrong_field_is_not_shown_again(client: Client) -> None:
    typed = SECRET[:40]
    page = add(client, account_access_key_id=typed).content.decode()
    assert "looks like the secret access key" in page
    assert typed not in page


def test_the_stored_secret_does_not_follow_a_form_that_is_older_than_a_move(client: Client, alice: User) -> None:
    registry = make_registry(alice.organisations.get(), alice)
    stale = Registry.objects.get(pk=registry.pk)
    registry.url = "other.example.com"
    saving.save_registry(registry=registry, password="of the other host", by=alice)
    with pytest.raises(saving.ChangedMeanwhile):
        saving.save_registry(registry=stale, password=None, by=alice)
    kept = Registry.objects.get(pk=registry.pk)
    assert (kept.url, kept.open_password()) == ("other.example.com", "of the other host")


def test_what_is_changed_of_an_account_stands_in_the_trail(client: Client) -> None:
    add(client)
    role = "arn:aws:iam::123456789012:role/dokreg-pull"
    edit(client, Registry.objects.get(), account_role_arn=role, password="")
    assert role in client.get("/acme/settings/audit/").content.decode()
