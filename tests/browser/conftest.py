"""A whole dokreg with its first owner and a server, and the browser that looks at it; one of each per module.

Not per run: while Playwright is open, Django refuses to use its database in the same thread.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import Browser, Page, StorageState

from tests.browser import steps
from tests.browser.chromium import Watch, chromium, new_page
from tests.lab.sshd import Server
from tests.running import Running, running

SERVER = "web-1"
Opener = Callable[..., AbstractContextManager[tuple[Page, Watch]]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def dokreg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("browser") / "data") as started:
        yield started


@pytest.fixture(scope="module")
def owner(dokreg: Running, browser: Browser) -> StorageState:
    """The cookies of the first owner, who came through the set-up link."""
    with new_page(browser, dokreg.url) as (page, _watch):
        steps.set_up(page, dokreg.setup_link)
        return page.context.storage_state()


@pytest.fixture(scope="module")
def server(dokreg: Running, browser: Browser, owner: StorageState, server_one: Server) -> Iterator[str]:
    """The name of a server that lets dokreg in, and whose host key is confirmed."""
    with new_page(browser, dokreg.url, storage_state=owner) as (page, _watch):
        public_line = steps.add_ssh_key(page, "deploy")
        with server_one.letting_in(public_line):
            steps.add_server(page, SERVER, server_one, "deploy")
            assert server_one.fingerprint in page.locator("#main").inner_text()
            steps.confirm_host_key(page)
            yield SERVER


@pytest.fixture
def open_page(dokreg: Running, browser: Browser, owner: StorageState) -> Opener:
    """Opens a page for Alice: `with open_page(viewport=PHONE) as (page, watch)`."""
    return lambda **options: new_page(browser, dokreg.url, **{"storage_state": owner, **options})


@pytest.fixture
def page(open_page: Opener) -> Iterator[Page]:
    """A wide page in which Alice is signed in."""
    with open_page() as (opened, _watch):
        yield opened
