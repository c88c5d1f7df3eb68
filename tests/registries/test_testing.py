"""The Test, on real servers with real engines and real registries."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dokreg import encryption
from dokreg.ids import new_id
from organisations.models import Organisation, User
from registries import testing
from registries.credentials import Credentials
from registries.models import RegistryTest
from servers import ssh
from servers.models import Server
from tests.lab import sshd
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, BOB, NewFolder, NewServer
from tests.lab.impostors import (
    Behaviour,
    Dripping,
    HttpImpostor,
    LoginLimiter,
    Silent,
    broken,
    denying,
    login_page,
    not_a_registry,
)  # fmt: skip
from tests.lab.registry import BasicRegistry, BearerRegistry, Registry, TlsRegistry
from tests.lab.sshd import path_with_docker, talkative
from tests.lab.watch import SHARED_FOLDERS, files_with, new_files, watching
from tests.patience import SOON
from tests.registries.rows import lab_server, make_registry, run_test, states

PASSED = {"ssh": "passed", "cli": "passed", "daemon": "passed", "login": "passed"}
ODD_PASSWORDS = {
    "shell": """a$(reboot)`b`"c"'d'\\e$HOME;#&|""",
    "spaces inside": "three little  words",
    "unicode": "pässwörd-😀-пароль",
    "percent": "%s%n %d {} ${x}",
    "dashes": "--password-stdin",
    "2,500": "tok" * 834,
    "20,000": "x" * 20_000,
}


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> Iterator[None]:
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield
    ssh.close_all()


@pytest.fixture(autouse=True)
def _nothing_is_left_on_the_server(db: None) -> Iterator[None]:
    yield
    assert_nothing_is_left()


def assert_nothing_is_left() -> None:
    """However a test ends, the folders of its runs are gone, at the latest when Docker there has given up."""
    runs = list(RegistryTest.objects.values_list("pk", flat=True))
    end = time.monotonic() + 60
    while left := [path for run in runs for path in Path("/dev/shm").glob(f"dokreg.{run}.*")]:
        assert time.monotonic() < end, left
        time.sleep(0.1)


@pytest.fixture
def server(organisation: Organisation, server_one: sshd.Server) -> Server:
    return lab_server(organisation, server_one)


def credentials(host: str, username: str = ALICE.username, password: str = ALICE.password, **also: Any) -> Credentials:
    return Credentials(kind="generic", url=host, username=username, password=password, **also)


def test_right_credentials_climb_the_whole_ladder(server: Server, alice: User, lab_registry: BasicRegistry) -> None:
    test = run_test(credentials(lab_registry.host), server=server, by=alice)
    assert (test.state, test.verdict, states(test)) == ("passed", "", PASSED)
    facts = {rung["name"]: rung["fact"] for rung in test.rungs}
    assert facts["cli"]
    assert facts["daemon"]


def test_a_test_that_has_no_time_left_ends(
    server: Server, alice: User, lab_registry: BasicRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing, "TASK_SECONDS", 0.0)
    test = run_test(credentials(lab_registry.host), server=server, by=alice)
    assert (test.state, test.verdict) == ("failed", "deadline_passed")


def test_wrong_credentials_are_refused_with_cause_and_dockers_words(
    server: Server, alice: User, lab_registry: BasicRegistry
) -> None:
    test = run_test(credentials(lab_registry.host, password="wrong-password"), server=server, by=alice)
    assert (test.state, test.verdict) == ("failed", "unauthorized")
    assert states(test) == PASSED | {"login": "failed"}
    assert "401" in test.rungs[3]["words"]


def test_the_bearer_flow(server: Server, alice: User, bearer_registry: BearerRegistry) -> None:
    assert run_test(credentials(bearer_registry.host), server=server, by=alice).state == "passed"
    refused = run_test(credentials(bearer_registry.host, password="wrong"), server=server, by=alice)
    assert (refused.state, refused.verdict) == ("failed", "unauthorized")


