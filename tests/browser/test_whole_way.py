"""The whole way of a team's first registry, in a browser, against `manage.py up` and real servers."""

import base64
import json
import re

from playwright.sync_api import Page, expect

from tests.browser import steps
from tests.browser.steps import HOME, password_field, rung
from tests.lab.fixtures import ALICE, BOB
from tests.lab.registry import Account, BasicRegistry

MARKED = Account("carol", "m4rked-s3cret-of-carol")


def new_registry(page: Page, registry: BasicRegistry, *, name: str, account: Account, server: str) -> None:
    """Add a registry without looking left or right."""
    steps.choose_provider(page, "Other registry")
    steps.fill_in_registry(page, name=name, host=registry.host, account=account, server=server)
    steps.save(page, name)


def paste(page: Page, text: str) -> None:
    page.goto(f"{HOME}/registries/add/")
    page.get_by_label("A login line, a file or an image").fill(text)
    page.get_by_role("button", name="Fill in the form").click()


def test_a_server_is_ready_once_its_host_key_is_confirmed(page: Page, server: str) -> None:
    page.goto(f"{HOME}/servers/")
    row = page.get_by_role("row").filter(has_text=server)
    expect(row).to_contain_text("Confirmed")
    expect(row).to_contain_text("Passed")


def test_a_wrong_password_shows_its_cause_and_the_form_stays_as_typed(
    page: Page, server: str, lab_registry: BasicRegistry
) -> None:
    steps.choose_provider(page, "Other registry")
    wrong = Account(BOB.username, "not the password")
    steps.fill_in_registry(page, name="Typed", host=lab_registry.host, account=wrong, server=server)
    assert steps.run_test(page) == "failed"
    for name in ("SSH", "Docker CLI", "Docker daemon"):
        expect(rung(page, name)).to_have_attribute("data-state", "passed")
    login = rung(page, "Login")
    expect(login).to_have_attribute("data-state", "failed")
    expect(login.locator(".cause")).to_contain_text(lab_registry.host)
    expect(login.locator(".words")).to_contain_text("401 Unauthorized")
    expect(page.get_by_label("Registry Name")).to_have_value("Typed")
    expect(page.get_by_label("Registry URL")).to_have_value(lab_registry.host)
    expect(page.get_by_label("Username")).to_have_value(wrong.username)
    expect(password_field(page)).to_have_value(wrong.password)
    expect(page.get_by_label("Server").locator("option:checked")).to_have_text(server)


def test_from_the_first_test_to_a_changed_password_to_deletion(
    page: Page, server: str, lab_registry: BasicRegistry
) -> None:
    name = "Production images"
    steps.choose_provider(page, "Other registry")
    wrong = Account(ALICE.username, "a typing mistake")
    steps.fill_in_registry(page, name=name, host=lab_registry.host, account=wrong, server=server)
    assert steps.run_test(page) == "failed"
    password_field(page).fill(ALICE.password)
    assert steps.run_test(page) == "passed"
    steps.save(page, name)
    expect(page.locator(".page-head .badge")).to_have_text("Passed")

    with lab_registry.password_changed(ALICE.username, "another one since this morning"):
        assert steps.run_test(page) == "failed"
        expect(rung(page, "Login").locator(".cause")).to_contain_text("refused")
    expect(page.locator("#tests .badge").first).to_have_text("Failed")

    page.get_by_role("link", name="Edit").first.click()
    expect(password_field(page)).to_have_value("")
    page.get_by_label("Registry Name").fill("Production")
    steps.save(page, "Production")
    assert steps.run_test(page) == "passed"  # a blank password kept the stored one

    page.get_by_role("link", name="Edit").first.click()
    page.get_by_label("Registry URL").fill("registry.example.com")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Enter the password again: the host has changed")).to_be_visible()

    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Production is deleted.")).to_be_visible()
    expect(page.get_by_role("link", name="Production", exact=True)).not_to_be_visible()


def test_pull_right_is_asked_for_the_named_image(
    page: Page, server: str, lab_registry: BasicRegistry, pushed_image: str
) -> None:
    new_registry(page, lab_registry, name="With an image", account=BOB, server=server)
    page.get_by_label("Image", exact=True).fill(pushed_image)
    assert steps.run_test(page) == "passed"
    expect(rung(page, "Pull right")).to_have_attribute("data-state", "passed")
    page.get_by_label("Image", exact=True).fill("acme/nowhere:1")
    assert steps.run_test(page) == "failed"
    expect(rung(page, "Login")).to_have_attribute("data-state", "passed")
    expect(rung(page, "Pull right").locator(".cause")).to_contain_text("acme/nowhere")


def test_a_pasted_login_line_fills_in_the_form_and_its_secret_is_in_no_page(
    page: Page, server: str, lab_registry: BasicRegistry
) -> None:
    seen: list[str] = []
    page.on("response", lambda answer: seen.append(answer.url))
    paste(page, f"docker login -u {MARKED.username} -p {MARKED.password} {lab_registry.host}")
    expect(page.get_by_label("Registry URL")).to_have_value(lab_registry.host)
    expect(page.get_by_label("Username")).to_have_value(MARKED.username)
    expect(password_field(page)).to_have_value("")
    assert MARKED.password not in page.content()
    assert MARKED.password not in " ".join(seen)
    with_password = Account(MARKED.username, MARKED.password)
    lab_registry.set_password(*with_password)
    try:
        page.get_by_label("Server").select_option(label=server)
        assert steps.run_test(page) == "passed"  # so it was kept, out of sight
    finally:
        lab_registry.remove_user(MARKED.username)
    assert MARKED.password not in page.content()
    page.get_by_label("Registry Name").fill("Pasted")
    steps.save(page, "Pasted")
    assert MARKED.password not in page.content()


def test_a_pasted_file_with_two_hosts_offers_both(page: Page) -> None:
    auth = base64.b64encode(f"{MARKED.username}:{MARKED.password}".encode()).decode()
    paste(page, json.dumps({"auths": {"registry.example.com": {"auth": auth}, "ghcr.io": {"auth": auth}}}))
    offered = page.get_by_role("region", name="Found in what you pasted").get_by_role("link")
    expect(offered).to_have_count(2)
    assert {MARKED.password, auth}.isdisjoint(re.findall(r"[\w=+/-]+", page.content()))
    offered.filter(has_text="ghcr.io").click()
    expect(page.get_by_label("Registry URL")).to_have_value("ghcr.io")
    expect(page.get_by_label("Username")).to_have_value(MARKED.username)


def test_what_cannot_be_read_is_said_at_the_field(page: Page) -> None:
    paste(page, "nothing of the kind")
    field = page.get_by_label("A login line, a file or an image")
    expect(field).to_have_attribute("aria-invalid", "true")
