"""The fleet's pages: the matrix of registries and servers, and the page of a batch."""

import gzip
import re
import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dokreg import permissions
from organisations.models import Membership, Organisation, Role, User
from registries import batches
from registries import tasks as registry_tasks
from registries.models import Login, Registry, RegistryTest, Standing
from registries.models import TestBatch as Batch
from registries.outcome import MOST_LINKS
from servers.models import Run, Server
from tests.patience import SOON
from tests.people import ClientOf, allow
from tests.registries.fleet_rows import AWAY, REFUSED, failed, fill_fleet, made_test

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
MOST_BYTES = 60 * 1024


@pytest.fixture
def client(alice: User, client_of: ClientOf) -> Client:
    return client_of(alice)


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_tasks.run_registry_test, "delay", lambda _test_id: None)


def address(name: str = "matrix", **ids: str) -> str:
    return reverse(f"fleet:{name}", kwargs={"organisation": "acme"} | ids)


def page_of(client: Client, where: str = "", **headers: str) -> str:
    response = client.get(where or address(), headers=headers)
    assert response.status_code == 200
    return str(response.content.decode())


def cells(page: str) -> list[str]:
    return re.findall(r"<td data-state.*?</td>", page)


def small_fleet(organisation: Organisation, **values: Any) -> tuple[Registry, Server, RegistryTest]:
    """One registry on one server, with one result."""
    fill_fleet(organisation, registries=1, servers=1, tested=False)
    registry, server = Registry.objects.get(), Server.objects.get()
    test = made_test(organisation, registry, server, **values)
    test.save()
    Standing.objects.create(organisation=organisation, registry=registry, server=server, last_test=test)
    return registry, server, test


# The matrix


def test_a_cell_says_how_it_stands_and_leads_to_the_test(client: Client, organisation: Organisation) -> None:
    _registry, _server, test = small_fleet(organisation, **failed("login", "Login", "credentials_refused", REFUSED))
    [cell] = cells(page_of(client))
    assert test.get_absolute_url() in cell
    assert 'data-state="failed"' in cell
    assert "Failed: credentials refused" in cell
    assert ">now<" in re.sub(r"</span>now<", ">now<", cell)


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, "passed"),
        ({"verdict": "accepts_any_password"}, "warning"),
        ({"state": "lost", "verdict": "worker_lost"}, "lost"),
        ({"state": "running"}, "running"),
        ({"state": "queued"}, "queued"),
        ({"state": "failed", "verdict": "host_key_unconfirmed"}, "unconfirmed"),
    ],
)
def test_every_state_has_its_sign_as_on_the_other_pages(
    client: Client, organisation: Organisation, values: dict[str, str], state: str
) -> None:
    _registry, _server, test = small_fleet(organisation, **values)
    assert test.chip == state
    assert f'<td data-state="{state}"' in page_of(client)


def test_a_pair_that_was_never_tested_leads_to_where_it_can_be(client: Client, organisation: Organisation) -> None:
    fill_fleet(organisation, registries=1, servers=1, tested=False)
    [cell] = cells(page_of(client))
    link = re.findall(r'href="([^"#]+)"', cell)[0]
    assert link == f"{Registry.objects.get().get_absolute_url()}?server={Server.objects.get().pk}"
    assert f'<option value="{Server.objects.get().pk}" selected>' in page_of(client, link)


def test_a_test_of_other_credentials_is_marked(client: Client, organisation: Organisation) -> None:
    small_fleet(organisation, credentials_mark="before")
    [cell] = cells(page_of(client))
    assert "data-changed" in cell
    assert "changed since" in cell


@pytest.mark.parametrize("state", Login.State.values)
def test_a_cell_says_whether_the_server_stays_logged_in(client: Client, organisation: Organisation, state: str) -> None:
    registry, server, _test = small_fleet(organisation)
    Login.objects.create(organisation=organisation, registry=registry, server=server, url=registry.url, state=state)
    [cell] = cells(page_of(client))
    assert f'data-login="{state}"' in cell
    assert ("data-problem" in cell) == (state == Login.State.FAILED)


def test_rows_and_columns_are_summed_up(client: Client, organisation: Organisation) -> None:
    fill_fleet(organisation, registries=4, servers=5)
    page = page_of(client)
    assert "server 003 · 4 failed" in page  # it is away
    assert "server 004 · 1 failed, 1 login failed" not in page
    assert "registry 002 · r2.example.com · 5 failed" in page