def test_an_unknown_authority_is_named(server: Server, alice: User, tls_registry: TlsRegistry) -> None:
    test = run_test(credentials(tls_registry.host), server=server, by=alice)
    assert (test.state, test.verdict) == ("failed", "certificate_unknown_authority")
    assert f"/etc/docker/certs.d/{tls_registry.host}/ca.crt" in test.rungs[3]["fix"]


def test_a_known_authority_is_trusted(server: Server, alice: User, tls_registry: TlsRegistry) -> None:
    with tls_registry.trusted_by_engines():
        assert run_test(credentials(tls_registry.host), server=server, by=alice).state == "passed"


def test_a_second_server_has_an_engine_of_its_own(
    organisation: Organisation, alice: User, server_two: sshd.Server, lab_registry: BasicRegistry
) -> None:
    test = run_test(credentials(lab_registry.host), server=lab_server(organisation, server_two), by=alice)
    assert (test.state, test.server_name) == ("passed", f"server-{server_two.port}")


@pytest.mark.parametrize("password", ODD_PASSWORDS.values(), ids=list(ODD_PASSWORDS))
def test_an_odd_password_arrives_as_it_is(
    server: Server, alice: User, bearer_registry: BearerRegistry, password: str
) -> None:
    bearer_registry.tokens.passwords["odd"] = password
    right, wrong = (credentials(bearer_registry.host, "odd", text) for text in (password, password[:-1] + "~"))
    assert run_test(right, server=server, by=alice).state == "passed"
    assert run_test(wrong, server=server, by=alice).verdict == "unauthorized"


@pytest.mark.parametrize("username", ["robot$acme", "robot$project+name", "org+robot", "tenant/user", "--help"])
def test_an_odd_user_name_arrives_as_it_is(
    server: Server, alice: User, bearer_registry: BearerRegistry, username: str
) -> None:
    bearer_registry.tokens.passwords[username] = "right"
    assert run_test(credentials(bearer_registry.host, username, "right"), server=server, by=alice).state == "passed"


def test_a_secret_that_is_its_own_username_is_on_no_command_line(
    server: Server, alice: User, bearer_registry: BearerRegistry, pushed_image: str
) -> None:
    token = f"dop_v1_{new_id()}"
    bearer_registry.tokens.passwords[token] = token
    right = Credentials(kind="digitalocean", url=bearer_registry.host, username="", password=token)
    wrong = Credentials(kind="digitalocean", url=bearer_registry.host, username="", password=token[::-1])
    with watching(token) as watch:
        passed = run_test(right, server=server, by=alice, image="acme/none:1")
    assert watch.saw("docker login")
    assert watch.sightings == set()
    assert (states(passed)["login"], passed.verdict) == ("passed", "tag_not_found")
    assert token not in str(passed.rungs)
    assert run_test(wrong, server=server, by=alice).verdict == "unauthorized"


@pytest.mark.parametrize("username", [ALICE.username, ""])
def test_a_credential_store_of_the_machine_gets_nothing(
    organisation: Organisation, alice: User, new_server: NewServer, new_folder: NewFolder, engine_one: Engine,
    bearer_registry: BearerRegistry, username: str,
) -> None:  # fmt: skip
    """Docker keeps the first login of an empty config in the store `pass`, if that is installed."""
    tools = new_folder() / "tools"
    path = path_with_docker(tools, 'exec "$docker" "$@"')
    store = tools / "docker-credential-pass"
    store.write_text(f'#!/bin/sh\necho "$1" >>{tools}/asked\n')
    for program in (store, tools / "pass"):
        program.touch()
        program.chmod(0o755)
    bearer_registry.tokens.passwords["its own username"] = "its own username"
    password = ALICE.password if username else "its own username"
    row = lab_server(organisation, new_server(engine_one, environment={"PATH": path}))
    test = run_test(credentials(bearer_registry.host, username, password), server=row, by=alice)
    assert test.state == "passed"
    assert not (tools / "asked").exists()


