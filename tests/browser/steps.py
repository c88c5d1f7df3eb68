"""What people do in the pages, step by step; each step ends when the page shows that it is done."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.lab.registry import Account
from tests.lab.sshd import Server

ORGANISATION = "Acme Logistics"
OWNER = Account("alice", "correct horse battery staple")
HOME = "/acme-logistics/settings"


def set_up(page: Page, link: str) -> None:
    """Open the one-time link of the terminal and become the first owner."""
    page.goto(link)
    page.get_by_label("Organisation").fill(ORGANISATION)
    page.get_by_label("Username").fill(OWNER.username)
    page.get_by_label("Password", exact=True).fill(OWNER.password)
    page.get_by_label("Password confirmation").fill(OWNER.password)
    page.get_by_role("button", name="Set up").click()
    expect(page.get_by_role("heading", name="Registries", exact=True)).to_be_visible()


def sign_in(page: Page, person: Account = OWNER) -> None:
    page.goto("/sign-in/")
    page.get_by_label("Username").fill(person.username)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Sign in")).not_to_be_visible()


def add_ssh_key(page: Page, name: str) -> str:
    """Let dokreg generate a key; the line for authorized_keys that it shows."""
    page.goto(f"{HOME}/ssh-keys/")
    page.locator("#main").get_by_role("link", name="Add SSH Key").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Save").click()
    return page.locator("#public-key").inner_text().strip()


def add_server(page: Page, name: str, server: Server, key: str, *, host: str = "") -> None:
    """Add a server; it is tested at once and shows its host key."""
    page.goto(f"{HOME}/servers/add/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Host").fill(host or server.host)
    page.get_by_label("Port").fill(str(server.port))
    page.get_by_label("User").fill(server.user)
    page.get_by_label("SSH key").select_option(label=key)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Is this your server?")).to_be_visible()


def confirm_host_key(page: Page) -> None:
    """Confirm what the page shows; the server is then tested to the end."""
    page.get_by_role("button", name="Confirm this host key").click()
    expect(page.get_by_role("heading", name="Is this your server?")).not_to_be_visible()
    expect(rung(page, "Docker daemon")).to_have_attribute("data-state", re.compile("passed|failed"))


def invite(page: Page, note: str, role: str) -> str:
    """Make an invitation; its link."""
    page.goto(f"{HOME}/members/invite/")
    page.get_by_label("For whom").fill(note)
    page.get_by_role("radio", name=role).check()
    page.get_by_role("button", name="Make link").click()
    return page.locator("#link").inner_text()


def add_api_key(page: Page, name: str) -> str:
    """Make an API key that may do whatever its member may; the key, which the page shows once."""
    page.goto(f"{HOME}/api-keys/add/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Make key").click()
    return page.locator("#api-key").inner_text()


def choose_provider(page: Page, name: str) -> None:
    page.goto(f"{HOME}/registries/")
    page.locator("#main").get_by_role("link", name="Add Registry").first.click()
    page.locator(".providers a").filter(has=page.get_by_text(name, exact=True)).click()
    expect(page.get_by_label("Registry URL")).to_be_visible()


def fill_in_registry(page: Page, *, name: str, host: str, account: Account, server: str) -> None:
    page.get_by_label("Registry Name").fill(name)
    page.get_by_label("Registry URL").fill(host)
    page.get_by_label("Username").fill(account.username)
    password_field(page).fill(account.password)
    page.get_by_label("Server").select_option(label=server)


def run_test(page: Page) -> str:
    """Press Test and wait for the end; "passed", "failed", "warning"."""
    before = page.locator("#ladder").element_handle()
    page.get_by_role("button", name="Test", exact=True).click()
    before.wait_for_element_state("hidden")  # it is replaced, so that an old result is not taken for the new one
    expect(page.locator("#ladder .ladder-head .badge")).to_have_attribute(
        "data-state", re.compile("passed|failed|warn")
    )
    return page.locator("#ladder .ladder-head .badge").get_attribute("data-state") or ""


def save(page: Page, name: str) -> None:
    """Save the form of a registry; its page follows."""
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    expect(page.get_by_text(f"{name} is saved.")).to_be_visible()


def password_field(page: Page) -> Locator:
    return page.get_by_label("Password / Token")


def add_channel(page: Page, name: str, address: str) -> None:
    """Let a service be notified."""
    page.goto(f"{HOME}/notifications/add/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Address").fill(address)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()


def add_project(page: Page, name: str) -> str:
    """Make a project; its address."""
    page.goto(HOME.replace("/settings", "/projects/"))
    page.locator("#main").get_by_role("link", name="New Project").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    return page.url


def add_application(
    page: Page,
    project: str,
    *,
    name: str,
    registry: str,
    image: str,
    server: str,
    command: str = "",
    environment: str = "",
) -> str:
    """Add an application that runs in the server's own network; its address."""
    page.goto(f"{project}services/add/application/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Image", exact=True).fill(image)
    if registry:
        choice = page.get_by_label("Registry", exact=True)
        choice.select_option(label=choice.locator("option", has_text=registry).inner_text())
    page.get_by_label("Server", exact=True).select_option(label=server)
    page.get_by_label("Network").fill("host")
    page.get_by_label("Command").fill(command)
    page.get_by_label("Environment").fill(environment)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    return page.url


def deploy(page: Page, end: str) -> str:
    """Deploy the application that the page shows, and wait for the end; the address of the deployment."""
    page.get_by_role("button", name="Deploy", exact=True).click()
    expect(page.locator("#live .ladder-head .badge")).to_have_attribute("data-state", end)
    return page.url


def rung(page: Page, name: str) -> Locator:
    """One step of the ladder that the page shows."""
    return page.locator(":is(#ladder, #live) .rung").filter(has=page.locator(".what", has_text=name))
