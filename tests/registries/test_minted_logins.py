"""Minted tokens in real use: `docker login` at the cloud's own host name, on a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from organisations.models import Organisation, User
from registries import kinds
from registries.credentials import Credentials
from registries.kinds.methods import Minted
from servers import ssh
from servers.models import Server
from tests.lab import hosts, sshd
from tests.lab.aws import Aws
from tests.lab.azure import CLIENT_ID, CLIENT_SECRET, TENANT, Azure
from tests.lab.clouds import Cloud
from tests.lab.fixtures import ACR_HOST, CLOUD_NAMES, ECR_HOST, ECR_PUBLIC_HOST, GOOGLE_HOST, NewCloudRegistry
from tests.lab.google import Google
from tests.registries.rows import lab_server, run_test

KEY = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "role_arn": "", "external_id": ""}
APPLICATION = {"tenant": TENANT, "client_id": CLIENT_ID}
A_DAY = 24 * 3600


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> Iterator[None]:
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield
    ssh.close_all()


@pytest.fixture
def server(organisation: Organisation, server_one: sshd.Server) -> Server:
    return lab_server(organisation, server_one)


def mint(kind: str, method: str, *, host: str, account: dict[str, str], secret: str) -> Minted:
    found = kinds.get(kind).method(method)
    assert found is not None
    return found.mint(host=host, account=account, secret=secret)


def assert_token_lets_in_while_it_lives(
    minted: Minted, *, kind: str, host: str, cloud: Cloud, server: Server, by: User
) -> None:
    token = Credentials(kind=kind, url=host, username=minted.username, password=minted.secret)
    test = run_test(token, server=server, by=by)
    assert (test.state, test.verdict) == ("passed", "")
    with cloud.having(clock_offset=A_DAY):
        late = run_test(token, server=server, by=by)
    assert (late.state, late.verdict) == ("failed", "unauthorized")


@pytest.mark.parametrize(("kind", "host"), [("ecr", ECR_HOST), ("ecr_public", ECR_PUBLIC_HOST)])
def test_a_token_of_ecr_lets_in(
    kind: str, host: str, aws: Aws, new_cloud_registry: NewCloudRegistry, server: Server, alice: User
) -> None:
    new_cloud_registry(host, aws)
    minted = mint(kind, "access_key", host=host, account=KEY, secret="x" * 40)
    assert_token_lets_in_while_it_lives(minted, kind=kind, host=host, cloud=aws, server=server, by=alice)


def test_a_token_of_google_lets_in(
    google: Google, new_cloud_registry: NewCloudRegistry, server: Server, alice: User
) -> None:
    new_cloud_registry(GOOGLE_HOST, google)
    minted = mint("google", "service_account", host=GOOGLE_HOST, account={}, secret=google.key_file())
    assert_token_lets_in_while_it_lives(minted, kind="google", host=GOOGLE_HOST, cloud=google, server=server, by=alice)


def test_a_token_of_acr_lets_in(
    azure: Azure, new_cloud_registry: NewCloudRegistry, server: Server, alice: User
) -> None:
    new_cloud_registry(ACR_HOST, azure)
    minted = mint("acr", "service_principal", host=ACR_HOST, account=APPLICATION, secret=CLIENT_SECRET)
    assert_token_lets_in_while_it_lives(minted, kind="acr", host=ACR_HOST, cloud=azure, server=server, by=alice)


def test_a_token_that_the_cloud_never_gave_is_refused(
    aws: Aws, new_cloud_registry: NewCloudRegistry, server: Server, alice: User
) -> None:
    new_cloud_registry(ECR_HOST, aws)
    made_up = Credentials(kind="ecr", url=ECR_HOST, username="AWS", password="made up")
    assert run_test(made_up, server=server, by=alice).verdict == "unauthorized"


# The names themselves


@pytest.fixture
def hosts_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost")
    monkeypatch.setattr(hosts, "HOSTS", file)
    monkeypatch.setattr(hosts, "LOCK", tmp_path / "lock")
    return file


def test_the_names_are_there_while_they_are_needed(hosts_file: Path) -> None:
    with hosts.leading_here(CLOUD_NAMES):
        lines = hosts_file.read_text().splitlines()
        assert lines[0] == "127.0.0.1 localhost"
        assert [line.split()[1] for line in lines[1:]] == list(CLOUD_NAMES)
        assert len({line.split()[0] for line in lines}) == 1 + len(CLOUD_NAMES)
    assert hosts_file.read_text() == "127.0.0.1 localhost\n"


def test_what_a_killed_run_left_behind_goes_at_the_next_start(hosts_file: Path) -> None:
    hosts_file.write_text(f"127.0.0.1 localhost\n127.77.0.1 left.example {hosts.MARK}\n10.0.0.1 somebody\n")
    with hosts.leading_here(["acme.azurecr.io"]):
        assert "left.example" not in hosts_file.read_text()
    assert hosts_file.read_text() == "127.0.0.1 localhost\n10.0.0.1 somebody\n"


def test_a_line_that_somebody_adds_meanwhile_stays(hosts_file: Path) -> None:
    with hosts.leading_here(["acme.azurecr.io"]):
        hosts_file.write_text(hosts_file.read_text() + "10.0.0.1 somebody\n")
    assert hosts_file.read_text() == "127.0.0.1 localhost\n10.0.0.1 somebody\n"
