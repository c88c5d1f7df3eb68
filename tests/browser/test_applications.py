"""From a project to a container that runs, in a browser, on a real engine."""

import json
import re
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, StorageState, ViewportSize, expect

from tests.browser import steps
from tests.browser.chromium import new_page
from tests.browser.conftest import Opener
from tests.browser.inspection import NARROW_AND_DARK, defects_of, inspect
from tests.browser.steps import HOME, rung
from tests.browser.test_pages import FOCUS, LISTEN, MOST_TABS
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE
from tests.lab.ports import free_port
from tests.lab.registry import BasicRegistry
from tests.lab.web import answer_of, push_web
from tests.running import Running

PROJECTS = HOME.replace("/settings", "/projects/")
REGISTRY = "Production"
SAYS = """/bin/busybox sh -c 'trap exit TERM; echo "ready to serve"; sleep 3600 & wait'"""
Places = dict[str, str]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port("127.0.0.1")


@pytest.fixture(scope="module")
def image(lab_registry: BasicRegistry, engine_two: Engine, port: int) -> str:
    """The name of an image at the registry of the lab, that answers on the port."""
    push_web(engine_two, f"{lab_registry.host}/shop/web:{port}", port=port, marker="one")
    return f"shop/web:{port}"


@pytest.fixture(scope="module")
def project(
    dokreg: Running, browser: Browser, owner: StorageState, server: str, lab_registry: BasicRegistry, engine_one: Engine
) -> Iterator[str]:
    """The address of a project, with a registry saved beside it."""
    with new_page(browser, dokreg.url, storage_state=owner) as (page, _watch):
        steps.choose_provider(page, "Other registry")
        steps.fill_in_registry(page, name=REGISTRY, host=lab_registry.host, account=ALICE, server=server)
        steps.save(page, REGISTRY)
        yield steps.add_project(page, "Shop")
    engine_one.remove_containers()


@pytest.fixture(scope="module")
def places(dokreg: Running, browser: Browser, owner: StorageState, project: str, server: str, image: str) -> Places:
    """The address of every page of applications, with something on it."""
    with new_page(browser, dokreg.url, storage_state=owner) as (page, _watch):
        failed = steps.add_application(
            page, project, name="worker", registry=REGISTRY, image="shop/nowhere:1", server=server
        )
        failed_deployment = steps.deploy(page, "failed")
        new = steps.add_application(page, project, name="cron", registry="", image="busybox:stable", server=server)
        runs = steps.add_application(
            page, project, name="front", registry=REGISTRY, image=image, server=server, command=SAYS
        )
        deployment = steps.deploy(page, "succeeded")
        page.goto(runs)
        expect(page.locator("#container .badge")).to_have_attribute("data-state", "up")
        page.goto(f"{failed}webhook/")
        page.get_by_role("button", name="Make a webhook").click()
        page.get_by_role("button", name="Make a secret").click()
    return {
        "projects": PROJECTS,
        "projects, nothing found": f"{PROJECTS}?q=nothing+like+this",
        "a new project": f"{PROJECTS}add/",
        "a project": project,
        "editing a project": f"{project}edit/",
        "deleting a project": f"{project}delete/",
        "a new service": f"{project}services/add/",
        "a new application": f"{project}services/add/application/",
        "an application that runs": runs,
        "an application that failed": failed,
        "an application that was never deployed": new,
        "editing an application": f"{runs}edit/",
        "deleting an application": f"{runs}delete/",
        "an application without a webhook": f"{runs}webhook/",
        "a webhook": f"{failed}webhook/",
        "a deployment": deployment,
        "a deployment that failed": failed_deployment,
    }


@pytest.mark.parametrize(("viewport", "color_scheme"), NARROW_AND_DARK)
def test_every_page_is_in_order(open_page: Opener, places: Places, viewport: ViewportSize, color_scheme: str) -> None:
    with open_page(viewport=viewport, color_scheme=color_scheme) as (page, _watch):
        assert {name: defects for name, where in places.items() if (defects := inspect(page, where))} == {}