def test_a_registry_that_is_down_is_said_to_be_so(server: Server, alice: User, open_registry: Registry) -> None:
    open_registry.stop()
    test = run_test(credentials(open_registry.host), server=server, by=alice)
    open_registry.start()
    assert (test.state, test.verdict) == ("failed", "connection_refused")


@pytest.mark.parametrize(
    ("behaviour", "verdict"), [(not_a_registry, "not_a_registry"), (broken, "registry_failing"), (denying, "denied")]
)
def test_a_registry_that_misbehaves_is_recognised(
    server: Server, alice: User, behaviour: Behaviour, verdict: str
) -> None:
    impostor = HttpImpostor(behaviour).start()
    test = run_test(credentials(impostor.host), server=server, by=alice)
    impostor.stop()
    assert (test.state, test.verdict) == ("failed", verdict)


def test_a_lock_out_says_to_stop(server: Server, alice: User) -> None:
    impostor = LoginLimiter().start()
    test = run_test(credentials(impostor.host), server=server, by=alice)
    impostor.stop()
    assert (test.state, test.verdict) == ("failed", "locked_out")


def test_a_registry_that_takes_any_password_proves_nothing(server: Server, alice: User) -> None:
    impostor = HttpImpostor(login_page).start()
    test = run_test(credentials(impostor.host), server=server, by=alice)
    impostor.stop()
    assert (test.state, test.verdict, test.chip) == ("passed", "accepts_any_password", "warning")
    assert states(test)["login"] == "warning"


def test_a_registry_without_a_door_proves_nothing(server: Server, alice: User, open_registry: Registry) -> None:
    assert run_test(credentials(open_registry.host), server=server, by=alice).verdict == "accepts_any_password"


def test_ssh_that_is_down(organisation: Organisation, alice: User, new_server: NewServer, engine_one: Engine) -> None:
    machine = new_server(engine_one)
    row = lab_server(organisation, machine)
    machine.stop()
    test = run_test(credentials("r.example"), server=row, by=alice)
    assert (test.verdict, states(test)) == (
        "ssh_unreachable",
        {"ssh": "failed", "cli": "skipped", "daemon": "skipped", "login": "skipped"},
    )


def test_a_changed_host_key_is_refused_with_both_fingerprints(
    organisation: Organisation, alice: User, new_server: NewServer, engine_one: Engine
) -> None:
    machine = new_server(engine_one)
    row = lab_server(organisation, machine)
    before = machine.fingerprint
    machine.replace_host_key()
    test = run_test(credentials("r.example"), server=row, by=alice)
    assert test.verdict == "host_key_changed"
    assert before in test.rungs[0]["cause"]
    assert machine.fingerprint in test.rungs[0]["cause"]


@pytest.mark.parametrize("impostor", [Silent, Dripping])
def test_ssh_that_accepts_and_says_nothing_is_given_up(
    organisation: Organisation, alice: User, server_one: sshd.Server, impostor: type[Silent] | type[Dripping]
) -> None:
    mute = impostor().start()
    started = time.monotonic()
    row = lab_server(organisation, server_one, port=mute.port)
    test = run_test(credentials("r.example"), server=row, by=alice)
    mute.stop()
    assert test.verdict == "ssh_silent"
    assert time.monotonic() - started < ssh.CONNECT_SECONDS + SOON


def test_docker_missing(organisation: Organisation, alice: User, server_without_docker: sshd.Server) -> None:
    test = run_test(credentials("r.example"), server=lab_server(organisation, server_without_docker), by=alice)
    assert (test.verdict, states(test)) == (
        "docker_not_found",
        {"ssh": "passed", "cli": "failed", "daemon": "skipped", "login": "skipped"},
    )