def test_names_cannot_break_out_of_a_cell(client: Client, organisation: Organisation) -> None:
    registry, _server, _test = small_fleet(organisation, state="failed", verdict="x")
    Registry.objects.filter(pk=registry.pk).update(name='"><script>alert(1)</script>')
    page = page_of(client)
    assert "<script>alert" not in page
    assert "&quot;&gt;&lt;script&gt;" in page


def test_another_organisations_fleet_is_not_shown(client: Client, organisation: Organisation, charlie: User) -> None:
    fill_fleet(charlie.organisations.get(), registries=2, servers=2)
    page = page_of(client)
    assert "server 000" not in page
    assert "No servers yet" in page


def test_an_empty_fleet_says_what_to_do_next(client: Client, organisation: Organisation) -> None:
    assert reverse("servers:add", kwargs={"organisation": "acme"}) in page_of(client)
    fill_fleet(organisation, registries=0, servers=1, tested=False)
    assert reverse("registries:choose", kwargs={"organisation": "acme"}) in page_of(client)


def test_who_may_add_nothing_is_told_whom_to_ask(organisation: Organisation, bob: User, client_of: ClientOf) -> None:
    allow(bob, "registries.view_registry", "servers.view_server")
    assert "ask an owner" in page_of(client_of(bob))


@pytest.mark.parametrize(
    ("query", "rows", "columns"),
    [("server 001", 1, 4), ("registry 003", 5, 1), ("r3.example", 5, 1), ("10.0.0.2", 1, 4), ("00", 5, 4)],
)
def test_the_search_finds_servers_and_registries(
    client: Client, organisation: Organisation, query: str, rows: int, columns: int
) -> None:
    fill_fleet(organisation, registries=4, servers=5)
    assert len(cells(page_of(client, f"{address()}?q={query}"))) == rows * columns


def test_a_search_in_vain_says_so(client: Client, organisation: Organisation) -> None:
    fill_fleet(organisation, registries=1, servers=1)
    assert "Nothing found" in page_of(client, f"{address()}?q=nowhere")


def test_only_problems_leaves_out_what_is_well(client: Client, organisation: Organisation) -> None:
    fill_fleet(organisation, registries=2, servers=5)
    Login.objects.all().delete()
    page = page_of(client, f"{address()}?problems=only")
    assert len(cells(page)) == 2
    assert "server 003" in page
    assert "server 001" not in page


def test_without_problems_only_problems_is_empty(client: Client, organisation: Organisation) -> None:
    small_fleet(organisation)
    assert "No problems" in page_of(client, f"{address()}?problems=only")


def test_problems_come_first_if_wanted(client: Client, organisation: Organisation) -> None:
    fill_fleet(organisation, registries=4, servers=5)
    page = page_of(client, f"{address()}?sort=problems")
    assert re.findall(r"server \d+", page)[0] == "server 003"
    assert re.findall(r"registry \d+", page)[0] == "registry 002"


def test_a_large_fleet_is_shown_page_by_page(client: Client, organisation: Organisation) -> None:
    fill_fleet(organisation, registries=30, servers=60, tested=False)
    assert len(cells(page_of(client))) == 25 * 50
    assert len(cells(page_of(client, f"{address()}?page=2&registries=2"))) == 5 * 10


def test_a_phone_names_the_problems_on_the_other_pages_too(client: Client, organisation: Organisation) -> None:
    fill_fleet(organisation, registries=30, servers=4)
    elsewhere = re.findall(r'<td class="elsewhere".*?</td>', page_of(client, f"{address()}?registries=2"))
    assert len(cells(page_of(client, f"{address()}?registries=2"))) == 5 * 4
    # 25 of the server that is away, 2 with the wrong password on three others, and the failed logins.
    failed_tests = [cell for cell in elsewhere if 'data-state="failed"' in cell]
    assert len(failed_tests) == 25 + 2 * 3
    assert all("data-problem" in cell for cell in elsewhere)


def test_htmx_gets_the_matrix_alone(client: Client, organisation: Organisation) -> None:
    small_fleet(organisation)
    page = page_of(client, f"{address()}?q=server", **HTMX)
    assert page.strip().startswith('<div id="matrix">')


def queries(client: Client, where: str) -> int:
    page_of(client, where)  # dokreg notes in which organisation somebody was last
    with CaptureQueriesContext(connection) as found:
        page_of(client, where)
    return len(found)


@pytest.fixture
def large(alice: User, organisation: Organisation) -> str:
    """The matrix of 50 registries on 200 servers, in an organisation of its own."""
    other = Organisation.objects.create(name="Large", slug="large")
    Membership.objects.create(organisation=other, user=alice, role=Role.OWNER)
    fill_fleet(other, registries=50, servers=200)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # as it does by itself, but not for what is not committed
    return "/large/fleet/"