def test_from_the_form_to_a_container_that_answers(
    page: Page, project: str, server: str, image: str, port: int
) -> None:
    page.goto(project)
    page.get_by_role("link", name="New Service").first.click()
    page.get_by_role("link", name="Application").click()
    page.get_by_label("Name", exact=True).fill("web")
    page.get_by_label("Image", exact=True).fill(image)
    expect(page.locator("#pull")).to_contain_text(f"docker.io/{image}")
    page.get_by_label("Registry").select_option(label=registry_label(page))
    expect(page.locator("#pull code")).to_have_text(re.compile(rf"^127\.0\.0\.1:\d+/{image}$"))
    page.get_by_label("Network").fill("host")
    page.get_by_label("Environment").fill("GREETING=a value that is not shown again")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="web", exact=True)).to_be_visible()
    expect(page.get_by_text("GREETING", exact=True)).to_be_visible()

    page.get_by_role("button", name="Deploy").click()
    log = page.locator("#log")
    expect(log).to_be_visible()
    page.evaluate(LISTEN)
    expect(log).to_contain_text("The new container is running")
    assert page.locator("#live .ladder-head .badge").get_attribute("data-state") == "running"  # it grows meanwhile
    expect(page.locator("#live .ladder-head .badge")).to_have_attribute("data-state", "succeeded")
    expect(rung(page, "Switch over")).to_have_attribute("data-state", "passed")
    lines = log.inner_text().strip().splitlines()
    assert len(lines) == len(set(lines)), lines  # each line once
    heard = [text for text in page.evaluate("heard") if text]
    assert heard[-1] == "The deployment succeeded."
    assert heard.count("Runs…") == 1  # not with each line of the log
    assert answer_of(port) == "one"

    page.get_by_role("link", name="Look at the container").click()
    expect(page.locator("#container .badge")).to_have_attribute("data-state", "up")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#container .badge")).to_have_attribute("data-state", "exited")
    expect(page.locator("#deployments li").first).to_contain_text("Stop")
    assert answer_of(port, seconds=0) == ""
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name="Delete application").click()
    expect(page.get_by_role("heading", name="Projects", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="web", exact=True)).to_have_count(0)


def test_a_new_image_comes_by_webhook_and_goes_by_rollback(
    page: Page, project: str, server: str, lab_registry: BasicRegistry, engine_two: Engine
) -> None:
    port = free_port("127.0.0.1")
    reference = f"{lab_registry.host}/shop/hooked:{port}"
    push_web(engine_two, reference, port=port, marker="one")
    application = steps.add_application(
        page, project, name="hooked", registry=REGISTRY, image=f"shop/hooked:{port}", server=server
    )
    steps.deploy(page, "succeeded")
    assert answer_of(port) == "one"
    page.goto(application)
    page.get_by_role("link", name="Make one").click()
    page.get_by_role("button", name="Make a webhook").click()
    command = page.locator("#named-call").inner_text()
    push_web(engine_two, reference, port=port, marker="two")
    called = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert json.loads(called.stdout)["status"] == "queued", called

    page.goto(application)
    last = page.locator("#deployments li").first
    expect(last).to_contain_text("A webhook asked for it")
    expect(last.locator(".badge")).to_have_attribute("data-state", "succeeded")
    assert answer_of(port) == "two"
    page.get_by_role("button", name=re.compile("^Roll back to")).first.click()
    expect(page.locator("#live .ladder-head .badge")).to_have_attribute("data-state", "succeeded")
    assert answer_of(port) == "one"


def test_repository_and_tag_are_picked_from_the_registry(
    page: Page, project: str, server: str, image: str, port: int
) -> None:
    repository, _, tag = image.partition(":")
    page.goto(f"{project}services/add/application/")
    page.get_by_label("Name", exact=True).fill("picked")
    page.get_by_label("Server", exact=True).select_option(label=server)
    page.get_by_label("Network").fill("host")
    page.get_by_label("Environment").fill("A=1")
    page.get_by_label("Registry", exact=True).select_option(label=registry_label(page))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    page.get_by_role("button", name="Browse…").click()
    dialog = page.get_by_role("dialog", name="Pick a tag")
    expect(dialog.get_by_role("heading", name="Repositories of")).to_be_focused()
    expect(dialog.get_by_role("status")).to_contain_text("as seen from web-1")
    assert not [body for body in sent if "A%3D1" in body]  # the environment stays in the form

    # By keyboard: Enter searches, and asks nobody.
    search = dialog.get_by_role("searchbox", name="Find a repository")
    search.focus()
    page.keyboard.type("no such thing")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("Nothing found")).to_be_visible()
    expect(dialog.get_by_role("status")).to_contain_text("0 of the")
    search.fill(repository)
    entry = dialog.get_by_role("button", name=repository, exact=True)
    expect(dialog.locator("#listed li")).to_have_count(1)
    entry.press("Enter")

    expect(dialog.get_by_role("heading", name=f"Tags of {repository}")).to_be_focused()
    row = dialog.get_by_role("row", name=tag)
    expect(row).to_contain_text("linux/amd64")
    expect(row).to_contain_text("MB")
    row.get_by_role("button", name=f"Use this digest of {tag}").click()
    expect(page.locator("#pull code")).to_have_text(re.compile(rf"/{repository}@sha256:[0-9a-f]{{64}}$"))
    page.get_by_role("button", name="Browse…").click()  # the image is known by now: its tags at once
    dialog.get_by_role("button", name=f"Use {tag}", exact=True).press("Enter")
    expect(dialog).to_have_count(0)
    expect(page.get_by_label("Image", exact=True)).to_be_focused()
    expect(page.get_by_label("Image", exact=True)).to_have_value(image)
    expect(page.locator("#pull code")).to_have_text(re.compile(rf"^127\.0\.0\.1:\d+/{image}$"))

    page.get_by_label("Name", exact=True).press("Enter")  # the form is saved, not browsed
    expect(page.get_by_role("heading", name="picked", exact=True)).to_be_visible()
    steps.deploy(page, "succeeded")
    assert answer_of(port) == "one"
    page.get_by_role("link", name="Look at the container").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#container .badge")).to_have_attribute("data-state", "exited")


