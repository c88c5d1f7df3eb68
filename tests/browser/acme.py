"""A believable organisation for pictures: real servers and registries, under names of their own.

The names hold in this process and its children alone: they stand in a private copy of /etc/hosts.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import Browser, Page, StorageState, expect

from tests.browser import steps
from tests.browser.chromium import chromium, new_page
from tests.lab.aws import Aws
from tests.lab.engine import Engine
from tests.lab.registry import Account, BasicRegistry, CloudRegistry, Registry
from tests.lab.sshd import Server
from tests.running import Running, running

Part = TypeVar("Part", Server, Registry, BasicRegistry)
INSIDE = "--inside"
ECR = "482915306177.dkr.ecr.eu-central-1.amazonaws.com"
ADDRESSES = {
    "localhost": "127.0.0.1",
    "ghcr.io": "127.0.0.11",
    ECR: "127.0.0.12",
    "registry.acme.example": "127.0.0.13",
    "mirror.acme.example": "127.0.0.14",
    "web-1.acme.example": "127.0.0.21",
    "build-1.acme.example": "127.0.0.22",
}
DEPLOYER = Account("deployer", "pull-only-2f7c91")
GITHUB = Account("acme-bot", "ghp_8Qm2yT5vXc1nLr7KdWs0ZpJb4HfUeA9gGiOq")
AMAZON = Account("AKIA4K7Q2MZT5XWB3RNH", "k3Zr8vQ1tYp6LmW0sXc9JdF4hGb7NaU2eRo5TiKq")
IMAGE = "registry.acme.example/acme/web:1.4"
SERVES = """/bin/busybox sh -c 'echo "[web] 4 workers, listening on :8080"; exec sleep 3600'"""
BOB = Account("bob", "a password that bob remembers")


def enter_its_world(module: str) -> None:
    """Run the module anew where the names above lead to the lab, unless it runs there already."""
    if INSIDE in sys.argv:
        return
    with tempfile.NamedTemporaryFile("w", prefix="hosts-") as hosts:
        hosts.writelines(f"{address} {name}\n" for name, address in ADDRESSES.items())
        hosts.flush()
        Path(hosts.name).chmod(0o644)
        mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
        command = ["sh", "-c", mount, hosts.name, sys.executable, "-m", module, INSIDE, *sys.argv[1:]]
        sys.exit(subprocess.run(["unshare", "--mount", *command]).returncode)


@dataclass(frozen=True)
class Lab:
    """What runs for the pictures."""

    web: Server
    build: Server
    own: BasicRegistry
    github: BasicRegistry
    aws: Aws


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    if os.geteuid() != 0:
        sys.exit("The lab runs Docker engines and SSH servers, which needs root.")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dokreg-lab-", dir="/var/tmp")))
        folder.chmod(0o711)
        engine = stack.enter_context(Engine(folder / "engine"))
        parts = Lab(
            web=_at(Server(folder / "web-1", engine, address=ADDRESSES["web-1.acme.example"]), 22),
            build=_at(Server(folder / "build-1", engine, address=ADDRESSES["build-1.acme.example"]), 22),
            own=_at(_registry(folder, "registry.acme.example", DEPLOYER), 80),
            github=_at(_registry(folder, "ghcr.io", GITHUB), 80),
            aws=stack.enter_context(Aws()),
        )
        amazon = CloudRegistry(folder / "amazon", ECR, parts.aws)
        amazon.address = ADDRESSES[ECR]
        mirror = _at(Registry(folder / "mirror", address=ADDRESSES["mirror.acme.example"]), 80)
        for part in (parts.web, parts.build, parts.own, parts.github, amazon, mirror):
            stack.enter_context(part)
        engine.import_image(IMAGE)
        engine.push(IMAGE, DEPLOYER)
        engine.remove_image(IMAGE)
        yield parts


@contextlib.contextmanager
def lived_in() -> Iterator[tuple[Browser, Running, StorageState]]:
    """A browser, a dokreg that the team has lived with for a while, and its owner's cookies."""
    with (
        lab() as parts,
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "data", DOKREG_AWS_ENDPOINT_URL=parts.aws.url) as dokreg,
        chromium() as browser,
        filled(browser, dokreg, parts) as cookies,
    ):
        yield browser, dokreg, cookies


