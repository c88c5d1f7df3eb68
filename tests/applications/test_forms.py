"""The form of an application: what is typed is checked at its field, stored as settings, and never lost."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from applications.models import Application, Project
from dokreg.encryption import SecretUnreadable
from organisations.models import Organisation, User
from registries.models import Registry
from servers.models import Server
from tests.applications.page_rows import address
from tests.applications.rows import make_application
from tests.pages import OWNED, Row, Things
from tests.people import ClientOf, allow
from tests.registries.rows import make_registry
from tests.servers.rows import make_server

MARKED = "marked-value-of-the-environment"
FORM = {
    "name": "web", "registry": "", "image": "nginx:1.27", "container_name": "", "ports": "", "volumes": "",
    "command": "", "environment": "", "restart_policy": "unless-stopped", "network": "bridge", "health_command": "",
    "health_interval_seconds": "10", "health_timeout_seconds": "5", "health_retries": "3", "health_start_seconds": "0",
    "memory_mb": "", "cpus": "", "order": "auto", "settle_seconds": "3", "stop_seconds": "10",
    "poll_minutes": "0",
}  # fmt: skip


@pytest.fixture
def project(organisation: Organisation) -> Project:
    return Project.objects.create(organisation=organisation, name="Shop")


@pytest.fixture
def images(organisation: Organisation, alice: User) -> Registry:
    return make_registry(organisation, alice, "Images", image_prefix="acme")


def add(client: Client, project: Project, **values: str) -> Any:
    server = Server.objects.get()
    return client.post(address("add", project_id=project.pk), FORM | {"server": server.pk} | values)


def test_it_is_saved_with_lists_of_what_was_typed_in_lines(
    client: Client, project: Project, host: Server, images: Registry
) -> None:
    response = add(
        client,
        project,
        registry=images.pk,
        image="shop/web:1",
        ports="8080:80\r\n127.0.0.1:53:53/udp",
        volumes="data:/data",
        command="serve --greeting 'hello world'",
        environment=f"TOKEN={MARKED}\r\nDEBUG=0",
        cpus="0.5",
    )
    application = Application.objects.get()
    assert (response.status_code, response["Location"]) == (303, application.get_absolute_url())
    assert [port["host_port"] for port in application.ports] == [8080, 53]
    assert application.volumes[0]["target"] == "/data"
    assert application.command == ["serve", "--greeting", "hello world"]
    assert application.environment_names == ["DEBUG", "TOKEN"]
    assert application.environment
    assert application.environment.reveal() == f"TOKEN={MARKED}\nDEBUG=0"
    assert (application.container_name, application.project, application.server) == ("shop-web", project, host)


def test_a_container_name_that_is_taken_on_the_server_gets_a_number(
    client: Client, project: Project, host: Server, organisation: Organisation
) -> None:
    make_application(organisation, server=host, registry=None, image="nginx", name="old", container_name="shop-web")
    add(client, project)
    assert Application.objects.get(name="web").container_name == "shop-web-2"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("image", "UPPER/web", "lower"),
        ("image", "", "required"),
        ("name", "", "required"),
        ("server", "", "required"),
        ("ports", "80", "only one port"),
        ("ports", "1:99999", "8080:80"),
        ("volumes", "data:relative", "begins with a slash"),
        ("command", "'", "quotation mark"),
        ("environment", "nonsense", "Line 1"),
        ("container_name", "-x", "letters, digits"),
        ("network", "a b", "network"),
        ("memory_mb", "1", "6"),
        ("cpus", "0", "0.01"),
        ("health_retries", "0", "1"),
    ],
)
def test_bad_input_gets_its_error_at_the_field_and_loses_nothing(
    client: Client, project: Project, host: Server, field: str, value: str, words: str
) -> None:
    kept = {"environment": f"TOKEN={MARKED}", "volumes": "kept:/kept", "health_command": "kept --check"}
    response = add(client, project, **kept | {field: value})
    page = response.content.decode()
    assert response.status_code == 422
    assert words.lower() in " ".join(response.context["form"].errors[field]).lower()
    assert all(text in page for name, text in kept.items() if name != field)
    assert 'value="TOKEN' not in page
    assert not Application.objects.exists()


def test_ports_make_no_sense_in_the_network_of_the_server(client: Client, project: Project, host: Server) -> None:
    assert "ports" in add(client, project, ports="80:80", network="host").context["form"].errors


def test_two_containers_cannot_have_the_same_ports_at_once(client: Client, project: Project, host: Server) -> None:
    assert "order" in add(client, project, ports="80:80", order="start_first").context["form"].errors


def test_what_is_taken_already_is_said_at_its_field(
    client: Client, project: Project, host: Server, organisation: Organisation
) -> None:
    make_application(organisation, server=host, registry=None, image="nginx")
    errors = add(client, project, container_name="other").context["form"].errors
    assert list(errors) == ["name"]
    errors = add(client, project, name="other", container_name="web").context["form"].errors
    assert list(errors) == ["container_name"]


def test_a_server_of_another_organisation_cannot_be_chosen(
    client: Client, project: Project, host: Server, charlie: User
) -> None:
    elsewhere = make_server(charlie.organisations.get(), "elsewhere")
    response = client.post(address("add", project_id=project.pk), FORM | {"server": elsewhere.pk})
    assert "server" in response.context["form"].errors


# The environment


def test_the_environment_is_in_the_form_of_an_edit_and_nowhere_else(
    client: Client, host: Server, organisation: Organisation
) -> None:
    application = make_application(
        organisation,
        server=host,
        registry=None,
        image="nginx",
        environment=f"TOKEN={MARKED}",
        environment_names=["TOKEN"],
    )
    edit = client.get(address("edit", application_id=application.pk))
    assert f"TOKEN={MARKED}" in edit.content.decode()
    assert "no-store" in edit["Cache-Control"]
    assert 'hx-history="false"' in edit.content.decode()
    for page in (application.get_absolute_url(), application.project.get_absolute_url(), address("projects")):
        text = client.get(page).content.decode()
        assert "web" in text
        assert MARKED not in text
    assert "TOKEN" in client.get(application.get_absolute_url()).content.decode()


@pytest.mark.parametrize(
    "row", [row for row in OWNED if row.method == "GET" and row.name != "applications:edit"], ids=lambda row: row.id
)
def test_no_other_page_has_the_environment(row: Row, client: Client, things: Things) -> None:
    assert "s3cret-of-the-application" not in client.get(row.address(things)).content.decode()


def test_saving_it_as_it_was_is_no_change(client: Client, host: Server, organisation: Organisation) -> None:
    application = make_application(organisation, server=host, registry=None, image="nginx:1.27", environment="A=1\nB=2")
    before = Application.objects.get()
    values = FORM | {"server": host.pk, "container_name": "web", "network": "host", "environment": "A=1\r\nB=2"}
    values |= {"settle_seconds": "0", "stop_seconds": "1"}
    response = client.post(address("edit", application_id=application.pk), values)
    assert response.status_code == 303
    after = Application.objects.get()
    assert after.environment_changed_at == before.environment_changed_at
    assert after.settings_changed_at == before.settings_changed_at


def test_an_environment_that_no_key_opens_is_kept_until_it_is_entered_again(
    client: Client, host: Server, organisation: Organisation
) -> None:
    application = make_application(organisation, server=host, registry=None, image="nginx", environment="A=1")
    other = make_application(organisation, server=host, registry=None, image="nginx", name="other", environment="B=2")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE applications_application SET environment = (SELECT environment FROM applications_application "
            "WHERE id = %s) WHERE id = %s",
            [other.pk, application.pk],
        )
    edit = address("edit", application_id=application.pk)
    values = FORM | {"server": host.pk, "container_name": "web"}
    assert "cannot be opened any more" in client.get(edit).content.decode()
    assert client.post(edit, values).status_code == 303
    with pytest.raises(SecretUnreadable):
        _environment(application)
    assert client.post(edit, values | {"environment": "C=3"}).status_code == 303
    assert _environment(application) == "C=3"


def _environment(application: Application) -> str:
    application.refresh_from_db()
    assert application.environment is not None
    return str(application.environment.reveal())


# The registry, and the full reference


def test_the_full_reference_is_said_while_typing(client: Client, images: Registry) -> None:
    def line(**typed: str) -> str:
        return client.get(address("reference"), typed).content.decode().replace("<wbr>", "")

    assert "<code>registry.example.com/acme/shop/web:1</code>" in line(registry=images.pk, image="shop/web:1")
    assert "<code>docker.io/library/nginx:latest</code>" in line(image="nginx")
    assert "The full pull reference shows here" in line(image=" ")
    wrong = line(registry=images.pk, image="ghcr.io/shop/web")
    assert "<code>" not in wrong
    assert "ghcr.io" in wrong


def test_an_image_of_another_saved_registry_offers_that_one(
    client: Client, alice: User, organisation: Organisation, images: Registry
) -> None:
    other = make_registry(organisation, alice, "Other", url="ghcr.io")
    answer = client.get(address("reference"), {"registry": images.pk, "image": "ghcr.io/shop/web"}).content.decode()
    assert f'value="{other.pk}"' in answer
    answer = client.get(address("reference"), {"image": "ghcr.io/shop/web"}).content.decode().replace("<wbr>", "")
    assert "<code>ghcr.io/shop/web:latest</code>" in answer
    assert f'value="{other.pk}"' in answer


def test_without_javascript_the_offered_registry_is_chosen_by_sending_the_form(
    client: Client, project: Project, host: Server, images: Registry
) -> None:
    page = add(client, project, image="registry.example.com/acme/web", offered_registry=images.pk, environment="A=1")
    text = page.content.decode().replace("<wbr>", "")
    assert page.status_code == 200
    assert f'<option value="{images.pk}" selected>' in text
    assert "A=1" in text
    assert "registry.example.com/acme/web:latest" in text
    assert not Application.objects.exists()


def test_without_the_right_to_use_registries_none_is_offered(
    bob: User, client_of: ClientOf, project: Project, host: Server, images: Registry
) -> None:
    allow(bob, "applications.add_application", "applications.view_application")
    client = client_of(bob)
    assert images.pk not in client.get(address("add", project_id=project.pk)).content.decode()
    assert "registry" in add(client, project, registry=images.pk).context["form"].errors
    line = client.get(address("reference"), {"registry": images.pk, "image": "registry.example.com/acme/web"})
    assert images.pk not in line.content.decode()
    assert "Images" not in line.content.decode()


def test_without_that_right_the_registry_that_is_set_may_stay(
    bob: User, alice: User, client_of: ClientOf, host: Server, images: Registry, organisation: Organisation
) -> None:
    other = make_registry(organisation, alice, "Other", url="ghcr.io")
    application = make_application(organisation, server=host, registry=images, image="web")
    allow(bob, "applications.change_application")
    edit, client = address("edit", application_id=application.pk), client_of(bob)
    values = FORM | {"server": host.pk, "image": "web:2"}
    assert client.post(edit, values | {"registry": other.pk}).status_code == 422
    assert client.post(edit, values | {"registry": images.pk}).status_code == 303
    application.refresh_from_db()
    assert (application.image, application.registry) == ("web:2", images)