def test_a_daemon_that_is_down_is_no_success(
    organisation: Organisation, alice: User, new_server: NewServer, lab_registry: BasicRegistry, tmp_path: Path
) -> None:
    machine = new_server(environment={"DOCKER_HOST": f"unix://{tmp_path}/no.sock"})
    test = run_test(credentials(lab_registry.host), server=lab_server(organisation, machine), by=alice)
    assert (test.state, test.verdict) == ("failed", "docker_daemon_down")
    assert states(test)["login"] == "skipped"


def test_a_user_who_may_not_use_the_socket(
    organisation: Organisation, alice: User, server_of_ordinary_user: sshd.Server, lab_registry: BasicRegistry
) -> None:
    row = lab_server(organisation, server_of_ordinary_user)
    test = run_test(credentials(lab_registry.host), server=row, by=alice)
    assert (test.state, test.verdict) == ("failed", "docker_socket_denied")
    assert f"usermod -aG docker {row.user}" in test.rungs[2]["fix"]


@pytest.mark.parametrize("subcommand", ["version", "login"])
def test_fifty_megabytes_of_output_are_bounded(
    organisation: Organisation, alice: User, new_server: NewServer, engine_one: Engine, tmp_path: Path,
    lab_registry: BasicRegistry, subcommand: str,
) -> None:  # fmt: skip
    path = path_with_docker(tmp_path / "tools", talkative(subcommand))
    row = lab_server(organisation, new_server(engine_one, environment={"PATH": path}))
    test = run_test(credentials(lab_registry.host), server=row, by=alice)
    assert (test.state, test.verdict) == ("failed", "too_much_output")
    assert len(str(test.rungs)) < 20_000
    assert_nothing_is_left()  # before this server is gone, and its shell with it


def test_dokregs_own_host(alice: User, lab_registry: BasicRegistry, engine_one: Engine, monkeypatch: Any) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine_one.url)
    test = run_test(credentials(lab_registry.host), server=None, by=alice)
    assert (test.state, list(states(test))) == ("passed", ["host", "cli", "daemon", "login"])
    assert run_test(credentials(lab_registry.host, password="no"), server=None, by=alice).verdict == "unauthorized"


def test_dokregs_own_host_talks_to_no_metadata_service(alice: User) -> None:
    assert run_test(credentials("169.254.169.254"), server=None, by=alice).verdict == "address_forbidden"


def test_dokregs_own_host_may_be_closed(alice: User, lab_registry: BasicRegistry, settings: Any) -> None:
    settings.DOKREG_LOCAL_DOCKER = False
    assert run_test(credentials(lab_registry.host), server=None, by=alice).verdict == "own_host_not_used"


def test_a_named_image_may_be_pulled(
    server: Server, alice: User, lab_registry: BasicRegistry, pushed_image: str, engine_one: Engine
) -> None:
    test = run_test(credentials(lab_registry.host), server=server, by=alice, image="acme/web:1")
    assert states(test) == PASSED | {"pull": "passed"}
    assert f"{pushed_image} is sha256:" in test.rungs[4]["fact"]
    assert not engine_one.has_image(pushed_image)


def test_the_image_prefix_stands_before_the_image(
    server: Server, alice: User, lab_registry: BasicRegistry, pushed_image: str
) -> None:
    test = run_test(credentials(lab_registry.host, image_prefix="acme"), server=server, by=alice, image="web:1")
    assert (test.state, pushed_image in test.rungs[4]["fact"]) == ("passed", True)


def test_a_missing_tag_is_no_matter_of_the_login(
    server: Server, alice: User, lab_registry: BasicRegistry, pushed_image: str
) -> None:
    test = run_test(credentials(lab_registry.host), server=server, by=alice, image="acme/web:none")
    assert (states(test), test.verdict) == (PASSED | {"pull": "failed"}, "tag_not_found")


def test_an_account_without_the_pull_right(server: Server, alice: User, bearer_registry: BearerRegistry) -> None:
    bearer_registry.tokens.grants[BOB.username] = {"acme/web": frozenset()}
    test = run_test(credentials(bearer_registry.host, *BOB), server=server, by=alice, image="acme/web:1")
    assert states(test)["login"] == "passed"
    assert (states(test)["pull"], test.verdict) == ("failed", "denied")


