"""The image with compose.yaml: from the first page to a test that passed, and what nobody can do in it."""

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import steps
from tests.browser.chromium import new_page
from tests.image.composed import EVERY, NEIGHBOURS, OWN, ROOT, Composed
from tests.image.conftest import BASE
from tests.lab.daemons import wait_until
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE
from tests.lab.ports import free_port
from tests.lab.registry import BasicRegistry
from tests.lab.sshd import Server
from tests.lab.web import answer_of, push_web

pytestmark = pytest.mark.once  # it brings its own PostgreSQL and Redis
MEGABYTE = 1000 * 1000
MOST_MEGABYTES = 250  # what dokreg adds to its base
USER = "10001"
DATA = {"postgres": "/var/lib/postgresql/data"}  # the others have /data
FIRST_CHECK = timedelta(seconds=5)  # no earlier does Docker ask PostgreSQL and Redis how they are
OPERATIONS = ROOT / "docs/operations.md"
REGISTRY = "Production images"


@pytest.fixture(scope="module")
def server(dokreg: Composed, lab_folder: Path, engine_one: Engine) -> Iterator[Server]:
    """A server on the machine's side of the network that the containers have."""
    with Server(lab_folder / "server-outside", engine_one, address=dokreg.machine) as started:
        yield started
    engine_one.remove_containers()


@pytest.fixture(scope="module")
def page(dokreg: Composed, browser: Browser, server: Server) -> Iterator[Page]:
    """The first owner, who came by the link in the log, and has added a server."""
    link = re.findall(r"http://\S+/setup/\S+", dokreg("logs", "web"))[-1]
    with new_page(browser, dokreg.url) as (opened, _watch):
        steps.set_up(opened, link)
        with server.letting_in(steps.add_ssh_key(opened, "deploy")):
            steps.add_server(opened, "web-1", server, "deploy")
            steps.confirm_host_key(opened)
            yield opened


@pytest.fixture(scope="module")
def registry(page: Page, lab_registry: BasicRegistry) -> str:
    """The address of a registry that was tested with the server, and saved."""
    steps.choose_provider(page, "Other registry")
    steps.fill_in_registry(page, name=REGISTRY, host=lab_registry.host, account=ALICE, server="web-1")
    assert steps.run_test(page) == "passed"
    steps.save(page, REGISTRY)
    return page.url


def begin_test(page: Page) -> None:
    page.get_by_role("button", name="Test", exact=True).click()
    expect(steps.rung(page, "Login")).to_have_attribute("data-state", "running")


def test_a_worker_that_is_told_to_stop_ends_what_it_has(
    dokreg: Composed, page: Page, registry: str, lab_registry: BasicRegistry
) -> None:
    page.goto(registry)
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


@pytest.mark.parametrize("after", [0.0, 1.0, 2.0, 3.0])
def test_a_process_that_has_just_been_started_hears_that_it_is_to_stop(dokreg: Composed, after: float) -> None:
    """Also while it loads what hears signals later on; one that does not hear is killed at the end of its grace."""
    dokreg("stop", "beat")
    dokreg("start", "beat")
    time.sleep(after)
    dokreg("stop", "beat")
    assert dokreg.inspect(dokreg.container("beat"))["State"]["ExitCode"] != 128 + signal.SIGKILL
    dokreg("start", "beat")


def test_an_application_is_deployed(page: Page, registry: str, lab_registry: BasicRegistry, engine_two: Engine) -> None:
    port = free_port()
    push_web(engine_two, f"{lab_registry.host}/shop/web:1", port=port, marker="one")
    project = steps.add_project(page, "Shop")
    steps.add_application(page, project, name="front", registry=REGISTRY, image="shop/web:1", server="web-1")
    steps.deploy(page, "succeeded")
    assert answer_of(port) == "one"


def test_a_backup_is_taken_while_it_runs_and_put_back(dokreg: Composed, page: Page) -> None:
    backup, stop, restore, start = documented_lines("Backup and restore")
    dokreg.shell(backup)
    steps.add_api_key(page, "Made after the backup")

    dokreg.shell(stop)
    assert "are restored" in dokreg.shell(restore)
    dokreg.shell(start)
    dokreg.wait_until_alive()
    steps.sign_in(page)
    page.goto(f"{steps.HOME}/servers/")
    expect(page.get_by_role("link", name="web-1")).to_be_visible()
    page.goto(f"{steps.HOME}/api-keys/")
    expect(page.get_by_text("Made after the backup")).to_have_count(0)


def documented_lines(title: str) -> list[str]:
    """The lines for a shell in a section of docs/operations.md."""
    section = OPERATIONS.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("service", EVERY)
def test_it_runs_as_a_user_who_can_write_nothing(dokreg: Composed, service: str) -> None:
    number = dokreg.run(service, "id", "-u").stdout.strip()
    assert number == USER if service in OWN else number != "0"
    for folder in ("/", "/etc", "/usr", *(("/opt/dokreg", "/opt/dokreg/.venv") if service in OWN else ())):
        refused = dokreg.run(service, "touch", f"{folder}/written")
        assert refused.returncode != 0
        assert "Read-only file system" in refused.stderr
    for folder in ("/tmp", DATA.get(service, "/data")):
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
    seen = json.dumps([dokreg.inspect(dokreg.container(service)) for service in EVERY])
    seen += engine.docker("history", "--no-trunc", name).stdout + engine.docker("inspect", name).stdout
    seen += "".join(dokreg.said(dokreg.container(service)) for service in EVERY)
    everything = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ"
    processes = [dokreg.run(service, "sh", "-c", everything).stdout for service in EVERY]
    assert all("_FILE=/run/secrets/" in process or "redis-server" in process for process in processes)
    seen += "".join(processes)
    assert [secret for secret, text in dokreg.secrets.items() if text in seen] == []


@pytest.mark.parametrize("service", EVERY)
def test_docker_finds_it_healthy(dokreg: Composed, service: str) -> None:
    wait_until(lambda: dokreg.health(service) == "healthy", f"{service} to be healthy", seconds=120)


@pytest.mark.parametrize("service", OWN)
def test_it_is_started_when_postgres_and_redis_are_healthy(dokreg: Composed, service: str) -> None:
    created = datetime.fromisoformat(dokreg.inspect(dokreg.container(service))["Created"])
    for neighbour in NEIGHBOURS:
        state = dokreg.inspect(dokreg.container(neighbour))["State"]
        assert created > datetime.fromisoformat(state["StartedAt"]) + FIRST_CHECK


def test_redis_keeps_what_it_is_told_and_lets_nobody_in_without_the_password(dokreg: Composed) -> None:
    assert "NOAUTH" in dokreg.run("redis", "redis-cli", "ping").stdout
    ask = 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" redis-cli config get "$1"'
    for name, value in {"appendonly": "yes", "save": "", "dir": "/data", "maxmemory-policy": "noeviction"}.items():
        assert dokreg.run("redis", "sh", "-c", ask, "sh", name).stdout == f"{name}\n{value}\n"


def test_there_is_no_link_once_somebody_is_there(dokreg: Composed, page: Page) -> None:
    refused = dokreg.run("web", "python", "manage.py", "setup_link")
    assert "dokreg is set up already" in refused.stderr


def test_the_image_is_small(image: tuple[Engine, str]) -> None:
    engine, name = image
    sizes = [int(engine.docker("inspect", "--format={{.Size}}", one).stdout) for one in (name, BASE)]
    assert (sizes[0] - sizes[1]) / MEGABYTE <= MOST_MEGABYTES
