"""Every main page, wide and narrow, light and dark; by keyboard, by ear, without JavaScript, and its weight."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, StorageState, ViewportSize, expect

from tests.browser import steps
from tests.browser.chromium import PHONE, new_page
from tests.browser.conftest import Opener
from tests.browser.inspection import INSPECTION, NARROW_AND_DARK, inspect
from tests.browser.steps import HOME, rung
from tests.lab.fixtures import BOB
from tests.lab.impostors import HttpImpostor, overloaded
from tests.lab.registry import Account, BasicRegistry
from tests.running import Running

pytestmark = pytest.mark.once  # how pages look, whatever they were read from
CHANNEL = "On-call chat"
API_KEY = "CI of the shop"
FLEET = HOME.replace("/settings", "/fleet/")
MOST_BYTES = 60 * 1024
MOST_REQUESTS = 6
MOST_TABS = 40
LISTEN = """() => {
  window.heard = [];
  const listen = () => window.heard.push(document.getElementById("announce").textContent.trim());
  new MutationObserver(listen).observe(document.getElementById("announce"), {childList: true, subtree: true});
}"""
FOCUS = """() => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  return {word: element.innerText?.trim(), inMain: Boolean(element.closest("#main")), ring, html: element.outerHTML};
}"""
SPOIL = """() => {
  const main = document.getElementById("main");
  main.insertAdjacentHTML("beforeend", "<h1>two</h1><input><button></button><p>pale</p>");
  main.lastElementChild.style.color = "rgb(160 160 160)";
  main.lastElementChild.style.width = "200vw";
}"""
MISBEHAVE = """() => {
  document.body.insertAdjacentHTML("beforeend", "<p style=color:red><img src=/static/none.png>");
  setTimeout(() => { throw new Error("oops"); });
}"""

Places = dict[str, str]


@pytest.fixture(scope="module")
def places(dokreg: Running, browser: Browser, owner: StorageState, server: str, lab_registry: BasicRegistry) -> Places:
    """The address of every main page, with something on it."""
    with new_page(browser, dokreg.url, storage_state=owner) as (page, _watch):
        passed = _registry(page, "Production", lab_registry, BOB, server)
        steps.add_channel(page, CHANNEL, "json://chat.example.com:8443/token")
        failed = _registry(page, "Staging", lab_registry, Account(BOB.username, "wrong"), server)
        page.locator("#tests a").first.click()
        test = page.url
        steps.add_api_key(page, API_KEY)
        found = {
            "tested everywhere": _everywhere(page),
            "a registry that passed": passed,
            "a registry that failed": failed,
            "a test": test,
            "a server": _address(page, "servers", server),
            "an SSH key": _address(page, "ssh-keys", "deploy"),
            "an invitation": steps.invite(page, "Erin", "Viewer"),
            "editing a channel": _address(page, "notifications", CHANNEL),
            "an API key": _address(page, "api-keys", API_KEY),
            "a member": _address(page, "members", steps.OWNER.username),
        }
    return found | {
        "editing a registry": f"{passed}edit/",
        "deleting a registry": f"{passed}delete/",
        "editing a server": f"{found['a server']}edit/",
        "deleting a server": f"{found['a server']}delete/",
        "Docker logins of a server": found["a server"].replace("/servers/", "/registries/servers/"),
        "adding at Azure": f"{HOME}/registries/add/acr/",
        "adding at Google": f"{HOME}/registries/add/google/",
        "renaming an SSH key": f"{found['an SSH key']}edit/",
        "deleting an SSH key": f"{found['an SSH key']}delete/",
        "the fleet": FLEET,
        "the fleet's problems": f"{FLEET}?problems=only&sort=problems",
        "the fleet, nothing found": f"{FLEET}?q=nothing+like+this",
        "registries": f"{HOME}/registries/",
        "registries, nothing found": f"{HOME}/registries/?q=nothing+like+this",
        "choosing a provider": f"{HOME}/registries/add/",
        "adding at Docker Hub": f"{HOME}/registries/add/docker_hub/",
        "adding at ECR": f"{HOME}/registries/add/ecr/",
        "servers": f"{HOME}/servers/",
        "adding a server": f"{HOME}/servers/add/",
        "SSH keys": f"{HOME}/ssh-keys/",
        "adding an SSH key": f"{HOME}/ssh-keys/add/",
        "deleting a channel": found["editing a channel"].replace("/edit/", "/delete/"),
        "notifications": f"{HOME}/notifications/",
        "adding a channel": f"{HOME}/notifications/add/",
        "API keys": f"{HOME}/api-keys/",
        "adding an API key": f"{HOME}/api-keys/add/",
        "revoking an API key": f"{found['an API key']}revoke/",
        "members": f"{HOME}/members/",
        "inviting": f"{HOME}/members/invite/",
        "organisation": f"{HOME}/organisation/",
        "audit": f"{HOME}/audit/",
        "this installation": "/doctor/",
        "the API": "/api/docs",
        "account": "/account/",
        "changing the password": "/account/password/",
        "a new organisation": "/organisations/new/",
        "no such page": "/no/such/page/",
    }


def _registry(page: Page, name: str, registry: BasicRegistry, account: Account, server: str) -> str:
    """Add and test a registry; the address of its page."""
    steps.choose_provider(page, "Other registry")
    steps.fill_in_registry(page, name=name, host=registry.host, account=account, server=server)
    steps.run_test(page)
    steps.save(page, name)
    return page.url


def _everywhere(page: Page) -> str:
    """Test everything everywhere; the address of the page that shows how it went."""
    page.goto(FLEET)
    page.get_by_role("button", name="Test everywhere").click()
    expect(page.get_by_role("heading", name="All tests are over")).to_be_visible()
    return page.url


def _address(page: Page, section: str, name: str) -> str:
    page.goto(f"{HOME}/{section}/")
    page.locator("#main").get_by_role("link", name=name, exact=True).first.click()
    return page.url


@pytest.mark.parametrize(("viewport", "color_scheme"), NARROW_AND_DARK)
def test_every_page_is_in_order(open_page: Opener, places: Places, viewport: ViewportSize, color_scheme: str) -> None:
    with open_page(viewport=viewport, color_scheme=color_scheme) as (page, watch):
        watch.expect(404)
        assert {name: defects for name, where in places.items() if (defects := inspect(page, where))} == {}


@pytest.mark.parametrize(("viewport", "color_scheme"), NARROW_AND_DARK)
def test_pages_for_strangers_are_in_order(
    open_page: Opener, places: Places, viewport: ViewportSize, color_scheme: str
) -> None:
    with open_page(storage_state=None, viewport=viewport, color_scheme=color_scheme) as (page, _watch):
        for address in ("/sign-in/", places["an invitation"]):
            assert inspect(page, address) == []


def test_the_inspection_finds_what_is_wrong(page: Page) -> None:
    page.goto(f"{HOME}/registries/")
    page.evaluate(SPOIL)
    found = "\n".join(page.evaluate(INSPECTION))
    for defect in ("px wide in a window", "2 headings", "without a name: <input>", "<button></button>", "of “pale”"):
        assert defect in found


def test_the_watch_hears_of_violations_and_of_missing_files(open_page: Opener) -> None:
    with open_page() as (page, watch):
        page.goto(f"{HOME}/registries/")
        with page.expect_response("**/none.png"), page.context.expect_event("weberror"):
            page.evaluate(MISBEHAVE)
        found = "\n".join(watch.complaints)
        watch.complaints.clear()
    assert "Content Security Policy" in found
    assert "404 for" in found
    assert "oops" in found


# By keyboard


def test_the_skip_link_leads_past_the_navigation(page: Page) -> None:
    page.goto(f"{HOME}/registries/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


@pytest.mark.parametrize(
    ("place", "action"),
    [
        ("registries", "Add Registry"),
        ("servers", "Add Server"),
        ("SSH keys", "Add SSH Key"),
        ("notifications", "Add Channel"),
        ("members", "Invite"),
        ("API keys", "Add API Key"),
        ("adding an API key", "Make key"),
        ("revoking an API key", "Revoke key"),
        ("adding at ECR", "Save"),
        ("a registry that passed", "Test"),
        ("the fleet", "Test everywhere"),
        ("deleting a registry", "Delete registry"),
    ],
)
def test_the_keyboard_reaches_the_main_action_and_shows_where_it_is(
    page: Page, places: Places, place: str, action: str
) -> None:
    page.goto(places[place])
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert focus["ring"], f"no ring on {focus['html'][:200]}"
        if focus["inMain"] and focus["word"] == action:
            return
    raise AssertionError(f"{action} is not among the first {MOST_TABS} stops")


@pytest.mark.parametrize("name", ["Actions for Production", "Account menu", "Switch organisation"])
def test_escape_closes_a_menu_and_goes_back_to_its_button(page: Page, places: Places, name: str) -> None:
    page.goto(places["registries"])
    button = page.locator("summary").filter(has_text=name)
    button.focus()
    page.keyboard.press("Enter")
    menu = page.locator("details[open]")
    expect(menu).to_have_count(1)
    page.keyboard.press("Tab")
    expect(button).not_to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).to_have_count(0)
    expect(button).to_be_focused()


def test_escape_closes_the_navigation_of_a_phone(open_page: Opener) -> None:
    with open_page(viewport=PHONE) as (page, _watch):
        page.goto(f"{HOME}/registries/")
        servers = page.get_by_role("link", name="Servers")
        expect(servers).not_to_be_visible()
        page.get_by_role("button", name="Menu").click()
        expect(servers).to_be_visible()
        page.keyboard.press("Escape")
        expect(servers).not_to_be_visible()


def test_the_theme_that_was_chosen_stays(page: Page) -> None:
    page.goto(f"{HOME}/registries/")
    page.locator("summary").filter(has_text="Account menu").click()
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


# By ear


def test_the_end_of_a_test_is_announced(page: Page, places: Places, lab_registry: BasicRegistry) -> None:
    page.goto(places["a registry that failed"])
    page.evaluate(LISTEN)
    assert steps.run_test(page) == "failed"
    assert any(re.match("Login failed. .*refused", text) for text in page.evaluate("heard"))
    page.goto(places["a registry that passed"])
    page.evaluate(LISTEN)
    assert steps.run_test(page) == "passed"
    assert "The test passed." in page.evaluate("heard")


def test_how_the_test_of_a_channel_ends_is_shown_and_announced(page: Page, places: Places) -> None:
    with HttpImpostor(overloaded) as service:
        steps.add_channel(page, "Overloaded", f"json://{service.host}")
        page.evaluate(LISTEN)
        page.get_by_role("button", name="Send a test to Overloaded").click()
        row = page.get_by_role("row").filter(has_text="Overloaded").first
        expect(row.get_by_text("The service answered with status 503.")).to_be_visible()
    assert "Overloaded: Failed. The service answered with status 503." in page.evaluate("heard")


def test_a_missing_password_is_said_at_its_field(page: Page) -> None:
    page.goto(f"{HOME}/registries/add/generic/")
    field = steps.password_field(page)
    page.get_by_label("Registry URL").fill("registry.example.com")
    page.get_by_label("Username").fill("robot")
    page.get_by_role("button", name="Save").click()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("^Enter the password or token"))


def test_permissions_are_shown_one_by_one_when_that_is_chosen(page: Page) -> None:
    page.goto(f"{HOME}/members/invite/")
    tick = page.get_by_role("checkbox", name="Confirm host keys")
    expect(tick).to_have_count(0)
    page.get_by_role("radio", name="Exactly the permissions ticked below").check()
    expect(tick).to_be_visible()


# The fleet


def test_a_batch_runs_to_its_end_before_ones_eyes(page: Page, places: Places) -> None:
    page.goto(places["the fleet"])
    page.evaluate(LISTEN)
    page.get_by_role("button", name="Test Staging on every server").click()
    expect(page.get_by_role("heading", name="All tests are over")).to_be_visible()
    failures = page.get_by_role("region", name="What failed, by cause")
    expect(failures.get_by_role("link", name="web-1")).to_be_visible()
    expect(page.locator("#results .badge")).to_have_text("Failed")
    expect(page.locator("[hx-trigger=load]")).to_have_count(0)


def test_a_problem_of_the_fleet_is_named_on_a_phone(open_page: Opener, places: Places) -> None:
    with open_page(viewport=PHONE) as (page, _watch):
        page.goto(places["the fleet"])
        expect(page.get_by_role("link", name=re.compile("Failed"))).to_be_in_viewport()
        expect(page.get_by_role("link", name=re.compile("^Passed"))).to_have_count(0)
        page.get_by_role("link", name=re.compile("Failed")).click()
        expect(rung(page, "Login")).to_have_attribute("data-state", "failed")


def test_the_fleet_shows_problems_alone_where_asked(open_page: Opener, places: Places) -> None:
    with open_page(viewport={"width": 800, "height": 400}) as (page, _watch):
        page.goto(places["the fleet"])
        page.get_by_role("checkbox", name="Only problems").check()
        expect(page.get_by_role("columnheader", name="Production")).to_have_count(0)
        expect(page.get_by_role("columnheader", name="Staging")).to_be_visible()
        expect(page).to_have_url(re.compile("problems=only"))


# Without JavaScript


def test_everything_works_without_javascript(open_page: Opener, server: str, lab_registry: BasicRegistry) -> None:
    name = "Without scripts"
    with open_page(storage_state=None, java_script_enabled=False) as (page, _watch):
        steps.sign_in(page)
        steps.choose_provider(page, "Other registry")
        steps.fill_in_registry(page, name=name, host=lab_registry.host, account=BOB, server=server)
        page.get_by_role("button", name="Test", exact=True).click()
        form = page.url
        follow(page)
        expect(rung(page, "Login")).to_have_attribute("data-state", "passed")
        page.goto(form)
        expect(page.get_by_label("Registry Name")).to_have_value(name)
        steps.save(page, name)
        page.get_by_role("button", name="Test", exact=True).click()
        follow(page)
        expect(rung(page, "Login")).to_have_attribute("data-state", "passed")
        page.goto(f"{HOME}/registries/")
        page.get_by_role("link", name=name).click()
        page.get_by_role("button", name="Test everywhere").click()
        expect(page.get_by_role("heading", name="All tests are over")).to_be_visible()
        page.goto(f"{HOME}/registries/")
        page.get_by_role("link", name=name).click()
        page.get_by_role("link", name="Delete…").click()
        page.get_by_role("button", name="Delete").click()
        expect(page.get_by_text(f"{name} is deleted.")).to_be_visible()


def follow(page: Page) -> None:
    """Go where the page of a running test says how far it is; it is there only while the test runs."""
    link = page.get_by_role("link", name="Show how far it is")
    expect(page.locator("#ladder")).to_be_visible()
    if link.is_visible():
        link.click()


# Weight


@pytest.mark.parametrize("place", ["sign-in", "registries"])
def test_the_first_page_is_light(open_page: Opener, place: str) -> None:
    is_signed_in: dict[str, Any] = {} if place == "registries" else {"storage_state": None}
    with open_page(**is_signed_in) as (page, _watch):
        arrived: list[float] = []
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.send("Network.setCacheDisabled", {"cacheDisabled": True})
        network.on("Network.loadingFinished", lambda answer: arrived.append(answer["encodedDataLength"]))
        page.goto("/sign-in/" if place == "sign-in" else f"{HOME}/registries/", wait_until="networkidle")
        assert 1 < len(arrived) <= MOST_REQUESTS
        assert sum(arrived) <= MOST_BYTES


# The administration


def test_the_administration_works_under_the_strict_policy(open_page: Opener) -> None:
    with open_page() as (page, _watch):
        page.goto("/admin/")
        models = page.locator("#content-main .model-link, #content-main th a")
        addresses = [str(link.get_attribute("href")) for link in models.all()]
        assert "/admin/registries/registry/" in addresses
        for address in addresses:
            page.goto(address)
            expect(page.locator("#content h1, #content-start h1")).to_be_visible()