def test_ten_thousand_pairs_are_read_in_as_many_queries_as_four(
    client: Client, organisation: Organisation, large: str
) -> None:
    fill_fleet(organisation, registries=2, servers=2)
    for more in ("", "?q=0&sort=problems"):
        assert queries(client, large + more) == queries(client, address() + more)


def test_ten_thousand_pairs_weigh_little(client: Client, large: str) -> None:
    response = client.get(large, headers={"Accept-Encoding": "gzip"})
    assert "server 003" in gzip.decompress(response.content).decode()
    assert len(response.content) < MOST_BYTES


# A batch


@pytest.fixture
def batch(organisation: Organisation, alice: User) -> Batch:
    """Three registries on four servers: one away, one password wrong, the rest passed but for two that wait."""
    fill_fleet(organisation, registries=3, servers=4, tested=False)
    made = batches.ask(organisation=organisation, registry=None, server=None, asked_by=alice)
    now = timezone.now()
    tests = made.tests.all()
    tests.update(sent_at=now, state=Run.State.PASSED, finished_at=now)
    tests.filter(registry__name="registry 002").update(**failed("login", "Login", "credentials_refused", REFUSED))
    tests.filter(server__name="server 003").update(**failed("ssh", "SSH", "ssh_unreachable", AWAY))
    waiting = tests.filter(registry__name="registry 000").exclude(server__name="server 003")[:2]
    tests.filter(pk__in=[test.pk for test in waiting]).update(sent_at=None, state=Run.State.QUEUED, finished_at=None)
    return made


def over(batch: Batch) -> Batch:
    batch.tests.filter(state=Run.State.QUEUED).update(state=Run.State.PASSED, sent_at=timezone.now())
    Batch.objects.update(finished_at=timezone.now())
    return batch


@pytest.mark.parametrize("name", ["test", "test_registry", "test_server"])
def test_the_buttons_lead_to_the_batch(client: Client, organisation: Organisation, name: str) -> None:
    registry, server, _test = small_fleet(organisation)
    ids = {"test": {}, "test_registry": {"registry_id": registry.pk}, "test_server": {"server_id": server.pk}}[name]
    response = client.post(address(name, **ids))
    made = Batch.objects.get()
    assert (response.status_code, response["Location"]) == (303, made.get_absolute_url())
    assert (made.registry is not None, made.server is not None) == (name == "test_registry", name == "test_server")


def test_the_button_without_anything_to_test_says_so(client: Client) -> None:
    page = client.post(address("test"), follow=True).content.decode()
    assert "There is no registry to test yet" in page


def test_the_pages_of_a_registry_and_a_server_have_the_button(client: Client, organisation: Organisation) -> None:
    registry, server, _test = small_fleet(organisation)
    assert address("test_registry", registry_id=registry.pk) in page_of(client, registry.get_absolute_url())
    assert address("test_server", server_id=server.pk) in page_of(client, server.get_absolute_url())


def test_the_button_is_for_those_who_see_both(organisation: Organisation, bob: User, client_of: ClientOf) -> None:
    registry, _server, _test = small_fleet(organisation)
    allow(bob, *(permissions.ALL - {"servers.view_server"}))
    page = page_of(client_of(bob), registry.get_absolute_url())
    assert "Test everywhere" not in page
    assert address() not in page


def test_what_is_planned_does_not_fill_a_registrys_history(client: Client, batch: Batch) -> None:
    registry = Registry.objects.get(name="registry 000")
    page = page_of(client, registry.get_absolute_url())
    history = page[page.index('id="tests"') :]
    assert history.count("<li>") >= 2
    assert "Queued" not in history


def test_the_page_says_how_far_it_is_and_asks_again_by_itself(client: Client, batch: Batch) -> None:
    page = page_of(client, batch.get_absolute_url())
    assert "10 of 12 tested" in page
    assert '<progress aria-labelledby="how-far" max="12" value="10">' in page
    for words in ("<strong>4</strong> passed", "<strong>6</strong> failed", "<strong>2</strong> waiting"):
        assert words in page
    assert 'hx-trigger="load, again"' in page
    assert 'http-equiv="refresh"' in page


def test_the_page_of_what_is_over_asks_no_more(client: Client, batch: Batch) -> None:
    page = page_of(client, over(batch).get_absolute_url())
    assert "All tests are over" in page
    assert 'hx-trigger="load, again"' not in page
    assert 'http-equiv="refresh"' not in page
    assert "Cancel the rest" not in page


