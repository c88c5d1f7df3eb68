"""What is found in a Docker config, and in the credential helpers that it names."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dokreg.ids import new_id
from organisations.models import Organisation
from servers import credential_helpers
from servers.config_file import Config, ConfigProblem
from servers.docker_config import FoundLogin, read_logins
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, NewFolder, NewServer
from tests.lab.helper import put_helper
from tests.lab.registry import BearerRegistry
from tests.lab.sshd import DEFAULT_PATH
from tests.lab.watch import watching
from tests.servers.place import ALL_PASSED, OTHER, Place, entry_of, new_place

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.once,  # a file on a server
    pytest.mark.usefixtures("on_loopback"),
]


# Reading


def test_every_kind_of_entry_is_found(place: Place) -> None:
    zeros = "00000000-0000-0000-0000-000000000000"
    place.write({
        "auths": {
            "a.example": entry_of("robot$a", "p:ä \" '"),
            "https://B.example:5000/v2/": {"username": "old", "password": "style"},
            "c.azurecr.io": entry_of(zeros, "") | {"identitytoken": "tok"},
            "d.example/acme": OTHER,
            "e.example": {},
        }
    })  # fmt: skip
    assert [(login.registry, login.username, login.password, login.source) for login in read_logins(place.host)] == [
        ("a.example", "robot$a", "p:ä \" '", "config"),
        ("b.example:5000", "old", "style", "config"),
        ("c.azurecr.io", zeros, "", "identity token"),
        ("d.example/acme", "somebody", "else's", "config"),
    ]


def test_an_entry_that_cannot_be_decoded_is_found_without_its_content(place: Place) -> None:
    place.write({"auths": {"a.example": {"auth": "%%%"}, "b.example": {"auth": "/////w=="}}})
    assert [(login.registry, login.username, login.password) for login in read_logins(place.host)] == [
        ("a.example", "", ""),
        ("b.example", "", ""),
    ]


TOKEN = f"ghp_{new_id()}"
NAMELESS = "7c0ffee17c0ffee17c0ffee17c0ffee17c0ffee1"


@pytest.mark.parametrize(
    "pair",
    [
        TOKEN,
        f"{TOKEN}:",
        f"{TOKEN}:x",
        f"{NAMELESS}",
        f"{NAMELESS}:",
        f"{NAMELESS}:x-oauth-basic",
        f"{NAMELESS}:{NAMELESS}",
        f"{'n' * 256}:x",
        "na\nme:x",
    ],
)
def test_a_username_that_may_be_the_secret_is_not_shown(place: Place, pair: str) -> None:
    entry = {"auth": base64.b64encode(pair.encode()).decode()}
    place.write({"auths": {"a.example": entry, "b.example": entry | {"identitytoken": "tok"}}})
    for found in read_logins(place.host)[: 2 if TOKEN in pair else 1]:
        assert found.shown_username == ""
        assert pair.partition(":")[0] not in repr(found)


@pytest.mark.parametrize("name", ["alice", "robot$a+b", "gluster-bot", "x-access-token", "_json_key", "AWS"])
def test_a_username_that_is_a_name_is_shown(place: Place, name: str) -> None:
    place.write({"auths": {"a.example": entry_of(name, TOKEN)}})
    assert [found.shown_username for found in read_logins(place.host)] == [name]


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("https://user:pw@ghcr.io/v1/", "ghcr.io"),
        ("user:p@w/x@ghcr.io:443/acme", "ghcr.io:443/acme"),
        ("https://ghcr.io/v2/?token=pw#pw", "ghcr.io"),
    ],
)
def test_a_password_in_an_address_is_not_shown(place: Place, key: str, registry: str) -> None:
    place.write({"auths": {key: OTHER}})
    assert [found.registry for found in read_logins(place.host)] == [registry]


# Credential helpers


class PlaceWithHelper(Place):
    """Its config leaves logins to `docker-credential-lab`, which keeps them in `store`."""

    def __init__(self, place: Place, tools: Path) -> None:
        super().__init__(place.host, place.folder.parent)
        self.program, self.store = put_helper(tools)
        self.write({"credsStore": "lab"})

    def replace(self, program: str) -> None:
        self.program.write_text(program)
        self.program.chmod(0o755)

    @property
    def stored(self) -> dict[str, Any]:
        logins: dict[str, Any] = json.loads(self.store.read_text())
        return logins


@pytest.fixture
def helped(
    organisation: Organisation, new_server: NewServer, new_folder: NewFolder, engine_one: Engine
) -> PlaceWithHelper:
    tools = new_folder() / "tools"
    tools.mkdir()
    server = new_server(engine_one, environment={"PATH": f"{tools}:{DEFAULT_PATH}"})
    return PlaceWithHelper(new_place(organisation, server), tools)


def test_a_helper_keeps_the_login(helped: PlaceWithHelper, bearer_registry: BearerRegistry) -> None:
    host = bearer_registry.host
    with watching(ALICE.password) as watch:
        assert helped.keep(host) == ALL_PASSED
    assert watch.sightings == set()
    assert helped.stored == {host: list(ALICE)}
    assert helped.config == {"auths": {host: {}}, "credsStore": "lab"}
    assert read_logins(helped.host) == [FoundLogin(host, *ALICE, "helper:lab", "")]
    helped.remove(host)
    assert helped.stored == {}
    assert helped.config == {"auths": {}, "credsStore": "lab"}
    assert read_logins(helped.host) == []


def test_a_helper_of_one_registry_alone(helped: PlaceWithHelper, bearer_registry: BearerRegistry) -> None:
    """Here the secret stands for the username as well."""
    host, secret = bearer_registry.host, f"dop_v1_{new_id()}"
    bearer_registry.tokens.passwords[secret] = secret
    helped.write({"credHelpers": {host: "lab"}})
    assert helped.keep(host, "", secret) == ALL_PASSED
    assert helped.stored == {host: [secret, secret]}
    assert read_logins(helped.host) == [FoundLogin(host, "", secret, "helper:lab", "")]


@pytest.mark.parametrize("helper", ["missing", "../lab", "lab; touch /tmp/x", "--help"])
def test_a_helper_that_is_not_there_keeps_nothing(
    helped: PlaceWithHelper, bearer_registry: BearerRegistry, helper: str
) -> None:
    helped.write({"credHelpers": {bearer_registry.host: helper}})
    before = helped.file.read_text()
    with pytest.raises(ConfigProblem) as problem:
        helped.keep(bearer_registry.host)
    assert problem.value.verdict.code == "login_not_saved_helper"
    assert helped.file.read_text() == before
    (found,) = read_logins(helped.host)
    assert (found.registry, found.username, found.password) == (bearer_registry.host, "", "")
    assert helped.remove(bearer_registry.host)[-1] == "gone"


def test_a_helper_that_refuses_says_why(helped: PlaceWithHelper, bearer_registry: BearerRegistry) -> None:
    helped.replace("#!/bin/sh\necho 'pass is not initialised'; exit 1\n")
    with pytest.raises(ConfigProblem) as problem:
        helped.keep(bearer_registry.host)
    assert problem.value.verdict.code == "login_not_saved_helper"
    assert "pass is not initialised" in problem.value.words


def test_a_helper_that_repeats_the_token_that_docker_was_given_does_not_get_it_shown(
    helped: PlaceWithHelper,
) -> None:
    helped.replace("#!/bin/sh\ncat; exit 1\n")
    token = f"ey{new_id()}.{new_id()}+/="
    with pytest.raises(ConfigProblem) as problem:
        credential_helpers.store(Config(helped.host, ""), "lab", "a.example", username="<token>", secret=token)
    assert '"ServerURL": "a.example"' in problem.value.words
    assert token[4:20] not in problem.value.words


@pytest.mark.parametrize("status", [124, 126, 137])
def test_a_helper_that_does_not_run_or_end_is_asked_once(
    helped: PlaceWithHelper, new_folder: NewFolder, status: int
) -> None:
    asked = new_folder() / "asked"
    helped.replace(f"#!/bin/sh\necho $1 >>{asked}; exit {status}\n")
    hosts = [f"{letter}.example" for letter in "abc"]
    helped.write({"credsStore": "lab", "auths": {key: {} for key in hosts}})
    assert [(found.registry, found.password) for found in read_logins(helped.host)] == [(host, "") for host in hosts]
    assert asked.read_text() == "list\n"


SLOW_FROM_THE_SECOND_ON = """
import os, sys, time
if "get" in sys.argv:
    if os.path.exists("{asked}"):
        time.sleep(5)
    open("{asked}", "w").close()