@pytest.mark.parametrize(("viewport", "color_scheme"), NARROW_AND_DARK)
def test_the_dialog_is_in_order(
    open_page: Opener, project: str, server: str, image: str, viewport: ViewportSize, color_scheme: str
) -> None:
    with open_page(viewport=viewport, color_scheme=color_scheme) as (page, _watch):
        page.goto(f"{project}services/add/application/")
        page.get_by_label("Registry", exact=True).select_option(label=registry_label(page))
        page.get_by_label("Server", exact=True).select_option(label=server)
        page.get_by_role("button", name="Browse…").click()
        dialog = page.get_by_role("dialog")
        for ready in ("Find a repository", "Find a tag"):
            expect(dialog.get_by_role("searchbox", name=ready)).to_be_visible()
            over, right = dialog.evaluate("e => [e.scrollWidth - e.clientWidth, e.getBoundingClientRect().right]")
            assert (over, right <= viewport["width"]) == (0, True)
            assert defects_of(page) == []
            if ready == "Find a repository":
                dialog.get_by_role("button", name=image.partition(":")[0], exact=True).click()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(page.get_by_role("button", name="Browse…")).to_be_focused()


@pytest.mark.parametrize(
    ("place", "action"),
    [
        ("projects", "New Project"),
        ("a project", "New Service"),
        ("an application that runs", "Deploy"),
        ("a deployment that failed", "Deploy again"),
        ("deleting an application", "Delete application"),
    ],
)
def test_the_keyboard_reaches_the_main_action(page: Page, places: Places, place: str, action: str) -> None:
    page.goto(places[place])
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert focus["ring"], f"no ring on {focus['html'][:200]}"
        if focus["inMain"] and focus["word"] == action:
            return
    raise AssertionError(f"{action} is not among the first {MOST_TABS} stops")


# A deployment as if a worker had it in hand, with a long log.
RUNS = """UPDATE applications_deployment SET state = 'running', log = ?, revision = revision + 1, worker = ?,
    lease_until = '2999-01-01 00:00:00' WHERE id = ?"""
GROWS = "UPDATE applications_deployment SET log = log || ?, revision = revision + 1 WHERE id = ?"
ENDS = "UPDATE applications_deployment SET state = 'failed', revision = revision + 1 WHERE id = ?"
BELOW = "log => log.scrollHeight - log.scrollTop - log.clientHeight"
LONG = "".join(f"12:00:00 line {number}\n" for number in range(200))


def test_the_log_follows_its_end_unless_somebody_reads_above(page: Page, dokreg: Running, places: Places) -> None:
    address = places["a deployment that failed"]
    row = address.rstrip("/").rpartition("/")[2]
    before = dokreg.column("SELECT log FROM applications_deployment WHERE id = ?", row)[0]
    dokreg.change(RUNS, LONG, "", row)
    page.goto(address)
    log = page.locator("#log")
    assert log.evaluate(BELOW) < 2
    dokreg.change(GROWS, "12:00:01 the first news\n", row)
    expect(log).to_contain_text("the first news")
    assert log.evaluate(BELOW) < 2
    log.evaluate("log => log.scrollTo({top: 100})")
    dokreg.change(GROWS, "12:00:02 the second news\n", row)
    expect(log).to_contain_text("the second news")
    assert log.evaluate("log => log.scrollTop") == 100
    assert log.inner_text().count("news") == 2
    dokreg.change(ENDS, row)
    expect(page.locator("#live .ladder-head .badge")).to_have_attribute("data-state", "failed")
    expect(page.locator("[hx-trigger=load]")).to_have_count(0)
    dokreg.change("UPDATE applications_deployment SET log = ? WHERE id = ?", before, row)


