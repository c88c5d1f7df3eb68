"""An API key from its form to its end, as a person sees it: by keyboard, and without JavaScript."""

import datetime as dt
import re

import pytest
from playwright.sync_api import Error, Page, ViewportSize, expect

from tests.browser import steps
from tests.browser.conftest import Opener
from tests.browser.inspection import NARROW_AND_DARK, defects_of, inspect
from tests.browser.steps import HOME

LIST = f"{HOME}/api-keys/"
MOST_TABS = 60
NAMES = "it => [it.innerText, it.querySelector('[aria-label]')?.ariaLabel, it.labels?.[0]?.innerText]"


def tab_to(page: Page, word: str) -> None:
    """Press Tab until what has the focus is called so, or is labelled so."""
    focused = page.locator("#main :focus")
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if focused.count() and word in focused.evaluate(NAMES):
            return
    raise AssertionError(f"{word} is not among the first {MOST_TABS} stops")


def row_of(page: Page, name: str) -> str:
    """What the list says of a key."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True)).inner_text()


def test_a_key_is_made_seen_once_and_revoked_by_keyboard(open_page: Opener) -> None:
    with open_page(permissions=["clipboard-read", "clipboard-write"]) as (page, _watch):
        page.goto(LIST)
        tab_to(page, "Add API Key")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Add API Key")).to_be_visible()
        tab_to(page, "Name")
        page.keyboard.type("CI of the shop")
        tab_to(page, "Whatever I may do")
        page.keyboard.press("ArrowDown")
        tab_to(page, "Deploy, roll back, start and stop")
        page.keyboard.press("Space")
        tab_to(page, "Make key")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="The key is ready")).to_be_visible()
        shown = page.locator("#api-key")
        expect(shown).to_have_text(re.compile("^[a-zA-Z]{64}$"))
        key = shown.inner_text()
        expect(page.get_by_text("Applications: Deploy, roll back, start and stop")).to_be_visible()
        tab_to(page, "Copy")
        page.keyboard.press("Enter")
        expect(page.locator("#announce")).to_have_text("Copied.")
        assert page.evaluate("navigator.clipboard.readText()") == key

        page.reload()
        expect(page).to_have_url(re.compile(f"{LIST}$"))
        expect(page.get_by_text("It is not shown again.")).to_be_visible()
        expect(page.get_by_role("link", name="CI of the shop", exact=True)).to_have_count(1)
        assert key not in page.content()

        tab_to(page, "Actions for CI of the shop")
        page.keyboard.press("Enter")
        tab_to(page, "Revoke")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Revoke CI of the shop?")).to_be_visible()
        tab_to(page, "Revoke key")
        page.keyboard.press("Enter")
        expect(page.get_by_text("“CI of the shop” is revoked.")).to_be_visible()
        assert "Revoked" in row_of(page, "CI of the shop")


def test_going_back_does_not_show_the_key_again(page: Page) -> None:
    key = steps.add_api_key(page, "Gone back")
    page.get_by_role("link", name="Back to the keys").click()
    expect(page.get_by_role("heading", name="API keys", exact=True)).to_be_visible()
    with pytest.raises(Error, match="ERR_CACHE_MISS"):  # the browser has not kept the page, and asks before it sends
        page.go_back()
    expect(page).to_have_url(re.compile("^chrome-error:"))
    assert key not in page.content()
    page.reload()  # and so sends
    expect(page.get_by_text("It is not shown again.")).to_be_visible()
    assert key not in page.content()


def test_a_key_is_made_and_revoked_without_javascript(open_page: Opener) -> None:
    last = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=3)
    with open_page(java_script_enabled=False) as (page, _watch):
        page.goto(LIST)
        page.locator("#main").get_by_role("link", name="Add API Key").first.click()
        page.get_by_label("Name", exact=True).fill("Without scripts")
        expect(page.get_by_label("Last day")).not_to_be_visible()
        page.get_by_label("Expires").select_option(label="On a day of your choice")
        page.get_by_label("Last day").fill("2020-01-01")
        page.get_by_role("button", name="Make key").click()
        expect(page.get_by_text("This day is over. Choose a later one.")).to_be_visible()
        page.get_by_label("Last day").fill(last.isoformat())
        page.get_by_role("button", name="Make key").click()
        key = page.locator("#api-key").inner_text()
        assert re.fullmatch("[a-zA-Z]{64}", key)
        page.reload()
        expect(page.get_by_text("It is not shown again.")).to_be_visible()
        assert key not in page.content()
        assert "Expires soon" in row_of(page, "Without scripts")
        page.get_by_role("link", name="Without scripts", exact=True).click()
        page.get_by_role("link", name="Revoke…").click()
        page.get_by_role("button", name="Revoke key").click()
        expect(page.get_by_text("“Without scripts” is revoked.")).to_be_visible()
        assert "Revoked" in row_of(page, "Without scripts")


@pytest.mark.parametrize(("viewport", "color_scheme"), NARROW_AND_DARK)
def test_what_has_no_address_of_its_own_is_in_order(
    open_page: Opener, viewport: ViewportSize, color_scheme: str
) -> None:
    with open_page(viewport=viewport, color_scheme=color_scheme) as (page, _watch):
        steps.add_api_key(page, "Looked at")
        assert defects_of(page) == []
        page.goto(f"{LIST}add/")
        page.get_by_label("Expires").select_option(label="On a day of your choice")
        page.get_by_role("radio", name="Only what is ticked below").check()
        page.get_by_label("Name", exact=True).fill("Refused")
        page.get_by_role("button", name="Make key").click()
        expect(page.get_by_text("Choose the last day on which it works.")).to_be_visible()
        expect(page.get_by_text("Tick at least one.")).to_be_visible()
        assert defects_of(page) == []
        page.goto(LIST)
        page.get_by_role("link", name="Looked at", exact=True).first.click()
        address = page.url
        page.goto(f"{address}revoke/")
        page.get_by_role("button", name="Revoke key").click()
        assert inspect(page, address) == []
