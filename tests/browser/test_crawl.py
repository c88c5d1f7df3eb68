"""Every page that a link leads to, filled as after some weeks of use."""

import subprocess
import sys

import pytest

from tests.running import ROOT


@pytest.mark.once  # how pages look, whatever they were read from
def test_every_page_fits_every_window() -> None:
    """As a program, since the names of the lab's hosts hold in a world of its own."""
    done = subprocess.run([sys.executable, "-m", "tests.browser.crawl"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