def test_no_process_and_no_file_ever_holds_the_secret(
    server: Server, alice: User, server_one: sshd.Server, bearer_registry: BearerRegistry
) -> None:
    secret = f"marked-{new_id()}"  # not a constant: the tests' own source may lie where they hunt
    bearer_registry.tokens.passwords["marked"] = secret
    with new_files(Path("/dev/shm"), server_one.home) as left, watching(secret) as watch:
        for password in (secret, secret + "x"):
            run_test(credentials(bearer_registry.host, "marked", password), server=server, by=alice, image="acme/web:1")
    assert watch.saw("docker login")
    assert watch.sightings == set()
    assert left == []
    assert files_with(secret, *SHARED_FOLDERS, server_one.home) == []


def test_the_drafts_secret_is_wiped_when_it_ends(server: Server, alice: User, lab_registry: BasicRegistry) -> None:
    for password in (ALICE.password, "wrong"):
        test = run_test(credentials(lab_registry.host, password=password), server=server, by=alice)
        assert test.draft_password is None


def test_a_saved_registry_is_tested_with_its_stored_secret(
    organisation: Organisation, server: Server, alice: User, lab_registry: BasicRegistry
) -> None:
    registry = make_registry(
        organisation, alice, url=lab_registry.host, username=ALICE.username, password=ALICE.password
    )
    test = testing.ask(registry=registry, server=server, asked_by=alice)
    testing.run(test.pk)
    registry.refresh_from_db()
    assert registry.is_tested
    assert registry.last_test is not None
    assert registry.last_test.state == "passed"


def test_a_secret_that_cannot_be_opened_is_said_to_be_so(
    organisation: Organisation, server: Server, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = make_registry(organisation, alice)
    test = testing.ask(registry=registry, server=server, asked_by=alice)

    def refuse(_self: object) -> str:
        raise encryption.SecretUnreadable

    monkeypatch.setattr(encryption.Secret, "reveal", refuse)
    testing.run(test.pk)
    test.refresh_from_db()
    assert (test.state, test.verdict) == ("failed", "secret_unreadable")


def test_a_deleted_server_is_never_replaced_by_dokregs_own_host(
    organisation: Organisation, server: Server, alice: User, lab_registry: BasicRegistry
) -> None:
    test = testing.ask_for_draft(
        organisation=organisation, credentials=credentials(lab_registry.host), server=server, image="", asked_by=alice
    )
    server.delete()
    testing.run(test.pk)
    test.refresh_from_db()
    assert (test.state, test.verdict) == ("failed", "server_gone")


def test_twenty_tests_at_once_on_one_server_with_sshds_own_limits(
    organisation: Organisation, alice: User, new_server: NewServer, engine_one: Engine, lab_registry: BasicRegistry,
    django_db_blocker: Any,
) -> None:  # fmt: skip
    """The rows are run one after the other here; what is parallel is the SSH side, which needs no database."""
    from concurrent.futures import ThreadPoolExecutor

    from servers import docker

    host = docker.RemoteHost(lab_server(organisation, new_server(engine_one, max_startups=None)))

    def login(number: int) -> list[int]:
        found: list[int] = []
        docker.login(
            host, run_id=f"run{number}", registry=lab_registry.host, username=ALICE.username,
            password=ALICE.password, with_trial=False, on_stage=lambda stage: found.append(stage.status),
        )  # fmt: skip
        return found

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(login, range(20))) == [[0, 0, 0, 0]] * 20


def test_history_outlives_the_server(organisation: Organisation, server: Server, alice: User) -> None:
    registry = make_registry(organisation, alice)
    testing.ask(registry=registry, server=server, asked_by=alice)
    server.delete()
    assert RegistryTest.objects.get(registry=registry).place == server.name
