"""A real browser in which nothing may go wrong unseen: what a page does amiss fails the test."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    ViewportSize,
    WebError,
    expect,
    sync_playwright,
)

# The shell is Chromium without windows and tabs: it needs a third of the processor's time for the same page.
SHELL = "chromium-headless-shell"
PROGRAM = os.environ.get("CHROMIUM") or shutil.which(SHELL) or f"/usr/bin/{SHELL}"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 360, "height": 740}
WAIT_MILLISECONDS = 60_000  # the machine may be busy; nothing waits longer than it has to
FORM_WITH_ERRORS = 422
# What htmx says of a request that was under way when the page was left; a request that fails is told of by other words.
LEFT_BEHIND = ("htmx:sendAbort", "htmx:afterRequest")
SAID_ELSEWHERE = ("Failed to load resource", *LEFT_BEHIND)
PAGES = {"document", "xhr", "fetch"}
expect.set_options(timeout=WAIT_MILLISECONDS)


class Watch:
    """Notes whatever a page complains about, and whatever it asks of anybody but dokreg."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.complaints: list[str] = []
        self.expected = {FORM_WITH_ERRORS}
        self._origin = urlsplit(origin).netloc
        context.on("console", self._heard)
        context.on("weberror", self._broke)
        context.on("request", self._asked)
        context.on("response", self._answered)

    def expect(self, *statuses: int) -> None:
        """Let pages answer so from now on."""
        self.expected |= set(statuses)

    def _heard(self, message: ConsoleMessage) -> None:
        # That a page or a file came with an error status is judged by the status itself.
        if message.type in {"error", "warning"} and not message.text.startswith(SAID_ELSEWHERE):
            self.complaints.append(f"{message.type} on {message.location['url']}: {message.text}")

    def _broke(self, error: WebError) -> None:
        self.complaints.append(f"exception: {error.error}")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and parts.netloc != self._origin:
            self.complaints.append(f"request to {request.url}")

    def _answered(self, response: Response) -> None:
        is_page = response.request.resource_type in PAGES
        if response.status >= 400 and not (is_page and response.status in self.expected):
            self.complaints.append(f"{response.status} for {response.url}")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, which is gone when the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def new_page(browser: Browser, origin: str, **options: Any) -> Iterator[tuple[Page, Watch]]:
    """A page with cookies of its own, of a person who looks at dokreg at `origin`; fails if anything went wrong."""
    context = browser.new_context(**{"base_url": origin, "viewport": DESKTOP} | options)
    context.set_default_timeout(WAIT_MILLISECONDS)
    watch = Watch(context, origin)
    try:
        yield context.new_page(), watch
        assert not watch.complaints, "\n".join(watch.complaints)
    finally:
        context.close()
