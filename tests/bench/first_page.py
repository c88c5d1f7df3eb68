"""The first page as a browser with nothing in its cache gets it: bytes over the wire, and requests."""

from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.bench.figures import Figure, once
from tests.browser.chromium import FLAGS, PROGRAM
from tests.running import running


def figures(folder: Path) -> list[Figure]:
    with (
        running(folder / "data") as dokreg,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS) as browser,
        browser.new_page() as page,
    ):
        dokreg.wait_until_healthy()
        arrived: list[float] = []
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.send("Network.setCacheDisabled", {"cacheDisabled": True})
        network.on("Network.loadingFinished", lambda answer: arrived.append(answer["encodedDataLength"]))
        page.goto(f"{dokreg.url}/sign-in/", wait_until="networkidle")
        assert arrived
    return [
        once("the first page, cold, over the wire", sum(arrived) / 1024, "KB", bar="≤ 60"),
        once("requests of the first page, cold", len(arrived), "requests", bar="≤ 6"),
    ]
