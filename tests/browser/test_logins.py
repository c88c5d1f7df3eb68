"""Servers that stay logged in, drift, and a change of the secret, as a person sees them."""

import contextlib
from collections.abc import Iterator

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser import steps
from tests.browser.conftest import SERVER, Opener
from tests.browser.inspection import NARROW_AND_DARK, inspect
from tests.lab import sshd
from tests.lab.registry import Account, BearerRegistry
from tests.running import Running

OURS, BY_HAND = Account("pulls-for-us", "right at first"), Account("logs-in-by-hand", "from somewhere")


@pytest.fixture(scope="module")
def accounts(bearer_registry: BearerRegistry) -> BearerRegistry:
    bearer_registry.tokens.passwords |= dict((OURS, BY_HAND))
    return bearer_registry


def badge(page: Page, state: str) -> None:
    expect(page.locator("#login-states .badge").first).to_have_attribute("data-state", state)


@contextlib.contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """Nothing that it does happens in here."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def test_a_server_stays_logged_in_through_drift_and_a_new_secret(
    page: Page, open_page: Opener, dokreg: Running, server: str, server_one: sshd.Server, accounts: BearerRegistry
) -> None:
    steps.choose_provider(page, "Other registry")
    steps.fill_in_registry(page, name="Compose files", host=accounts.host, account=OURS, server=server)
    steps.save(page, "Compose files")
    address = page.url
    page.get_by_label(SERVER).check()
    page.locator("#logins").get_by_role("button", name="Save").click()
    badge(page, "held")
    assert accounts.host in server_one.ssh("cat ~/.docker/config.json").stdout

    server_one.ssh(f"docker login -u {BY_HAND.username} --password-stdin {accounts.host}", stdin=BY_HAND.password)
    page.locator("#login-states a").first.click()
    page.get_by_role("button", name="Check drift").click()
    expect(page.locator("#check .badge").first).to_have_attribute("data-state", "outdated")
    for viewport, color_scheme in NARROW_AND_DARK:
        with open_page(viewport=viewport, color_scheme=color_scheme) as (other, _watch):
            assert inspect(other, page.url) == []
    page.get_by_role("button", name="Log in anew").click()
    expect(page.get_by_text("is being logged in anew")).to_be_visible()
    page.goto(address)
    badge(page, "held")  # a check before that would find what was there before
    page.locator("#login-states a").first.click()
    page.get_by_role("button", name="Check drift").click()
    expect(page.locator("#check .badge").first).to_have_attribute("data-state", "held")

    page.goto(f"{address}edit/")
    expect(page.get_by_text("1 server stays logged in with it.")).to_be_visible()
    steps.password_field(page).fill("wrong, and so never used")
    with frozen(dokreg.service("celery_worker")):
        page.get_by_role("button", name="Save").click()
        expect(page).to_have_url(address)
        page.get_by_label("Image").fill("typed/meanwhile:1")
        page.get_by_text("Choose servers").click()
        page.get_by_label(SERVER).uncheck()
    expect(page.locator("#rotation .badge").first).to_have_attribute("data-state", "kept")
    expect(page.locator("#announce")).to_contain_text("goes on with the old credentials")
    expect(page.get_by_label("Image")).to_have_value("typed/meanwhile:1")
    expect(page.get_by_label(SERVER)).not_to_be_checked()
    expect(page.get_by_role("button", name="Switch all the same")).to_be_visible()
    for viewport, color_scheme in NARROW_AND_DARK:
        with open_page(viewport=viewport, color_scheme=color_scheme) as (other, _watch):
            assert inspect(other, address) == []
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("#rotation")).to_have_count(0)

    accounts.tokens.passwords[OURS.username] = "right from now on"
    page.goto(f"{address}edit/")
    steps.password_field(page).fill("right from now on")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(address)  # the form has no rotation either
    expect(page.locator("#rotation")).to_have_count(0)
    badge(page, "held")

    page.get_by_text("Choose servers").click()
    page.get_by_label(SERVER).uncheck()
    page.locator("#logins").get_by_role("button", name="Save").click()
    expect(page.locator("#login-states li")).to_have_count(0)
    assert accounts.host not in server_one.ssh("cat ~/.docker/config.json").stdout