@contextlib.contextmanager
def filled(browser: Browser, dokreg: Running, parts: Lab) -> Iterator[StorageState]:
    """Set dokreg up and live with it for a while; the owner's cookies."""
    with contextlib.ExitStack() as stack:
        page, _watch = stack.enter_context(new_page(browser, dokreg.url))
        steps.set_up(page, dokreg.setup_link)
        _add_servers(page, parts, stack)
        _add_registries(page, parts)
        _deploy(page)
        _invite(page, browser, dokreg)
        page.goto("/acme-logistics/fleet/")
        page.get_by_role("button", name="Test everywhere", exact=True).first.click()
        expect(page.get_by_role("heading", name="All tests are over")).to_be_visible(timeout=90_000)
        yield page.context.storage_state()


def open_form(page: Page, password: str) -> None:
    """The form of the team's own registry, filled in."""
    steps.choose_provider(page, "Other registry")
    account = Account(DEPLOYER.username, password)
    steps.fill_in_registry(page, name="Staging", host="registry.acme.example", account=account, server="web-1")
    page.get_by_label("Image", exact=True).fill("acme/web:1.4")


def open_ecr_form(page: Page) -> None:
    """The form of the team's registry at Amazon, filled in."""
    steps.choose_provider(page, "Amazon ECR")
    page.get_by_label("Registry Name").fill("Build cache")
    page.get_by_label("Registry URL").fill(ECR)
    page.get_by_label("Access key id").fill(AMAZON.username)
    page.get_by_label("Secret access key").fill(AMAZON.password)
    page.get_by_label("Server").select_option(label="web-1")


def _registry(folder: Path, name: str, account: Account) -> BasicRegistry:
    return BasicRegistry(folder / name, [account], address=ADDRESSES[name])


def _at(part: Part, port: int) -> Part:
    """The port that everybody expects, where this part is alone at its address."""
    part.port = port
    return part


def _add_servers(page: Page, parts: Lab, stack: contextlib.ExitStack) -> None:
    public_line = steps.add_ssh_key(page, "deploy")
    for name, server in (("web-1", parts.web), ("build-1", parts.build)):
        stack.enter_context(server.letting_in(public_line))
        steps.add_server(page, name, server, "deploy", host=f"{name}.acme.example")
        if server is parts.web:
            steps.confirm_host_key(page)


def _add_registries(page: Page, parts: Lab) -> None:
    own, github = "registry.acme.example", "ghcr.io"
    _add(page, "Other registry", "Production images", own, DEPLOYER, prefix="acme")
    page.get_by_label("web-1").check()
    page.locator("#logins").get_by_role("button", name="Save").click()
    open_ecr_form(page)
    steps.run_test(page)
    steps.save(page, "Build cache")
    _add(page, "Harbor", "Mirror of Docker Hub", "mirror.acme.example", Account("robot$pull", "anything"))
    with parts.github.password_changed(GITHUB.username, "renewed elsewhere"):
        _add(page, "GitHub (GHCR)", "Open source", github, GITHUB)
    _add(page, "Docker Hub", "Base images", "docker.io", Account("acmelogistics", "dckr_pat_x7"), tested=False)
    _add(page, "Quay", "Data team", "quay.io", Account("acme+data", "X7QW2Z5T"), tested=False, prefix="acme-data")


def _add(
    page: Page, provider: str, name: str, host: str, account: Account, *, prefix: str = "", tested: bool = True
) -> None:
    steps.choose_provider(page, provider)
    steps.fill_in_registry(page, name=name, host=host, account=account, server="web-1")
    page.get_by_label("Image Prefix").fill(prefix)
    if tested:
        steps.run_test(page)
    steps.save(page, name)


def _deploy(page: Page) -> None:
    """The team's shop, of which one application runs and one waits."""
    project = steps.add_project(page, "Shop")
    for name, image in (("checkout", "checkout:2.0"), ("web", "web:1.4")):
        steps.add_application(
            page,
            project,
            name=name,
            registry="Production images",
            image=image,
            server="web-1",
            command=SERVES,
            environment="DATABASE_URL=postgres://db/shop\nSECRET_KEY=not-in-any-picture",
        )
    steps.deploy(page, "succeeded")


def _invite(page: Page, browser: Browser, dokreg: Running) -> None:
    with new_page(browser, dokreg.url) as (other, _watch):
        other.goto(steps.invite(page, "Bob Miller", "Member"))
        other.get_by_label("Username").fill(BOB.username)
        for field in other.locator("input[type=password]").all():
            field.fill(BOB.password)
        other.get_by_role("button", name="Make account and join").click()
        expect(other.get_by_role("heading", name="Projects")).to_be_visible()
    steps.invite(page, "Erin from the data team", "Viewer")