def test_an_image_of_a_saved_registry_takes_it_at_a_press(
    page: Page, project: str, lab_registry: BasicRegistry, image: str
) -> None:
    page.goto(f"{project}services/add/application/")
    page.get_by_label("Image", exact=True).fill(f"{lab_registry.host}/{image}")
    page.get_by_role("button", name=REGISTRY).click()
    expect(page.get_by_label("Registry", exact=True).locator("option:checked")).to_have_text(registry_label(page))
    expect(page.locator("#pull button")).to_have_count(0)
    expect(page.get_by_label("Image", exact=True)).to_have_value(f"{lab_registry.host}/{image}")


def test_the_form_is_filled_in_by_keyboard_and_says_what_is_wrong(page: Page, project: str) -> None:
    page.goto(f"{project}services/add/application/")
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.type("by-keyboard")
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.type("UPPER/case")
    page.get_by_label("Environment").fill("A=1")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Save").press("Enter")
    image = page.get_by_label("Image", exact=True)
    expect(image).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Name", exact=True)).to_have_value("by-keyboard")
    expect(page.get_by_label("Environment")).to_have_value("A=1")


def test_everything_works_without_javascript(
    open_page: Opener, project: str, server: str, lab_registry: BasicRegistry, image: str
) -> None:
    with open_page(storage_state=None, java_script_enabled=False) as (page, _watch):
        steps.sign_in(page)
        page.goto(project)
        page.get_by_role("link", name="New Service").first.click()
        page.get_by_role("link", name="Application").click()
        page.get_by_label("Name", exact=True).fill("plain")
        page.get_by_label("Image", exact=True).fill(f"{lab_registry.host}/{image}")
        page.get_by_label("Environment").fill("A=1\nnonsense")
        page.get_by_label("Network").fill("host")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Line 2 is not of the form NAME=value.")).to_be_visible()
        page.get_by_label("Environment").fill("A=1")
        page.get_by_role("button", name="Browse…").click()
        look_until(page, page.get_by_text("could not be listed"))  # without the account
        page.get_by_role("button", name="Back to the form").click()
        expect(page.get_by_label("Environment")).to_have_value("A=1")
        page.get_by_role("button", name=REGISTRY).click()
        expect(page.get_by_label("Environment")).to_have_value("A=1")
        expect(page.get_by_label("Registry", exact=True).locator("option:checked")).to_have_text(registry_label(page))
        page.get_by_role("button", name="Browse…").click()
        found = page.get_by_role("button", name=f"Use {image.partition(':')[2]}", exact=True)
        look_until(page, found)
        found.click()
        expect(page.get_by_label("Image", exact=True)).to_have_value(image)
        expect(page.get_by_label("Environment")).to_have_value("A=1")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", name="plain", exact=True)).to_be_visible()
        page.get_by_role("button", name="Deploy").click()
        expect(page.locator("#live .ladder-head .badge")).to_have_attribute("data-state", "succeeded")
        page.get_by_role("link", name="Look at the container").click()
        page.get_by_role("button", name="Refresh").click()
        expect(page.locator("#container .badge")).to_have_attribute("data-state", "up")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#deployments li .badge").first).to_have_attribute("data-state", "succeeded")
        page.get_by_role("button", name="Refresh").click()
        expect(page.locator("#container .badge")).to_have_attribute("data-state", "exited")
        page.get_by_role("link", name="Delete…").click()
        page.get_by_role("button", name="Delete application").click()
        expect(page.get_by_role("heading", name="Shop")).to_be_visible()


def look_until(page: Page, found: Locator) -> None:
    """Without JavaScript somebody asks whether the list has come, page by page."""
    again = page.get_by_role("button", name="Look again")
    while True:
        expect(found.or_(again)).to_be_visible()
        if found.is_visible():
            return
        with page.expect_navigation():
            again.click()


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_button_that_is_being_pressed_is_not_taken_away(page: Page, places: Places, by: str) -> None:
    """The look at the container replaces its buttons, and may end between pressing one and letting it go."""
    page.goto(places["an application that runs"])
    title = page.locator("#deployments li a").first
    before = title.get_attribute("href")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/looks/**", hold)
    with page.expect_request("**/looks/**"):
        page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#container .badge")).to_have_attribute("data-state", "running")
    button = page.get_by_role("button", name="Restart")
    if by == "mouse":
        button.hover()
        page.mouse.down()
    else:
        button.focus()
        page.keyboard.down(" ")
    with page.expect_event("requestfinished"):
        held.pop().continue_()
    page.mouse.up() if by == "mouse" else page.keyboard.up(" ")
    expect(title).not_to_have_attribute("href", before)
    expect(title).to_contain_text("Restart")
    expect(page.locator("#deployments li .badge").first).to_have_attribute("data-state", "succeeded")


def registry_label(page: Page) -> str:
    return page.get_by_label("Registry").locator("option", has_text=REGISTRY).inner_text()
