"""Ten thousand tokens are due in the same minute: a click on Test is answered as if nothing else were going on."""

import time
from collections.abc import Iterator
from statistics import median

import pytest

from tests.faults.minting import DISPATCH, Count, Registries
from tests.lab.aws import Aws
from tests.lab.fixtures import ALICE
from tests.lab.registry import BasicRegistry
from tests.lab.sshd import Server
from tests.owner import Owner
from tests.patience import SOON
from tests.running import Running, running

MANY = 10_000
CLICKS = 5
PAGES = ("/acme/settings/registries/", "/acme/settings/registries/?page=200", "/acme/settings/servers/")
REFRESHES_AT_ONCE = 4  # the default of DOKREG_REFRESHES_AT_ONCE


@pytest.fixture(scope="module")
def cloud() -> Iterator[Aws]:
    with Aws() as started:
        yield started


@pytest.fixture(scope="module")
def dokreg(tmp_path_factory: pytest.TempPathFactory, cloud: Aws) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("starving") / "data", DOKREG_AWS_ENDPOINT_URL=cloud.url) as started:
        started.wait_until_healthy()
        yield started


class Clicks:
    """Alice, who tests a registry on a server again and again, and looks at pages."""

    def __init__(self, dokreg: Running, machine: Server, registry: BasicRegistry) -> None:
        self.owner = Owner(dokreg)
        self.values = {
            "url": registry.host,
            "username": ALICE.username,
            "password": ALICE.password,
            "server": self.owner.add_server("web-1", machine),
        }

    def test(self) -> float:
        """Seconds from the click to the verdict."""
        since = time.monotonic()
        page = self.owner.test_draft(**self.values)
        ladder = self.owner.ladder(page.match(r'hx-get="([^"]+)"')) if "hx-get" in page.text else page.text
        assert 'data-state="failed"' not in ladder, ladder
        return time.monotonic() - since

    def tests(self) -> list[float]:
        return [self.test() for _ in range(CLICKS)]

    def look(self) -> float:
        """Seconds that the slowest of some pages takes."""
        return max(self._look_at(page) for page in PAGES)

    def _look_at(self, path: str) -> float:
        since = time.monotonic()
        assert self.owner.get(path).status == 200
        return time.monotonic() - since


def test_a_click_is_not_starved(dokreg: Running, cloud: Aws, server_one: Server, lab_registry: BasicRegistry) -> None:
    clicks = Clicks(dokreg, server_one, lab_registry)
    clicks.test()
    idle = median(clicks.tests())
    old = Registries.add(dokreg, cloud, "OLD")
    dokreg.send(DISPATCH)
    old.wait_until_done()
    token = old.column("token")
    registries = Registries.add(dokreg, cloud, "MANY", MANY, due_in=3600)
    with cloud.having(hangs=True):
        old.set("refresh_due_at = '2020-01-01 00:00:00'")  # the first of all
        registries.let_be_due()
        dokreg.wait_for(lambda: in_state(dokreg, "running") == REFRESHES_AT_ONCE, "the cloud to hang")
        hanging = clicks.tests()
        assert clicks.look() < SOON
        assert in_state(dokreg, "queued", "running") == REFRESHES_AT_ONCE
        dokreg.wait_for(lambda: in_state(dokreg, "failed") >= REFRESHES_AT_ONCE, "the cloud to be given up")
        assert old.column("token") == token
        page = clicks.owner.get(old.page).text
        assert "AWS did not answer within 20 s." in page
        assert "Next try" in page
        assert registries.mints == 0
    with cloud.having(delay=0.5):
        dokreg.wait_for(lambda: registries.mints > REFRESHES_AT_ONCE, "the refreshes to go on by themselves")
        given = registries.mints
        slow = clicks.tests()
        assert clicks.look() < SOON
        assert registries.mints > given
        assert in_state(dokreg, "queued", "running") <= REFRESHES_AT_ONCE
    old.set("refresh_due_at = '2020-01-01 00:00:00'")
    old.wait_until_done()
    assert old.states == ["passed", "failed", "passed"]
    assert old.count(needed=2) == Count(asked=1, done=1, lost=0, doubled=0)
    assert max(cloud.mints[key] for key in registries.keys) == 1
    assert max(slow + hanging) < SOON, f"{idle:.2f} s without anything else to do"


def in_state(dokreg: Running, *states: str) -> int:
    """How many refreshes are in one of these states."""
    marks = ", ".join("?" * len(states))
    return int(dokreg.column(f"SELECT count(*) FROM registries_tokenrefresh WHERE state IN ({marks})", *states)[0])
