"""The stand-ins for clouds: what they refuse, how their tokens end, and the one that runs by itself."""

import json
import subprocess
import sys
import urllib.request

import pytest

from tests.lab.aws import Aws
from tests.lab.azure import Azure
from tests.lab.clouds import Asked, Cloud
from tests.lab.daemons import wait_until
from tests.lab.google import Google
from tests.lab.ports import accepts_connections, free_port
from tests.lab.tokens import TokenServer


@pytest.mark.parametrize("cloud", [Aws(), Google(), Azure()], ids=["aws", "google", "azure"])
def test_a_token_ends_by_the_clouds_clock(cloud: Cloud) -> None:
    cloud.given("token", "somebody", life=100)
    assert cloud.accepts(cloud.username, "token")
    assert not cloud.accepts("somebody else", "token")
    assert not cloud.accepts(cloud.username, "another token")
    with cloud.having(clock_offset=101):
        assert not cloud.is_alive("token")
    assert cloud.is_alive("token")
    cloud.let_pass(101)
    assert not cloud.is_alive("token")
    assert cloud.mints == {"somebody": 1}


def test_a_token_server_can_ask_a_cloud() -> None:
    cloud = Google()
    cloud.given("token", "somebody")
    server = TokenServer({cloud.username: "a password"}, accepts=cloud.accepts)
    assert server._authenticated(basic(cloud.username, "token")) == cloud.username
    assert server._authenticated(basic(cloud.username, "a password")) is None


def basic(username: str, password: str) -> str:
    request = urllib.request.Request("http://127.0.0.1")
    manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
    manager.add_password(None, "http://127.0.0.1", username, password, is_authenticated=True)
    return str(urllib.request.HTTPBasicAuthHandler(manager).http_request(request).get_header("Authorization"))


def test_google_believes_nothing_that_is_not_signed() -> None:
    google = Google()
    form = b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.c"
    answer = google.respond(Asked({"PATH_INFO": "/token"}, form))
    assert (answer.status, json.loads(answer.body)["error"]) == (400, "invalid_grant")


def test_a_registry_of_azure_takes_only_what_entra_gave() -> None:
    form = b"grant_type=access_token&service=acme.azurecr.io&access_token=made-up"
    assert Azure().respond(Asked({"PATH_INFO": "/oauth2/exchange"}, form)).status == 401


def test_aws_wants_a_signature() -> None:
    assert Aws().respond(Asked({"PATH_INFO": "/"}, b"{}")).status == 403


def test_aws_runs_by_itself() -> None:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.lab.aws", str(port)])
    try:
        wait_until(lambda: accepts_connections("127.0.0.1", port), "the stand-in for AWS")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/lab", timeout=10) as answer:
            assert json.load(answer) == {"mints": {}, "requests": 1}
    finally:
        process.kill()
        process.wait()
