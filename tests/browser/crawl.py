"""Follows every link in a dokreg that a team has lived with: `python -m tests.browser.crawl`.

Looks at each page in windows of several widths, and writes a line for everything that is wrong with one; then once more
with names so long that they fit nowhere.
"""

import re
import sys
from collections import Counter, deque
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Page

from tests.browser import acme
from tests.browser.chromium import new_page
from tests.browser.inspection import defects_of
from tests.running import Running

WIDTHS = (1440, 1280, 1024, 900, 740, 600, 360, 320)
HEIGHT = 860
ELSEWHERE = re.compile(r"/(admin|static|api)/|/(healthz|metrics)$")
IDS = re.compile(r"\b[A-Za-z0-9]{21}\b|\b\d+\b")
OF_ONE_KIND = 4  # lists that are sorted this way or that are pages of one kind
LEAST_KINDS = 45
AGE = 50  # minutes: that long ago takes more letters than just now
# Table, column and how long it becomes; none of them has a place to be broken at.
NAMES = (
    ("organisations_organisation", "name", 60),
    ("organisations_user", "first_name", 100),
    ("organisations_invitation", "note", 100),
    ("servers_server", "name", 80),
    ("servers_server", "description", 200),
    ("servers_sshkey", "name", 80),
    ("registries_registry", "name", 80),
    ("registries_registry", "username", 120),
    ("registries_registry", "image_prefix", 120),
    ("applications_project", "name", 80),
    ("applications_project", "description", 200),
    ("applications_application", "name", 80),
    ("applications_application", "image", 200),
)


def crawl(page: Page) -> tuple[Counter[str], list[str]]:
    """How many pages of each kind were seen, from the first one on; and what is wrong with them, in sentences."""
    kinds: Counter[str] = Counter()
    defects: list[str] = []
    waiting, known = deque(["/"]), {"/"}
    while waiting:
        address = waiting.popleft()
        kind = kind_of(address)
        if kinds[kind] == OF_ONE_KIND:
            continue
        kinds[kind] += 1
        response = page.goto(address)
        if response is None or not response.headers["content-type"].startswith("text/html"):
            continue
        defects += [f"{address} {defect}" for defect in in_every_window(page)]
        found = [link for link in links_of(page, address) if link not in known]
        known.update(found)
        waiting.extend(dict.fromkeys(found))
    return kinds, defects


def kind_of(address: str) -> str:
    """The address without what differs between pages of one kind."""
    parts = urlsplit(address)
    return f"{IDS.sub('*', parts.path)}{'?' if parts.query else ''}"


def in_every_window(page: Page) -> list[str]:
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        found += [f"at {width} px: {defect}" for defect in defects_of(page)]
    return found


def links_of(page: Page, address: str) -> list[str]:
    """Where the page leads to inside of dokreg, in the order in which that stands there."""
    raw = page.eval_on_selector_all("a[href]", "links => links.map((link) => link.getAttribute('href'))")
    parts = [urlsplit(urljoin(address, link)) for link in raw]
    return [part._replace(fragment="").geturl() for part in parts if not part.netloc and not ELSEWHERE.match(part.path)]


def let_time_pass(dokreg: Running) -> None:
    """Set back every time that dokreg holds: how long ago a thing was does not depend on how fast this machine is."""
    columns = dokreg.rows(
        "SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns "
        "WHERE tables.type = 'table' AND columns.type = 'datetime'"
    )
    for table, column in columns:
        earlier = f"strftime('%Y-%m-%d %H:%M:%f', {column}, '-{AGE} minutes')"
        dokreg.change(f"UPDATE {table} SET {column} = {earlier} WHERE {column} IS NOT NULL")


def stretch_names(dokreg: Running) -> None:
    for table, column, length in NAMES:
        letters = (column.replace("_", "") * length)[:length]
        assert dokreg.change(f"UPDATE {table} SET {column} = substr({column} || ?, 1, {length})", letters)


def main() -> None:
    acme.enter_its_world(__spec__.name)
    with (
        acme.lived_in() as (browser, dokreg, cookies),
        new_page(browser, dokreg.url, storage_state=cookies) as (page, _watch),
    ):
        let_time_pass(dokreg)
        kinds, defects = crawl(page)
        stretch_names(dokreg)
        defects += crawl(page)[1]
    if len(kinds) < LEAST_KINDS:
        defects.append(f"Only {len(kinds)} kinds of page were found: {', '.join(sorted(kinds))}")
    sys.stdout.writelines(f"{defect}\n" for defect in defects)
    sys.stdout.write(f"{kinds.total()} pages of {len(kinds)} kinds, {len(defects)} defects\n")
    sys.exit(1 if defects else 0)


if __name__ == "__main__":
    main()
