"""What is wrong with a page, judged in the browser itself: see inspection.js."""

from pathlib import Path

from playwright.sync_api import Page

from tests.browser.chromium import DESKTOP, PHONE

INSPECTION = Path(__file__).with_name("inspection.js").read_text()
NARROW_AND_DARK = [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")]


def inspect(page: Page, address: str) -> list[str]:
    """What is wrong with a page, in sentences."""
    page.goto(address)
    return defects_of(page)


def defects_of(page: Page) -> list[str]:
    """What is wrong with a page as it stands, such as with a dialog open."""
    defects: list[str] = page.evaluate(INSPECTION)
    return defects
