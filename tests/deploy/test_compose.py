"""compose.yaml hands on every setting that README.md tells of."""

import re

from tests.image.composed import OWN, services
from tests.running import ROOT

# What the image decides, or compose.yaml itself, or nobody may have in a container.
DECIDED = {"DOKREG_BIND", "DOKREG_DATA", "DOKREG_STATIC_ROOT", "DOKREG_LOCAL_DOCKER", "DOKREG_DEBUG"}


def test_every_setting_reaches_the_containers() -> None:
    table = (ROOT / "README.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?`) \| ", table, re.MULTILINE)
    settings = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(settings) > 30
    for service in OWN:
        handed_on = {name.removesuffix("_FILE") for name in services()[service]["environment"]}
        assert settings - DECIDED - handed_on == set()
        assert {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"} <= handed_on
