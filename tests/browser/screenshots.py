"""Pictures of the main pages for the README: `python -m tests.browser.screenshots`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, StorageState, ViewportSize

from tests.browser import acme, steps
from tests.browser.chromium import new_page
from tests.browser.steps import HOME
from tests.running import ROOT, Running

FOLDER = ROOT / "docs" / "screenshots"
WINDOW: ViewportSize = {"width": 1280, "height": 800}
HIGH_WINDOW: ViewportSize = {"width": 1280, "height": 880}
HIGH_PHONE: ViewportSize = {"width": 360, "height": 1100}
MOST_BYTES = 150_000
MOST_BYTES_TOGETHER = 1_500_000
PASSED, MINTED, UNKNOWN_SERVER = "Production images", "Build cache", "build-1"


class Camera:
    """Takes pictures in a dokreg that is filled."""

    def __init__(self, browser: Browser, dokreg: Running, cookies: StorageState) -> None:
        self._browser, self._dokreg, self._cookies = browser, dokreg, cookies

    @contextmanager
    def looking(self, name: str, **options: Any) -> Iterator[Page]:
        """A page to go where the picture is; it is taken at the end of the block."""
        options = {"viewport": WINDOW, "storage_state": self._cookies, "reduced_motion": "reduce"} | options
        with new_page(self._browser, self._dokreg.url, **options) as (page, _watch):
            yield page
            page.mouse.move(0, 0)
            # Playwright would hide the caret by an inline style, which dokreg's policy refuses.
            page.screenshot(path=FOLDER / f"{name}.png", caret="initial")


def take_all(camera: Camera) -> None:
    for name, scheme in (("registries", "light"), ("registries-dark", "dark")):
        with camera.looking(name, color_scheme=scheme) as page:
            page.goto(f"{HOME}/registries/")
    with camera.looking("add-registry") as page:
        page.goto(f"{HOME}/registries/add/")
    with camera.looking("test-failed", viewport=HIGH_WINDOW) as page:
        acme.open_form(page, "a typing mistake")
        assert steps.run_test(page) == "failed"
    with camera.looking("test-passed", viewport=HIGH_WINDOW) as page:
        acme.open_form(page, acme.DEPLOYER.password)
        assert steps.run_test(page) == "passed"
    for name, window in (("registry", WINDOW), ("registry-phone", HIGH_PHONE)):
        with camera.looking(name, viewport=window) as page:
            open_named(page, "registries", PASSED)
    with camera.looking("token", viewport=HIGH_WINDOW) as page:
        open_named(page, "registries", MINTED)
    with camera.looking("fleet") as page:
        page.goto("/acme-logistics/fleet/")
    with camera.looking("application") as page:
        open_application(page)
        page.locator("#container .badge[data-state=up]").wait_for()
    with camera.looking("deployment") as page:
        open_application(page)
        page.locator("#deployments li a").first.click()
        page.locator("#log").wait_for()
    with camera.looking("server-host-key") as page:
        open_named(page, "servers", UNKNOWN_SERVER)


def open_named(page: Page, section: str, name: str) -> None:
    page.goto(f"{HOME}/{section}/")
    page.locator("#main").get_by_role("link", name=name, exact=True).first.click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def open_application(page: Page) -> None:
    page.goto("/acme-logistics/projects/")
    page.get_by_role("link", name="web", exact=True).click()
    page.get_by_role("heading", name="web", exact=True).wait_for()


def check_sizes() -> None:
    sizes = {path.name: path.stat().st_size for path in sorted(FOLDER.glob("*.png"))}
    for name, size in sizes.items():
        sys.stdout.write(f"{size // 1000:5} kB  {name}\n")
    if max(sizes.values()) > MOST_BYTES or sum(sizes.values()) > MOST_BYTES_TOGETHER:
        sys.exit("The pictures are larger than a README should carry.")


def main() -> None:
    acme.enter_its_world(__spec__.name)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with acme.lived_in() as (browser, dokreg, cookies):
        take_all(Camera(browser, dokreg, cookies))
    check_sizes()


if __name__ == "__main__":
    main()
