"""The image with compose.yaml: from the first page to a test that passed, and what nobody can do in it."""

import json
import re
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import steps
from tests.browser.chromium import new_page
from tests.image.composed import OWN, Composed
from tests.image.conftest import BASE
from tests.lab.daemons import wait_until
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE
from tests.lab.registry import BasicRegistry
from tests.lab.sshd import Server

pytestmark = pytest.mark.once  # it has a PostgreSQL and a Redis of its own
MEGABYTE = 1000 * 1000
MOST_MEGABYTES = 250  # what dokreg adds to its base
USER = "10001"
REGISTRY = "Production images"


@pytest.fixture(scope="module")
def page(dokreg: Composed, browser: Browser, server_one: Server) -> Iterator[Page]:
    """The first owner, who came by the link in the log, and has added a server."""
    link = re.findall(r"http://\S+/setup/\S+", dokreg("logs", "web"))[-1]
    with new_page(browser, dokreg.url) as (opened, _watch):
        steps.set_up(opened, link)
        with server_one.letting_in(steps.add_ssh_key(opened, "deploy")):
            steps.add_server(opened, "web-1", server_one, "deploy")
            steps.confirm_host_key(opened)
            yield opened


def begin_test(page: Page) -> None:
    page.get_by_role("button", name="Test", exact=True).click()
    expect(steps.rung(page, "Login")).to_have_attribute("data-state", "running")


def test_a_registry_is_tested_and_a_worker_that_is_told_to_stop_ends_what_it_has(
    dokreg: Composed, page: Page, lab_registry: BasicRegistry
) -> None:
    steps.choose_provider(page, "Other registry")
    steps.fill_in_registry(page, name=REGISTRY, host=lab_registry.host, account=ALICE, server="web-1")
    assert steps.run_test(page) == "passed"
    steps.save(page, REGISTRY)

    worker = dokreg.container("worker")
    stopping = threading.Thread(target=dokreg, args=("stop", "worker"))
    with lab_registry.paused():
        begin_test(page)
        stopping.start()
        wait_until(lambda: "Warm shutdown" in dokreg.said(worker), "the worker to hear it")
        assert dokreg.inspect(worker)["State"]["Status"] == "running"
    expect(page.locator("#ladder .ladder-head .badge")).to_have_attribute("data-state", "passed")
    stopping.join()
    assert dokreg.inspect(worker)["State"]["ExitCode"] == 0
    dokreg("up", "--detach", "--no-build")
    dokreg.wait_until_alive()
    assert steps.run_test(page) == "passed"


def test_a_backup_is_taken_while_it_runs_and_put_back(dokreg: Composed, page: Page) -> None:
    manage = ("python", "manage.py")
    taken = dokreg.run("web", *manage, "backup", "/data/dokreg.tar.gz")
    assert "The keys are not in it" in taken.stdout, taken.stderr
    checked = dokreg.run("worker", *manage, "restore", "--check", "/data/dokreg.tar.gz")
    assert "could be restored here" in checked.stdout, checked.stderr
    steps.add_api_key(page, "Made after the backup")

    dokreg("stop", *OWN)
    said = dokreg("run", "--rm", "-T", "web", *manage, "restore", "--replace", "/data/dokreg.tar.gz")
    assert "are restored" in said
    dokreg("up", "--detach", "--no-build")
    dokreg.wait_until_alive()
    steps.sign_in(page)
    page.goto(f"{steps.HOME}/servers/")
    expect(page.get_by_role("link", name="web-1")).to_be_visible()
    page.goto(f"{steps.HOME}/api-keys/")
    expect(page.get_by_text("Made after the backup")).to_have_count(0)


@pytest.mark.parametrize("service", OWN)
def test_it_runs_as_a_user_who_can_write_nothing(dokreg: Composed, service: str) -> None:
    assert dokreg.run(service, "id", "-u").stdout.strip() == USER
    for folder in ("/", "/etc", "/opt/dokreg", "/opt/dokreg/.venv"):
        refused = dokreg.run(service, "touch", f"{folder}/written")
        assert refused.returncode != 0
        assert "Read-only file system" in refused.stderr
    for folder in ("/tmp", "/data"):
        assert dokreg.run(service, "touch", f"{folder}/written").returncode == 0
    status = dict(re.findall(r"(\w+):\t(\w+)", dokreg.run(service, "cat", "/proc/1/status").stdout))
    assert (status["NoNewPrivs"], int(status["CapBnd"], 16), int(status["CapEff"], 16)) == ("1", 0, 0)


def test_it_knows_who_it_is_under_another_number(image: tuple[Engine, str]) -> None:
    engine, name = image
    ask = "import getpass; print(getpass.getuser())"
    asked = engine.docker("run", "--rm", "--network=none", "--user=20000:20000", name, "python", "-c", ask)
    assert asked.stdout.strip() == "dokreg"


def test_no_secret_can_be_seen_from_outside(dokreg: Composed, image: tuple[Engine, str]) -> None:
    engine, name = image
    seen = json.dumps([dokreg.inspect(dokreg.container(service)) for service in OWN])
    seen += engine.docker("history", "--no-trunc", name).stdout + engine.docker("inspect", name).stdout
    seen += "".join(dokreg.said(dokreg.container(service)) for service in OWN)
    seen += "".join(dokreg.run(service, "cat", "/proc/1/cmdline", "/proc/1/environ").stdout for service in OWN)
    assert [secret for secret, text in dokreg.secrets.items() if text in seen] == []


@pytest.mark.parametrize("service", OWN)
def test_docker_finds_it_healthy(dokreg: Composed, service: str) -> None:
    wait_until(lambda: dokreg.health(service) == "healthy", f"{service} to be healthy", seconds=120)


def test_there_is_no_link_once_somebody_is_there(dokreg: Composed, page: Page) -> None:
    refused = dokreg.run("web", "python", "manage.py", "setup_link")
    assert "dokreg is set up already" in refused.stderr


def test_the_image_is_small(image: tuple[Engine, str]) -> None:
    engine, name = image
    sizes = [int(engine.docker("inspect", "--format={{.Size}}", one).stdout) for one in (name, BASE)]
    assert (sizes[0] - sizes[1]) / MEGABYTE <= MOST_MEGABYTES
