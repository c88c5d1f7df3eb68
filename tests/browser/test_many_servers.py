"""Servers that stay logged in, where there are more of them than a page shows.

In a file of its own, so beside a dokreg of its own: they stay in it, and push the servers of other tests off the page.
"""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.browser import steps
from tests.browser.conftest import Opener
from tests.browser.inspection import NARROW_AND_DARK, inspect
from tests.lab.registry import Account, BearerRegistry
from tests.running import Running

ORGANISATION = "acme-logistics"
# Quicker than anybody: in the very moment in which the other page has come.
TICK_AND_TURN = """() => {
  const watcher = new MutationObserver(() => {
    const label = [...document.querySelectorAll("#logins label")].find((one) => one.textContent.includes("many-07"));
    if (!label) return;
    watcher.disconnect();
    label.control.click();
    document.querySelector("#logins .pages [rel=next]").click();
  });
  watcher.observe(document.body, { childList: true, subtree: true });
}"""
OURS = Account("pulls-for-us", "right")


@pytest.fixture(scope="module")
def accounts(bearer_registry: BearerRegistry) -> BearerRegistry:
    bearer_registry.tokens.passwords |= dict([OURS])
    return bearer_registry


def test_ticks_of_many_servers_are_not_lost_when_the_page_is_turned(
    page: Page, open_page: Opener, dokreg: Running, server: str, accounts: BearerRegistry, tmp_path: Path
) -> None:
    steps.choose_provider(page, "Other registry")
    steps.fill_in_registry(page, name="Many", host=accounts.host, account=OURS, server=server)
    steps.save(page, "Many")
    address = page.url
    add_servers(dokreg, tmp_path / "servers.json", 60)
    page.reload()
    for viewport, color_scheme in NARROW_AND_DARK:
        with open_page(viewport=viewport, color_scheme=color_scheme) as (other, _watch):
            assert inspect(other, address) == []
    card = page.locator("#logins")
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", stay)
    card.get_by_role("link", name="Next").click()
    expect(page.get_by_label("many-59")).to_be_visible()
    page.evaluate(TICK_AND_TURN)
    card.get_by_role("link", name="Previous").click()
    expect(page.get_by_label("many-07")).to_be_checked()
    assert asked == ["What you ticked here is not saved. Turn the page all the same?"]
    card.get_by_role("button", name="Save, then next page").click()
    page.get_by_label("many-59").check()
    card.get_by_role("button", name="Save", exact=True).click()
    expect(page).to_have_url(f"{address}?page=2#logins")
    staying = "SELECT server.name FROM registries_login login JOIN servers_server server ON server.id = login.server_id"
    assert sorted(dokreg.column(staying)) == ["many-07", "many-59"]


def add_servers(dokreg: Running, file: Path, number: int) -> None:
    """Servers where none is, with the key of the first."""
    exported = json.loads(dokreg.manage("export", "--organisation", ORGANISATION))
    like = exported["servers"][0] | {"host": "127.0.0.1"}
    exported |= {"servers": [like | {"name": f"many-{count:02}", "port": 1 + count} for count in range(number)]}
    file.write_text(json.dumps(exported | {"registries": [], "projects": []}))
    dokreg.manage("import", str(file), "--organisation", ORGANISATION, "--by", steps.OWNER.username, "--apply")
