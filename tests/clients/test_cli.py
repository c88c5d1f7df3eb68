"""What is peculiar to `@dokploy/cli`."""

import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.clients.calling import NOT_A_KEY, PACKAGES, NewSite
from tests.clients.cli import Cli
from tests.lab.impostors import Answer, HttpImpostor


@pytest.fixture
def own_copy(tmp_path: Path) -> Path:
    """The program in a folder of its own: `auth` writes the key into the package itself."""
    shutil.copytree(PACKAGES / "@dokploy" / "cli", tmp_path / "cli")
    (tmp_path / "cli" / "node_modules").symlink_to(PACKAGES)
    return tmp_path / "cli" / "dist" / "index.js"


def auth(cli: Cli, *, key: str) -> "subprocess.CompletedProcess[str]":
    return cli.run("auth", "--url", cli.site.url, "--token", key)


def test_auth_keeps_the_key_for_the_calls_after_it(new_site: NewSite, own_copy: Path, key: str) -> None:
    cli = Cli(new_site(), program=own_copy, url=None)
    done = auth(cli, key=key)
    assert done.returncode == 0, done.stderr
    assert "Authenticated successfully." in done.stdout
    assert cli.ask("user.get")["role"] == "owner"


def test_auth_with_a_wrong_key_keeps_nothing(new_site: NewSite, own_copy: Path) -> None:
    done = auth(Cli(new_site(), program=own_copy, url=None), key=NOT_A_KEY)
    assert done.returncode != 0
    assert done.stderr.strip() == "Authentication failed: Request failed with status code 401"
    assert not (own_copy.parents[1] / "config.json").exists()


def test_the_input_of_a_query_comes_bare(new_site: NewSite) -> None:
    with HttpImpostor(lambda _: Answer(200, "{}")) as listener:
        Cli(new_site(), url=f"http://{listener.host}").ask("registry.one", registryId="some-id")
    (request,) = listener.requests
    address = urlsplit(request.path)
    assert address.path == "/api/trpc/registry.one"
    assert json.loads(parse_qs(address.query)["input"][0]) == {"registryId": "some-id"}


def test_an_address_may_end_with_a_slash(new_site: NewSite, cli: Cli) -> None:
    """It then writes two into every path."""
    assert Cli(new_site(), url=f"{cli.site.url}/").ask("user.get")["role"] == "owner"


def test_of_a_refusal_the_status_alone_is_shown(cli: Cli) -> None:
    outcome = cli.call("registry.one", registryId="not-there")
    assert outcome.output.strip() == "Request failed with status code 404"