def test_all_failures_are_named_by_cause(client: Client, batch: Batch) -> None:
    page = page_of(client, batch.get_absolute_url())
    failures = page[page.index('id="failures"') : page.index('id="results"')]
    for verdict, words, extent in (
        ("credentials_refused", REFUSED, "3 servers, 1 registry"),
        ("ssh_unreachable", AWAY, "1 server, 3 registries"),
    ):
        group = next(part for part in failures.split("<article")[1:] if verdict in part)
        assert words["cause"] in group
        assert words["fix"] in group
        assert extent in group
        for test in batch.tests.filter(verdict=verdict):
            assert test.get_absolute_url() in group


def test_very_many_failures_of_one_cause_are_linked_in_the_table(
    client: Client, organisation: Organisation, alice: User
) -> None:
    fill_fleet(organisation, registries=1, servers=MOST_LINKS + 5, tested=False)
    made = batches.ask(organisation=organisation, registry=None, server=None, asked_by=alice)
    made.tests.update(sent_at=timezone.now(), **failed("login", "Login", "credentials_refused", REFUSED))
    page = page_of(client, over(made).get_absolute_url())
    assert "And 5 more" in page
    rest = page_of(client, f"{made.get_absolute_url()}?verdict=credentials_refused&page=5")
    assert rest.count('<td data-label="Server">') == 5


def test_the_table_can_leave_out_what_passed(client: Client, batch: Batch) -> None:
    page = page_of(client, f"{batch.get_absolute_url()}?show=problems")
    results = page[page.index('id="results"') :]
    assert results.count('<td data-label="Server">') == batch.tests.filter(state=Run.State.FAILED).count()


def poll(client: Client, batch: Batch, seen: int, target: str = "progress") -> Any:
    headers = HTMX | {"HX-Target": target}
    return client.get(f"{batch.get_absolute_url()}?seen={seen}&page=1", headers=headers)


def test_a_poll_gets_the_news_at_once_when_it_is_over(
    client: Client, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registries.views.batches.LONGEST_WAIT_SECONDS", 60.0)
    over(batch)
    started = time.monotonic()
    response = poll(client, batch, seen=10)
    assert time.monotonic() - started < SOON
    assert "batch-over" in response["HX-Trigger-After-Settle"]
    assert "hx-get" not in response.content.decode()


def test_a_poll_of_a_running_batch_leads_to_the_next(client: Client, batch: Batch) -> None:
    page = poll(client, batch, seen=10).content.decode()
    assert page.count("seen=") == 1
    assert "seen=10" in page


@pytest.mark.parametrize(("seen", "is_said"), [(0, True), (8, True), (9, False), (10, False)])
def test_a_screen_reader_hears_of_every_quarter_and_no_more(
    client: Client, batch: Batch, seen: int, is_said: bool
) -> None:
    assert ('id="announce"' in poll(client, batch, seen=seen).content.decode()) == is_said


def test_the_results_come_alone_for_htmx(client: Client, batch: Batch) -> None:
    headers = HTMX | {"HX-Target": "results"}
    page = page_of(client, f"{batch.get_absolute_url()}?page=1", **headers)
    assert page.strip().startswith('<section class="results" id="results"')


def test_cancelling_says_how_many_are_not_run(client: Client, batch: Batch) -> None:
    page = client.post(address("cancel", batch_id=batch.pk), follow=True).content.decode()
    assert "Cancelled: 2 tests are not run" in page
    assert "<strong>2</strong> not run" in page
    assert "All tests are over" in page


def test_cancelling_what_is_over_says_so(client: Client, batch: Batch) -> None:
    over(batch)
    page = client.post(address("cancel", batch_id=batch.pk), follow=True).content.decode()
    assert "nothing left to cancel" in page


def test_the_page_of_a_batch_asks_as_many_questions_for_many_as_for_few(
    client: Client, batch: Batch, large: str, alice: User
) -> None:
    many = batches.ask(
        organisation=Organisation.objects.get(slug="large"),
        registry=None,
        server=Server.objects.get(organisation__slug="large", name="server 001"),
        asked_by=alice,
    )
    many.tests.update(sent_at=timezone.now(), **failed("login", "Login", "credentials_refused", REFUSED))
    assert queries(client, many.get_absolute_url()) == queries(client, batch.get_absolute_url())


def test_the_matrix_leads_to_the_batches(client: Client, batch: Batch) -> None:
    page = page_of(client)
    assert page.count(batch.get_absolute_url()) == 2  # it is under way, and it is one of the last