"""


def test_a_helper_that_takes_its_time_is_not_asked_for_everything(
    helped: PlaceWithHelper, new_folder: NewFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servers.docker_config.ASKING_SECONDS", 4.0)
    hosts = [f"{number:02}.example" for number in range(30)]
    helped.store.write_text(json.dumps({key: ["a", "p"] for key in hosts}))
    slow = SLOW_FROM_THE_SECOND_ON.format(asked=new_folder() / "asked")
    helped.replace(helped.program.read_text().replace("import json", f"{slow}\nimport json"))
    found = read_logins(helped.host)
    assert [login.registry for login in found] == hosts
    assert (found[0].password, found[-1].password) == ("p", "")


def test_a_helper_that_forgets_is_noticed(helped: PlaceWithHelper, bearer_registry: BearerRegistry) -> None:
    helped.replace("#!/bin/sh\nif [ $1 = get ]; then echo credentials not found in native keychain; exit 1; fi\n")
    with pytest.raises(ConfigProblem) as problem:
        helped.keep(bearer_registry.host)
    assert problem.value.verdict.code == "login_not_kept"


def test_a_helper_that_does_not_let_go_is_noticed(helped: PlaceWithHelper, bearer_registry: BearerRegistry) -> None:
    helped.keep(bearer_registry.host)
    helped.replace(helped.program.read_text().replace('verb == "erase"', "False"))
    with pytest.raises(ConfigProblem) as problem:
        helped.remove(bearer_registry.host)
    assert problem.value.verdict.code == "login_not_removed"
    helped.program.unlink()
    with pytest.raises(ConfigProblem) as problem:
        helped.remove(bearer_registry.host)
    assert problem.value.verdict.code == "login_not_saved_helper"
    assert bearer_registry.host in helped.config["auths"]


def test_what_a_helper_holds_is_found(helped: PlaceWithHelper) -> None:
    hub = "https://index.docker.io/v1/"
    logins = {hub: ["acme", "s3cret"], f"{hub}access-token": ["acme", "x"], "a.example": ["<token>", "tok"]}
    helped.store.write_text(json.dumps(logins))
    helped.write({"credsStore": "lab", "auths": {"b.example": {}}})
    assert read_logins(helped.host) == [
        FoundLogin("a.example", "", "", "helper:lab", ""),
        FoundLogin("docker.io", "acme", "s3cret", "helper:lab", ""),
    ]
    helped.program.unlink()
    assert read_logins(helped.host) == [FoundLogin("b.example", "", "", "helper:lab", "")]
