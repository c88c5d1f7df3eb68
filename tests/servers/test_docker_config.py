"""The logins that a server keeps, on real servers with real engines and registries."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dokreg.ids import new_id
from organisations.models import Organisation
from servers import docker, keys, ssh
from servers.config_file import Config, ConfigProblem
from servers.docker_config import FoundLogin, export_line, keep_login, read_logins
from servers.stages import Stage
from tests.lab import sshd
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, BOB, NewFolder, NewServer
from tests.lab.registry import BasicRegistry, BearerRegistry, WideRegistry
from tests.lab.watch import SHARED_FOLDERS, files_with, new_files, watching
from tests.patience import SOON
from tests.registries.rows import lab_server
from tests.servers.place import ALL_PASSED, OTHER, Place, entry_of, new_place
from tests.servers.rows import make_key

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.once,  # a file on a server
    pytest.mark.usefixtures("on_loopback"),
]


# Keeping


def test_docker_pulls_with_a_kept_login(
    place: Place, server_one: sshd.Server, lab_registry: BasicRegistry, pushed_image: str
) -> None:
    assert "no basic auth" in server_one.ssh(f"docker pull {pushed_image}").stderr
    assert place.keep(lab_registry.host) == ALL_PASSED
    assert server_one.ssh(f"docker pull {pushed_image} && docker rmi {pushed_image}").returncode == 0
    assert place.config == {"auths": {lab_registry.host: entry_of(*ALICE)}}
    assert (place.folder.stat().st_mode & 0o777, place.file.stat().st_mode & 0o777) == (0o700, 0o600)
    assert place.left_over() == []


def test_a_login_that_is_refused_changes_nothing(place: Place, lab_registry: BasicRegistry) -> None:
    assert place.keep(lab_registry.host, password="wrong")["login"] != 0
    assert not place.folder.exists()
    place.write({"auths": {lab_registry.host: OTHER}})
    assert "kept" not in place.keep(lab_registry.host, password="wrong")
    assert place.config == {"auths": {lab_registry.host: OTHER}}


def test_a_new_secret_takes_the_place_of_the_old_one(place: Place, bearer_registry: BearerRegistry) -> None:
    place.keep(bearer_registry.host)
    place.keep(bearer_registry.host, *BOB)
    place.keep(bearer_registry.host, *BOB)
    assert place.config["auths"] == {bearer_registry.host: entry_of(*BOB)}


def test_what_others_wrote_stays_word_for_word(place: Place, bearer_registry: BearerRegistry) -> None:
    others = {
        "auths": {"ghcr.io": OTHER | {"email": "é\ud800@example.com"}},
        "HttpHeaders": {"X-Zone": "<b>&"},
        "credHelpers": {"gcr.example": "gcloud"},
        "proxies": {"default": {"httpProxy": "http://proxy:3128"}},
        "of a tool that docker does not know": [1, 2.5, None, True, 12345678901234567890],
    }
    place.write(others)
    place.file.chmod(0o640)
    assert place.keep(bearer_registry.host) == ALL_PASSED
    added = {bearer_registry.host: entry_of(*ALICE)}
    assert place.config == others | {"auths": {"ghcr.io": others["auths"]["ghcr.io"]} | added}  # type: ignore[index]
    assert place.file.stat().st_mode & 0o777 == 0o640
    assert place.remove(bearer_registry.host) == ["shell", "config", "gone"]
    assert place.config == others


def test_what_others_write_meanwhile_stays(
    place: Place, server_one: sshd.Server, bearer_registry: BearerRegistry, lab_registry: BasicRegistry
) -> None:
    """The config was read before the login, which takes its time."""

    def log_in_too(stage: Stage) -> None:
        if stage.name == "login":
            line = f"docker login -u bob --password-stdin {lab_registry.host}"
            assert server_one.ssh(line, stdin=BOB.password).returncode == 0

    place.write({"auths": {"ghcr.io": OTHER}})
    keep_login(
        place.host, registry=bearer_registry.host, username=ALICE.username, password=ALICE.password, folder="",
        on_stage=log_in_too,
    )  # fmt: skip
    own, others = {bearer_registry.host: entry_of(*ALICE)}, {lab_registry.host: entry_of(*BOB)}
    assert place.config["auths"] == {"ghcr.io": OTHER} | own | others


def test_a_config_that_never_rests_is_said_to_be_busy(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servers.config_file.TRIES", 3)
    config = Config(place.host, "")
    place.write({})

    def change(values: dict[str, Any]) -> dict[str, Any]:
        place.write({"auths": {new_id(): OTHER}})
        return {"auths": {}}

    with pytest.raises(ConfigProblem) as problem:
        config.change(change)
    assert problem.value.verdict.code == "config_busy"
    assert place.config["auths"]


@pytest.mark.parametrize("work", ["keep", "remove"])
def test_everything_together_has_one_deadline(
    place: Place, bearer_registry: BearerRegistry, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    monkeypatch.setattr("servers.docker_config.DEADLINE", 3.0)
    monkeypatch.setattr("servers.config_file.TRIES", 100_000)
    monkeypatch.setattr(Config, "_write", lambda _self, _values: False)  # others are always faster
    place.write({"auths": {bearer_registry.host: OTHER}})
    began = time.monotonic()
    with pytest.raises(ssh.CommandFailed) as problem:
        getattr(place, work)(bearer_registry.host)
    assert problem.value.verdict.code == "deadline_passed"
    assert time.monotonic() - began < 3 + SOON


def test_thirty_at_once_are_all_kept(
    organisation: Organisation, new_server: NewServer, engine_one: Engine, wide_registry: WideRegistry
) -> None:
    machine = new_server(engine_one)
    hosts = wide_registry.hosts(30)
    places: list[Place] = []
    with contextlib.ExitStack() as stack:
        for number in range(3):
            pair = keys.generate()  # a connection of its own
            stack.enter_context(machine.letting_in(pair.public))
            key = make_key(organisation, f"key {number}", pair)
            row = lab_server(organisation, machine, name=f"web-{number}")
            row.ssh_key = key
            places.append(Place(docker.host_of(row), machine.home))
        with ThreadPoolExecutor(30) as threads:
            kept = list(threads.map(lambda number: places[number % 3].keep(hosts[number]), range(30)))
    assert kept == [ALL_PASSED] * 30
    assert places[0].config["auths"] == {host: entry_of(*ALICE) for host in hosts}
    assert places[0].left_over() == []


def test_twenty_in_a_row_with_sshds_own_limits(
    organisation: Organisation, new_server: NewServer, engine_one: Engine, wide_registry: WideRegistry
) -> None:
    place = new_place(organisation, new_server(engine_one, max_startups=None))
    hosts = wide_registry.hosts(20)
    assert [place.keep(host) for host in hosts] == [ALL_PASSED] * 20
    assert sorted(place.config["auths"]) == sorted(hosts)


def test_secrets_are_seen_nowhere(place: Place, bearer_registry: BearerRegistry) -> None:
    secret = f"dckr_{new_id()}"
    bearer_registry.tokens.passwords |= {"robot": secret, secret: secret}
    with watching(secret) as watch, new_files(*SHARED_FOLDERS) as left:
        assert place.keep(bearer_registry.host, "robot", secret) == ALL_PASSED
        assert place.keep(bearer_registry.host, "", secret) == ALL_PASSED
        assert place.keep(bearer_registry.host, "", secret, folder="second") == ALL_PASSED
        found = read_logins(place.host)
        place.remove(bearer_registry.host)
    assert watch.saw("docker login")
    assert watch.sightings == set()
    assert [path for path in left if files_with(secret, path)] == []
    assert len(found) == 1
    assert secret not in repr(found)


def test_a_secret_that_is_its_own_username(place: Place, bearer_registry: BearerRegistry) -> None:
    secret = f"dop_v1_{new_id()}"
    bearer_registry.tokens.passwords[secret] = secret
    assert place.keep(bearer_registry.host, "", secret) == ALL_PASSED
    assert place.config["auths"] == {bearer_registry.host: entry_of(secret, secret)}
    assert place.keep(bearer_registry.host, "", secret[::-1])["login"] != 0
    (found,) = read_logins(place.host)
    assert (found.username, found.password) == ("", secret)  # a username may be shown


def test_dokregs_own_host(
    new_folder: NewFolder, engine_one: Engine, bearer_registry: BearerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = new_folder()
    monkeypatch.setenv("DOCKER_CONFIG", str(home / ".docker"))
    monkeypatch.setenv("DOCKER_HOST", engine_one.url)
    place = Place(docker.OwnHost(), home)
    assert place.keep(bearer_registry.host) == ALL_PASSED
    assert place.config["auths"] == {bearer_registry.host: entry_of(*ALICE)}


# Isolated folders


def test_two_accounts_of_one_registry(place: Place, server_one: sshd.Server, lab_registry: BasicRegistry,
                                      pushed_image: str) -> None:  # fmt: skip
    place.keep(lab_registry.host)
    assert place.keep(lab_registry.host, *BOB, folder="second-one") == ALL_PASSED
    found = [*read_logins(place.host), *read_logins(place.host, folder="second-one")]
    assert [(login.username, login.folder) for login in found] == [("alice", ""), ("bob", "second-one")]
    assert export_line("second-one") == 'export DOCKER_CONFIG="$HOME/.docker/dokreg/second-one"'
    place.remove(lab_registry.host)
    assert server_one.ssh(f"docker pull {pushed_image}").returncode != 0
    pulled = server_one.ssh(f"{export_line('second-one')}; docker pull {pushed_image}; docker rmi {pushed_image}")
    assert pulled.returncode == 0
    isolated = place.folder / "dokreg" / "second-one"
    assert {path.stat().st_mode & 0o777 for path in (isolated, isolated.parent)} == {0o700}
    place.remove(lab_registry.host, folder="second-one")
    assert place.left_over() == []


def test_an_isolated_folder_stays_while_somebody_is_logged_in_there(
    place: Place, server_one: sshd.Server, bearer_registry: BearerRegistry, lab_registry: BasicRegistry
) -> None:
    place.keep(bearer_registry.host, folder="second")
    line = f"{export_line('second')}; docker login -u bob --password-stdin {lab_registry.host}"
    assert server_one.ssh(line, stdin=BOB.password).returncode == 0
    place.remove(bearer_registry.host, folder="second")
    assert [login.registry for login in read_logins(place.host, folder="second")] == [lab_registry.host]


def test_what_was_left_of_an_isolated_folder_goes_too(place: Place) -> None:
    isolated = place.folder / "dokreg" / "second"
    isolated.mkdir(parents=True)
    (isolated / "config.json").write_text('{"auths": {}}')
    place.remove("ghcr.io", folder="second")
    assert not isolated.parent.exists()


def test_an_isolated_folder_has_the_context_and_the_plugins(
    organisation: Organisation, new_server: NewServer, engine_one: Engine, bearer_registry: BearerRegistry
) -> None:
    machine = new_server(environment={"DOCKER_HOST": ""})
    place = new_place(organisation, machine)
    create = f"docker context create lab --docker host={engine_one.url} && docker context use lab"
    assert machine.ssh(create).returncode == 0
    (place.folder / "cli-plugins").mkdir()
    assert place.keep(bearer_registry.host, folder="second") == ALL_PASSED
    seen = machine.ssh(f"{export_line('second')}; docker version --format '{{{{.Client.Context}}}}'")
    assert (seen.returncode, seen.stdout) == (0, "lab\n")
    assert (place.folder / "dokreg" / "second" / "cli-plugins").resolve() == place.folder / "cli-plugins"
    machine.ssh("docker context use default")
    place.remove(bearer_registry.host, folder="second")
    assert (place.folder / "contexts" / "meta").is_dir()


@pytest.mark.parametrize("folder", ["..", "a/b", "A", "a b", "a\n", "é"])
def test_an_isolated_folder_has_a_plain_name(folder: str) -> None:
    for use in (export_line, lambda name: read_logins(docker.OwnHost(), folder=name)):
        with pytest.raises(ValueError, match="small letters"):
            use(folder)


# Removing


def test_a_removed_login_is_gone_and_the_others_stay(place: Place, bearer_registry: BearerRegistry) -> None:
    host = bearer_registry.host
    place.write({"auths": {"ghcr.io": OTHER, f"https://{host}/v1/": OTHER, f"{host}/acme": OTHER}})
    place.keep(host)
    place.remove(host)
    assert place.config == {"auths": {"ghcr.io": OTHER, f"{host}/acme": OTHER}}


def test_where_nothing_is_nothing_is_removed(place: Place) -> None:
    assert place.remove("ghcr.io") == ["shell", "config", "gone"]
    assert place.remove("ghcr.io", folder="second") == ["shell", "config", "gone"]
    assert not place.folder.exists()
    place.write('{"auths":{}}')
    place.remove("ghcr.io")
    assert place.file.read_text() == '{"auths":{}}'


def test_docker_hub_has_a_key_of_its_own(place: Place) -> None:
    place.write({"auths": {"https://index.docker.io/v1/": entry_of("acme", "s3cret")}})
    assert read_logins(place.host) == [FoundLogin("docker.io", "acme", "s3cret", "config", "")]
    place.remove("docker.io")
    assert place.config == {"auths": {}}


def test_logins_are_read_and_removed_where_docker_is_gone(
    organisation: Organisation, server_without_docker: sshd.Server
) -> None:
    place = new_place(organisation, server_without_docker)
    place.write({"auths": {"ghcr.io": OTHER}})
    assert [login.registry for login in read_logins(place.host)] == ["ghcr.io"]
    assert place.remove("ghcr.io") == ["shell", "config", "gone"]
    assert place.keep("ghcr.io") == {"shell": 0, "cli": 127}
