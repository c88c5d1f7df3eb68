"""The pages of servers: who may open them, what they show, what their forms do."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from organisations.models import Membership, Organisation, User
from registries.models import Registry
from servers.models import Run, Server, ServerTest
from tests.people import ClientOf
from tests.servers.rows import HOST_KEY, OTHER_HOST_KEY, make_key, make_server, make_test

pytestmark = pytest.mark.django_db


HTMX = {"HX-Request": "true"}


def url(name: str, **ids: str) -> str:
    return reverse(f"servers:{name}", kwargs={"organisation": "acme"} | ids)


def text_of(response: Any) -> str:
    return str(response.content.decode().replace("<wbr>", ""))  # where an address may be broken


def count_queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


# The list


def test_the_list_shows_what_is_known_of_a_server(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    make_test(make_server(organisation, host_key=HOST_KEY))
    page = text_of(client_of(alice).get(url("list")))
    for shown in ("web-1", "deploy@10.0.0.5:22", "Passed", "just now", "28.2.1", "Confirmed"):
        assert shown in page


def test_the_list_of_another_organisation_stays_its_own(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    make_server(Organisation.objects.create(name="Other", slug="other"), "elsewhere")
    assert "elsewhere" not in text_of(client_of(alice).get(url("list")))


def test_the_list_asks_as_many_questions_for_thirty_as_for_three(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    client = client_of(alice)
    client.get(url("list"))
    for number in range(3):
        make_test(make_server(organisation, f"web-{number}"))
    few = count_queries(client, url("list"))
    for number in range(3, 30):
        make_test(make_server(organisation, f"web-{number}"))
    assert count_queries(client, url("list")) == few


def test_a_page_has_25_rows(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    for number in range(30):
        make_server(organisation, f"web-{number:02}")
    client = client_of(alice)
    assert "web-24" in text_of(client.get(url("list")))
    assert "web-25" not in text_of(client.get(url("list")))
    assert "web-25" in text_of(client.get(url("list"), {"page": "2"}))


@pytest.mark.parametrize("query", ["WEB", "0.0.7"])
def test_search_looks_at_name_and_host(
    organisation: Organisation, alice: User, client_of: ClientOf, query: str
) -> None:
    make_server(organisation, "web-1", host="10.0.0.7")
    make_server(organisation, "db-1", host="10.0.0.5")
    page = text_of(client_of(alice).get(url("list"), {"q": query}))
    assert "web-1" in page
    assert "db-1" not in page


def test_a_search_without_a_match_says_so(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    make_server(organisation)
    assert "Nothing found" in text_of(client_of(alice).get(url("list"), {"q": "nowhere"}))


@pytest.mark.parametrize(("sort", "first"), [("name", "alpha"), ("-name", "beta"), ("host", "beta"), ("odd", "alpha")])
def test_headers_sort(organisation: Organisation, alice: User, client_of: ClientOf, sort: str, first: str) -> None:
    make_server(organisation, "alpha", host="b.example")
    make_server(organisation, "beta", host="a.example")
    page = text_of(client_of(alice).get(url("list"), {"sort": sort}))
    assert re.findall(r"alpha|beta", page.split("<tbody>")[1])[0] == first


def test_htmx_gets_the_table_alone(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    make_server(organisation)
    response = client_of(alice).get(url("list"), headers=HTMX)
    assert text_of(response).lstrip().startswith('<div id="servers"')
    assert "HX-Request" in response["Vary"]


def test_the_list_looks_again_while_a_test_runs(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    make_test(make_server(organisation), Run.State.RUNNING)
    assert 'hx-trigger="every 2s"' in text_of(client_of(alice).get(url("list")))


def test_an_empty_list_asks_for_a_key_first(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    client = client_of(alice)
    assert url("key_add") in text_of(client.get(url("list")))
    make_key(organisation)
    assert "No servers yet" in text_of(client.get(url("list")))


# Adding and editing


def values(**changes: str) -> dict[str, str]:
    return {"name": "web-1", "host": "web-1.example.com", "port": "22", "user": "deploy"} | changes


def test_a_new_server_is_saved_and_tested(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    key = make_key(organisation)
    response = client_of(alice).post(url("add"), values(ssh_key=key.pk, host=" WEB-1.Example.com. "))
    server = Server.objects.get()
    assert response.status_code == 303
    assert response["Location"] == server.get_absolute_url()
    assert server.host == "web-1.example.com"
    assert server.last_test is not None
    assert server.last_test.asked_by == alice


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "", "required"),
        ("host", "deploy@web-1", "Enter a host name or an IP address alone"),
        ("host", "web-1:22", "Enter a host name or an IP address alone"),
        ("port", "0", "greater than or equal to 1"),
        ("port", "65536", "less than or equal to 65535"),
        ("user", "-oProxyCommand=x", "as the server knows it"),
        ("user", "root; id", "as the server knows it"),
        ("user", "a$(id)", "as the server knows it"),
        ("ssh_key", "nothing", "Select a valid choice"),
    ],
)
def test_what_cannot_be_right_is_refused_at_its_field(
    organisation: Organisation, alice: User, client_of: ClientOf, field: str, value: str, told: str
) -> None:
    key = make_key(organisation)
    response = client_of(alice).post(url("add"), values(ssh_key=key.pk) | {field: value})
    assert response.status_code == 422
    assert told in str(response.context["form"].errors[field])
    assert not Server.objects.exists()


def test_a_name_is_given_once_in_an_organisation(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    server = make_server(organisation)
    response = client_of(alice).post(url("add"), values(ssh_key=server.ssh_key.pk))
    assert response.status_code == 422
    assert response.context["form"].errors["name"] == ["Another server of this organisation has this name."]


def test_the_key_of_another_organisation_is_not_offered(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    foreign = make_key(Organisation.objects.create(name="Other", slug="other"), "foreign")
    client = client_of(alice)
    assert "foreign" not in text_of(client.get(url("add")))
    assert client.post(url("add"), values(ssh_key=foreign.pk)).status_code == 422


def test_without_a_key_the_form_leads_to_one(alice: User, client_of: ClientOf) -> None:
    assert url("key_add") in text_of(client_of(alice).get(url("add")))


def test_a_changed_name_starts_no_test(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    server = make_server(organisation, host="web-1.example.com", host_key=HOST_KEY)
    client_of(alice).post(url("edit", server_id=server.pk), values(name="web-2", ssh_key=server.ssh_key.pk))
    server.refresh_from_db()
    assert (server.name, server.host_key, server.last_test) == ("web-2", HOST_KEY, None)


def test_a_changed_user_is_tested_with_the_pinned_key(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    server = make_server(organisation, host="web-1.example.com", host_key=HOST_KEY)
    client_of(alice).post(url("edit", server_id=server.pk), values(user="root", ssh_key=server.ssh_key.pk))
    server.refresh_from_db()
    assert server.host_key == HOST_KEY
    assert server.last_test is not None


def test_the_form_says_that_another_host_starts_without_a_host_key(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    server = make_server(organisation)
    page = text_of(client_of(alice).get(url("edit", server_id=server.pk)))
    assert "has to show its host key again" in page


# The page of one server


def test_the_detail_page_shows_facts_ladder_and_history(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    server = make_server(organisation, host_key=HOST_KEY)
    make_test(server, asked_by=alice)
    page = text_of(client_of(alice).get(url("detail", server_id=server.pk)))
    for shown in (server.address, server.host_key_fingerprint, "Docker daemon", "28.2.1", "alice", "Delete…"):
        assert shown in page
    assert 'hx-trigger="load' not in page


def test_history_costs_no_question_per_test(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    server = make_server(organisation)
    address = url("detail", server_id=server.pk)
    client = client_of(alice)
    make_test(server, asked_by=alice)
    client.get(address)
    few = count_queries(client, address)
    for _ in range(25):
        make_test(server, asked_by=alice)
    assert count_queries(client, address) == few


def test_a_running_test_is_watched(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    server = make_server(organisation)
    test = make_test(server, Run.State.RUNNING, revision=3)
    page = text_of(client_of(alice).get(url("detail", server_id=server.pk)))
    assert f'hx-get="{url("test_detail", test_id=test.pk)}?seen=3"' in page


def test_a_member_without_the_permission_to_delete_sees_no_delete(
    organisation: Organisation, bob: User, client_of: ClientOf
) -> None:
    server = make_server(organisation)
    assert "Delete…" not in text_of(client_of(bob).get(url("detail", server_id=server.pk)))


@pytest.mark.parametrize("name", ["detail", "edit", "delete", "test", "trust"])
def test_a_server_of_another_organisation_is_not_found(
    organisation: Organisation, alice: User, client_of: ClientOf, name: str
) -> None:
    foreign = make_server(Organisation.objects.create(name="Other", slug="other"))
    client = client_of(alice)
    method = client.post if name in {"test", "trust"} else client.get
    assert method(url(name, server_id=foreign.pk)).status_code == 404


def test_a_test_of_another_organisation_is_not_found(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    foreign = make_test(make_server(Organisation.objects.create(name="Other", slug="other")))
    assert client_of(alice).get(url("test_detail", test_id=foreign.pk)).status_code == 404


def test_a_stranger_finds_nothing(organisation: Organisation, charlie: User, client_of: ClientOf) -> None:
    assert client_of(charlie).get(url("list")).status_code == 404


# Host keys


def test_a_first_host_key_is_shown_with_the_way_to_compare_it(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    server = make_server(organisation, seen_host_key=HOST_KEY)
    page = text_of(client_of(alice).get(url("detail", server_id=server.pk)))
    for shown in (
        server.seen_fingerprint,
        "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
        "Confirm this host key",
    ):
        assert shown in page


def test_confirming_pins_the_key_and_tests_again(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    server = make_server(organisation, seen_host_key=HOST_KEY)
    address = url("trust", server_id=server.pk)
    response = client_of(alice).post(address, {"fingerprint": server.seen_fingerprint})
    server.refresh_from_db()
    assert response.status_code == 303
    assert (server.host_key, server.seen_host_key) == (HOST_KEY, "")
    assert server.last_test is not None


def test_a_key_that_moved_meanwhile_is_not_confirmed(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    server = make_server(organisation, seen_host_key=HOST_KEY)
    shown = server.seen_fingerprint
    Server.objects.update(seen_host_key=OTHER_HOST_KEY)
    address = url("trust", server_id=server.pk)
    response = client_of(alice).post(address, {"fingerprint": shown}, follow=True)
    server.refresh_from_db()
    assert server.host_key == ""
    assert "another host key since" in text_of(response)


def test_a_changed_key_is_shown_with_both_fingerprints(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    server = make_server(organisation, host_key=HOST_KEY, seen_host_key=OTHER_HOST_KEY)
    page = text_of(client_of(alice).get(url("detail", server_id=server.pk)))
    assert server.host_key_fingerprint in page
    assert server.seen_fingerprint in page
    assert "Confirm this host key" not in page


def test_a_changed_key_is_not_replaced_by_one_click(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    server = make_server(organisation, host_key=HOST_KEY, seen_host_key=OTHER_HOST_KEY)
    client, address = client_of(alice), url("trust", server_id=server.pk)
    response = client.post(address, {"fingerprint": server.seen_fingerprint})
    server.refresh_from_db()
    assert response.status_code == 422
    assert "Tick this" in text_of(response)
    assert server.host_key == HOST_KEY
    client.post(address, {"fingerprint": server.seen_fingerprint, "replaces": "on"})
    server.refresh_from_db()
    assert server.host_key == OTHER_HOST_KEY


def test_a_member_sees_the_key_and_cannot_confirm_it(
    organisation: Organisation, bob: User, client_of: ClientOf
) -> None:
    server = make_server(organisation, seen_host_key=HOST_KEY)
    client = client_of(bob)
    page = text_of(client.get(url("detail", server_id=server.pk)))
    assert server.seen_fingerprint in page
    assert "Confirm this host key" not in page
    address = url("trust", server_id=server.pk)
    assert client.post(address, {"fingerprint": server.seen_fingerprint}).status_code == 403


# Testing


def test_the_button_without_javascript_leads_back_to_the_server(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    server = make_server(organisation)
    response = client_of(alice).post(url("test", server_id=server.pk))
    assert response.status_code == 303
    assert response["Location"] == server.get_absolute_url()


def test_the_button_with_htmx_answers_the_ladder(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    server = make_server(organisation)
    page = text_of(client_of(alice).post(url("test", server_id=server.pk), headers=HTMX))
    assert page.lstrip().startswith('<div id="ladder" hx-get=')
    assert "Docker daemon" in page


def test_a_second_click_starts_no_second_test(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    server = make_server(organisation)
    client = client_of(alice)
    for _ in range(2):
        client.post(url("test", server_id=server.pk))
    assert ServerTest.objects.count() == 1


def test_news_come_at_once(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    test = make_test(make_server(organisation), Run.State.RUNNING, revision=2)
    response = client_of(alice).get(url("test_detail", test_id=test.pk), {"seen": "1"}, headers=HTMX)
    assert response.status_code == 200
    assert "?seen=2" in text_of(response)


def test_no_news_leave_the_page_as_it_is(
    organisation: Organisation, alice: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servers.views.server_tests.PATIENCE_SECONDS", 0.1)
    test = make_test(make_server(organisation), Run.State.RUNNING, revision=2)
    response = client_of(alice).get(url("test_detail", test_id=test.pk), {"seen": "2"}, headers=HTMX)
    assert response.status_code == 204


@pytest.mark.parametrize("seen", ["", "x", "-1", "²", "9" * 5000])
def test_an_odd_revision_is_one_never_seen(
    organisation: Organisation, alice: User, client_of: ClientOf, seen: str
) -> None:
    test = make_test(make_server(organisation))
    response = client_of(alice).get(url("test_detail", test_id=test.pk), {"seen": seen}, headers=HTMX)
    assert response.status_code == 200


def test_the_end_of_a_test_ends_the_watching_and_renews_the_page(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    test = make_test(make_server(organisation), revision=9)
    response = client_of(alice).get(url("test_detail", test_id=test.pk), {"seen": "8"}, headers=HTMX)
    assert "hx-get" not in text_of(response)
    assert "tested" in response["HX-Trigger-After-Settle"]


def test_a_test_has_a_page_of_its_own(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    test = make_test(make_server(organisation), asked_by=alice)
    page = text_of(client_of(alice).get(url("test_detail", test_id=test.pk)))
    for shown in ("<h1 id", "Docker daemon", "alice", "web-1"):
        assert shown in page


# Deleting


def test_deleting_asks_first(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    server = make_server(organisation)
    client = client_of(alice)
    assert "Delete web-1?" in text_of(client.get(url("delete", server_id=server.pk)))
    response = client.post(url("delete", server_id=server.pk))
    assert response["Location"] == url("list")
    assert not Server.objects.exists()


def test_a_used_server_is_not_deleted(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    server = make_server(organisation)
    registry = Registry(organisation=organisation, name="images", kind="generic", url="r.example", server=server)
    registry.password = "secret"
    registry.save()
    client = client_of(alice)
    assert "registry images" in text_of(client.get(url("delete", server_id=server.pk)))
    response = client.post(url("delete", server_id=server.pk))
    assert response.status_code == 422
    assert "registry images" in text_of(response)
    assert Server.objects.exists()


@pytest.mark.parametrize("name", ["edit", "delete"])
def test_what_a_viewer_may_not_do_is_refused(
    organisation: Organisation, bob: User, client_of: ClientOf, name: str
) -> None:
    Membership.objects.filter(user=bob).update(role="viewer")
    server = make_server(organisation)
    assert client_of(bob).get(url(name, server_id=server.pk)).status_code == 403
