"""An ECR registry from its form to a broken key and back, as a person sees it."""

import contextlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.browser import steps
from tests.browser.chromium import new_page
from tests.browser.inspection import NARROW_AND_DARK, inspect
from tests.browser.steps import HOME
from tests.lab.aws import Aws
from tests.running import Running, running

Look = Callable[..., AbstractContextManager[Page]]
HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
KEY, OTHER_KEY = "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7OTHERKE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Aws]:
    with Aws() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def ecr_dokreg(tmp_path_factory: pytest.TempPathFactory, cloud: Aws) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("ecr") / "data", DOKREG_AWS_ENDPOINT_URL=cloud.url) as started:
        started.wait_until_healthy()
        yield started


@pytest.fixture(scope="module")
def cookies(ecr_dokreg: Running, browser: Browser) -> StorageState:
    with new_page(browser, ecr_dokreg.url) as (page, _watch):
        steps.set_up(page, ecr_dokreg.setup_link)
        return page.context.storage_state()


@pytest.fixture
def look(browser: Browser, ecr_dokreg: Running, cookies: StorageState) -> Look:
    """Opens a page for the owner."""

    @contextlib.contextmanager
    def opened(**options: Any) -> Iterator[Page]:
        with new_page(browser, ecr_dokreg.url, storage_state=cookies, **options) as (page, _watch):
            yield page

    return opened


@pytest.fixture
def page(look: Look) -> Iterator[Page]:
    with look() as page:
        yield page


def test_an_ecr_registry_its_token_a_broken_key_and_a_mended_one(page: Page, look: Look, cloud: Aws) -> None:
    steps.choose_provider(page, "Amazon ECR")
    expect(page.get_by_label("Username")).to_have_count(0)  # nobody types AWS
    page.get_by_label("Registry Name").fill("Build images")
    page.get_by_label("Registry URL").fill(HOST)
    page.get_by_label("Access key id").fill(KEY)
    page.get_by_label("Secret access key").fill(SECRET)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Build images", exact=True)).to_be_visible()
    token = page.locator("#token")
    expect(token.get_by_text("Refresh due")).to_be_visible()
    expect(token.locator(".badge").first).to_have_attribute("data-state", "fresh")
    assert cloud.mints[KEY] == 1

    cloud.revoked.add(KEY)
    token.get_by_role("button", name="Refresh now").click()
    expect(token.get_by_text("AWS’s own words")).to_be_visible()
    expect(token.locator(".badge").first).to_have_attribute("data-state", "failing")
    assert SECRET not in page.content()
    for viewport, color_scheme in NARROW_AND_DARK:
        with look(viewport=viewport, color_scheme=color_scheme) as other:
            assert inspect(other, page.url) == []
            assert inspect(other, f"{page.url}edit/") == []

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Access key id").fill(OTHER_KEY)
    page.get_by_label("Secret access key").fill(SECRET)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#token .badge").first).to_have_attribute("data-state", "fresh")
    expect(page.get_by_text("AWS’s own words")).to_have_count(0)
    assert cloud.mints[OTHER_KEY] == 1


def test_choosing_another_way_keeps_what_was_typed(page: Page) -> None:
    steps.choose_provider(page, "Amazon ECR")
    page.get_by_label("Registry Name").fill("Typed before")
    page.get_by_role("radio", name=re.compile("used as it is")).check()
    expect(page.get_by_label("Username")).to_be_visible()
    expect(page.get_by_label("Registry Name")).to_have_value("Typed before")
    page.get_by_role("radio", name="Access key").check()
    expect(page.get_by_label("Access key id")).to_be_visible()
    expect(page.get_by_label("Registry Name")).to_have_value("Typed before")


def test_the_policy_to_paste_follows_the_host(page: Page) -> None:
    page.goto(f"{HOME}/registries/add/ecr/")
    page.get_by_label("Registry Name").fill("Policy")
    page.get_by_label("Secret access key").fill(SECRET)
    page.get_by_label("Registry URL").fill(HOST)
    page.get_by_label("Role to assume").fill("arn:aws:iam::123456789012:role/dokreg-pull")
    page.get_by_label("External id").fill("an-external-id")
    page.get_by_label("Registry Name").focus()
    expect(page.locator("#policies")).to_contain_text("arn:aws:ecr:eu-central-1:123456789012:repository/*")
    expect(page.locator("#policies")).to_contain_text("an-external-id")
    expect(page.get_by_label("Secret access key")).to_have_value(SECRET)  # what is typed stays typed
