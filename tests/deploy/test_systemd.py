"""The units of systemd: it understands them, and lets them do little."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.packages import find
from tests.running import ROOT

UNITS = ROOT / "deploy/systemd"
SYSTEM = Path("/lib/systemd/system")
STARTED = ("dokreg-web.service", "dokreg-worker@1.service", "dokreg-beat.service")
# systemd's own measure, 0 to 10 (times ten where it is asked to judge); a unit that protects nothing has 9.6.
MOST_EXPOSED = 20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine on which they are installed: the units, and what they name of dokreg and the system."""
    folder = tmp_path_factory.mktemp("root")
    shutil.copytree(UNITS, folder / "etc/systemd/system")
    (folder / "lib/systemd").mkdir(parents=True)
    shutil.copytree(SYSTEM, folder / "lib/systemd/system", symlinks=True, ignore=shutil.ignore_patterns("*.service"))
    python = folder / "opt/dokreg/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    (folder / "opt/dokreg/README.md").write_text("")
    return folder


def analyze(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(find("systemd-analyze")), f"--root={root}", "--man=no", *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def test_systemd_finds_nothing_wrong(root: Path) -> None:
    done = analyze(root, "verify", "dokreg.target", *STARTED)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_find_something_wrong(root: Path) -> None:
    (root / "etc/systemd/system/dokreg-wrong.service").write_text("[Service]\nExecStart=/nowhere\nProtect=all\n")
    done = analyze(root, "verify", "dokreg-wrong.service")
    assert done.returncode != 0
    assert "Unknown key" in done.stderr


@pytest.mark.parametrize("unit", STARTED)
def test_it_may_do_little(root: Path, unit: str) -> None:
    done = analyze(root, "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit)
    assert done.returncode == 0, done.stdout


def test_the_target_starts_them_all() -> None:
    wanted = re.findall(r"^Wants=(.*)$", (UNITS / "dokreg.target").read_text(), re.MULTILINE)
    assert tuple(wanted[0].split()) == STARTED
