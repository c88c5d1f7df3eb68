"""The logins that a server keeps, on real servers with real engines and registries."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from pytest_django import Settings

from dokreg.ids import new_id
from organisations.models import Organisation
from servers import credential_helpers, docker, keys, ssh
from servers.config_file import CONFIG_LIMIT, WRITE_SCRIPT, Config, ConfigProblem
from servers.docker_config import FoundLogin, export_line, keep_login, read_logins, remove_login
from servers.stages import Stage, run_stages
from tests.lab import sshd
from tests.lab.daemons import wait_until
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, BOB, NewFolder, NewServer
from tests.lab.helper import put_helper
from tests.lab.registry import BasicRegistry, BearerRegistry, WideRegistry
from tests.lab.sshd import DEFAULT_PATH, lab_user, path_with_docker
from tests.lab.watch import SHARED_FOLDERS, files_with, new_files, watching
from tests.registries.rows import lab_server
from tests.servers.rows import make_key

pytestmark = [pytest.mark.django_db, pytest.mark.once]  # a file on a server

ALL_PASSED = {"shell": 0, "cli": 0, "daemon": 0, "config": 0, "login": 0, "kept": 0}
OTHER = {"auth": base64.b64encode(b"somebody:else's").decode()}


@pytest.fixture(autouse=True)
def loopback(settings: Settings) -> Iterator[None]:
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield
    ssh.close_all()


class Place:
    """A server of the lab as dokreg sees it, and its config as somebody sees it who sits there."""

    def __init__(self, host: docker.Host, home: Path) -> None:
        self.host = host
        self.folder = home / ".docker"
        self.file = self.folder / "config.json"

    def write(self, config: str | dict[str, Any]) -> None:
        self.folder.mkdir(exist_ok=True)
        self.file.write_text(config if isinstance(config, str) else json.dumps(config))

    @property
    def config(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self.file.read_text())
        return values

    def keep(
        self, registry: str, username: str = ALICE.username, password: str = ALICE.password, folder: str = ""
    ) -> dict[str, int]:
        """Stage → status."""
        stages: list[Stage] = []
        keep_login(
            self.host, registry=registry, username=username, password=password, folder=folder, on_stage=stages.append
        )
        assert not any(stage.raw for stage in stages if stage.name in {"config", "kept"})
        return {stage.name: stage.status for stage in stages}

    def remove(self, registry: str, folder: str = "") -> list[str]:
        stages: list[Stage] = []
        remove_login(self.host, registry=registry, folder=folder, on_stage=stages.append)
        return [stage.name for stage in stages]

    def left_over(self) -> list[str]:
        """What lies in the folder beside the config and the lock."""
        return sorted({path.name for path in self.folder.iterdir()} - {"config.json", ".dokreg.lock"})


@pytest.fixture
def place(organisation: Organisation, server_one: sshd.Server) -> Iterator[Place]:
    place = Place(docker.host_of(lab_server(organisation, server_one)), server_one.home)
    yield place
    shutil.rmtree(place.folder, ignore_errors=True)


def new_place(organisation: Organisation, server: sshd.Server) -> Place:
    return Place(docker.host_of(lab_server(organisation, server)), server.home)


def entry_of(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


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
    assert time.monotonic() - began < 6


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
    began = time.monotonic()
    assert [place.keep(host) for host in hosts] == [ALL_PASSED] * 20
    assert time.monotonic() - began < 30
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


# A config that is not as it should be

BROKEN = {
    "half": '{"auths": {"ghcr.io": {"auth": "bWFya2Vk',
    "followed by something": '{"auths": {}} {"auths": {"ghcr.io": {}}}',
    "no object": '["marked"]',
    "a name twice": '{"auths": {"a": {}}, "auths": {"b": {}}}',
    "not UTF-8": b'{"auths": {"\xff": {}}}',
    "nested without end": "[" * 100_000,
    "auths of another kind": '{"auths": ["marked"]}',
    "no number": '{"x": NaN}',
    "too large a number": '{"x": 1e999}',
    "too long a number": '{"x": ' + "1" * 5000 + "}",
    "what Docker cannot decode": '{"auths": {"ghcr.io": {"auth": "%marked%"}}}',
    "what Docker wants otherwise": '{"HttpHeaders": "marked"}',
    "too large": '{"x": "' + "x" * CONFIG_LIMIT + '"}',
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=list(BROKEN))
def test_a_config_that_does_not_parse_is_reported_and_stays(
    place: Place, bearer_registry: BearerRegistry, text: str | bytes
) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    place.write("")
    place.file.write_bytes(content)
    with pytest.raises(ConfigProblem) as problem:
        place.keep(bearer_registry.host)
    verdict = problem.value.verdict
    assert verdict.code == "config_unreadable"
    assert str(place.file) in verdict.cause
    assert "marked" not in f"{verdict}{problem.value.words}{problem.value.__context__}"
    assert place.file.read_bytes() == content
    assert place.left_over() == []


def test_an_older_docker_knows_a_broken_config_too(
    organisation: Organisation, new_server: NewServer, engine_one: Engine, bearer_registry: BearerRegistry
) -> None:
    """Debian's own package has Docker 20.10; another may lie before it on the PATH."""
    place = new_place(organisation, new_server(engine_one, environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}))
    place.write(BROKEN["what Docker cannot decode"])  # type: ignore[arg-type]
    with pytest.raises(ConfigProblem, match="cannot be read"):
        place.keep(bearer_registry.host)
    place.write({"auths": {}})
    assert place.keep(bearer_registry.host) == ALL_PASSED
    place.write(BROKEN["half"])  # type: ignore[arg-type]
    with pytest.raises(ConfigProblem, match="in line 1, column"):
        place.remove(bearer_registry.host)
    with pytest.raises(ConfigProblem, match="in line 1, column"):
        read_logins(place.host)


def test_an_empty_file_is_an_empty_config(place: Place, bearer_registry: BearerRegistry) -> None:
    place.write("")
    assert read_logins(place.host) == []
    assert place.keep(bearer_registry.host) == ALL_PASSED


def test_a_folder_in_its_place_is_no_config(place: Place, bearer_registry: BearerRegistry) -> None:
    place.file.mkdir(parents=True)
    with pytest.raises(ConfigProblem, match="it is not a file"):
        place.keep(bearer_registry.host)
    assert place.file.is_dir()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_to_the_config_stays_a_link(
    place: Place, new_folder: NewFolder, bearer_registry: BearerRegistry, is_there: bool
) -> None:
    target = new_folder() / "dotfiles.json"
    if is_there:
        target.write_text(json.dumps({"auths": {"ghcr.io": OTHER}}))
    place.folder.mkdir()
    place.file.symlink_to(os.path.relpath(target, place.folder))
    assert place.keep(bearer_registry.host) == ALL_PASSED
    assert place.file.is_symlink()
    auths = json.loads(target.read_text())["auths"]
    assert auths == ({"ghcr.io": OTHER} if is_there else {}) | {bearer_registry.host: entry_of(*ALICE)}
    assert [path.name for path in target.parent.iterdir()] == ["dotfiles.json"]


@pytest.mark.parametrize(
    ("target", "detail"), [("/nowhere/at/all.json", "a link that leads nowhere"), ("/dev/null", "it is not a file")]
)
def test_a_link_to_what_is_no_file_is_reported(
    place: Place, bearer_registry: BearerRegistry, target: str, detail: str
) -> None:
    place.folder.mkdir()
    place.file.symlink_to(target)
    with pytest.raises(ConfigProblem, match=detail):
        place.keep(bearer_registry.host)
    assert place.file.is_symlink()


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_loses_nothing(place: Place, bearer_registry: BearerRegistry) -> None:
    others = json.dumps({"auths": {"ghcr.io": OTHER}, "x": "x" * 10_000})
    with mounted(place.folder, "size=64k"):
        place.write(others)
        with contextlib.suppress(OSError), (place.folder / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        with pytest.raises(ConfigProblem) as problem:
            place.keep(bearer_registry.host)
        assert problem.value.verdict.code == "config_disk_full"
        assert (place.file.read_text(), place.left_over()) == (others, ["filler"])


def test_a_read_only_file_system_is_said_to_be_so(place: Place, bearer_registry: BearerRegistry) -> None:
    with mounted(place.folder, "size=64k,ro"):
        with pytest.raises(ConfigProblem) as problem:
            place.keep(bearer_registry.host)
        assert problem.value.verdict.code == "config_not_writable"
        assert str(place.folder) in problem.value.verdict.cause
        assert place.remove(bearer_registry.host) == ["shell", "config", "gone"]


@pytest.fixture
def ordinary(organisation: Organisation, new_server: NewServer, engine_one: Engine) -> Iterator[Place]:
    """The place of an ordinary user who may speak to the engine."""
    engine_one.socket.chmod(0o666)
    yield new_place(organisation, new_server(engine_one, user=lab_user()))
    engine_one.socket.chmod(0o660)


def test_an_ordinary_user_has_a_config_of_their_own(ordinary: Place, bearer_registry: BearerRegistry) -> None:
    assert ordinary.keep(bearer_registry.host) == ALL_PASSED
    assert (ordinary.file.owner(), ordinary.folder.owner()) == (lab_user(), lab_user())
    assert ordinary.keep(bearer_registry.host, *BOB) == ALL_PASSED
    ordinary.file.chmod(0o400)
    assert ordinary.keep(bearer_registry.host) == ALL_PASSED


def test_a_config_of_root_in_the_home_of_another(ordinary: Place, bearer_registry: BearerRegistry) -> None:
    """As `sudo docker login` leaves it."""
    ordinary.write({"auths": {}})
    ordinary.file.chmod(0o644)
    ordinary.folder.chmod(0o755)
    with pytest.raises(ConfigProblem) as problem:
        ordinary.keep(bearer_registry.host)
    assert problem.value.verdict.code == "config_not_writable"
    ordinary.file.chmod(0o600)
    with pytest.raises(ConfigProblem, match="the user may not read it"):
        read_logins(ordinary.host)
    ordinary.folder.chmod(0o700)
    with pytest.raises(ConfigProblem, match="the user may not read it"):
        read_logins(ordinary.host)


def test_a_user_without_a_home(
    organisation: Organisation, new_server: NewServer, engine_one: Engine, bearer_registry: BearerRegistry
) -> None:
    place = new_place(organisation, new_server(engine_one, environment={"HOME": "/home/nobody-made-it"}))
    for folder in ("", "second"):
        with pytest.raises(ConfigProblem) as problem:
            place.keep(bearer_registry.host, folder=folder)
        assert problem.value.verdict.code == "config_no_home"
        assert "/home/nobody-made-it" in problem.value.verdict.cause


def test_a_docker_config_elsewhere_is_the_users_own(
    organisation: Organisation, new_server: NewServer, new_folder: NewFolder, engine_one: Engine,
    bearer_registry: BearerRegistry,
) -> None:  # fmt: skip
    elsewhere = new_folder() / "it's $HOME `here`"
    variables = {"HOME": "/home/nobody-made-it", "DOCKER_CONFIG": str(elsewhere)}
    place = new_place(organisation, new_server(engine_one, environment=variables))
    assert place.keep(bearer_registry.host) == ALL_PASSED
    assert sorted(path.name for path in elsewhere.iterdir()) == [".dokreg.lock", "config.json"]
    assert [login.username for login in read_logins(place.host)] == ["alice"]


# Locks and broken connections


def test_a_lock_is_waited_for(place: Place, bearer_registry: BearerRegistry) -> None:
    place.write({})
    holder = subprocess.Popen(["flock", str(place.folder / ".dokreg.lock"), "sleep", "1.5"])
    wait_until((place.folder / ".dokreg.lock").exists, "the lock")
    began = time.monotonic()
    assert place.keep(bearer_registry.host) == ALL_PASSED
    assert time.monotonic() - began > 1
    holder.wait()


def test_a_lock_that_is_not_given_back_is_named(
    organisation: Organisation, new_server: NewServer, new_folder: NewFolder, engine_one: Engine,
    bearer_registry: BearerRegistry,
) -> None:  # fmt: skip
    tools = new_folder() / "tools"
    path = path_with_docker(tools, 'exec "$docker" "$@"')
    (tools / "flock").write_text("#!/bin/sh\nexit 124\n")
    (tools / "flock").chmod(0o755)
    place = new_place(organisation, new_server(engine_one, environment={"PATH": path}))
    with pytest.raises(ConfigProblem) as problem:
        place.keep(bearer_registry.host)
    assert problem.value.verdict.code == "config_locked"
    assert (place.file.exists(), place.left_over()) == (False, [])


def test_a_server_without_flock_keeps_logins_too(
    organisation: Organisation, new_server: NewServer, new_folder: NewFolder, engine_one: Engine,
    bearer_registry: BearerRegistry,
) -> None:  # fmt: skip
    tools = sshd.path_without_docker(new_folder() / "tools")
    (Path(tools) / "flock").unlink()
    (Path(tools) / "docker").symlink_to(str(shutil.which("docker")))
    place = new_place(organisation, new_server(engine_one, environment={"PATH": tools}))
    assert place.keep(bearer_registry.host) == ALL_PASSED
    assert place.left_over() == []


def test_a_server_with_busybox_alone(
    organisation: Organisation, new_server: NewServer, new_folder: NewFolder, engine_one: Engine,
    bearer_registry: BearerRegistry,
) -> None:  # fmt: skip
    """As Alpine is."""
    tools = new_folder() / "tools"
    tools.mkdir()
    subprocess.run(["busybox", "--install", "-s", str(tools)], check=True)
    (tools / "docker").symlink_to(str(shutil.which("docker")))
    place = new_place(organisation, new_server(engine_one, environment={"PATH": str(tools)}))
    place.write({"auths": {"ghcr.io": OTHER}})
    assert place.keep(bearer_registry.host) == ALL_PASSED
    assert place.keep(bearer_registry.host, *BOB, folder="second") == ALL_PASSED
    assert [login.registry for login in read_logins(place.host)] == [bearer_registry.host, "ghcr.io"]
    place.remove(bearer_registry.host)
    place.remove(bearer_registry.host, folder="second")
    assert (place.config, place.left_over()) == ({"auths": {"ghcr.io": OTHER}}, [])


def test_half_a_config_never_takes_its_place(place: Place) -> None:
    """What the script reads when the connection breaks in the middle: a part, and then the end."""
    place.write({"auths": {"ghcr.io": OTHER}})
    config = Config(place.host, "")
    config.look()
    before = place.file.read_text()
    lines = ["", config._sum, "1000", ""]
    run_stages(place.host, WRITE_SCRIPT, lines=lines, rest=b'{"auths": {', on_stage=lambda _stage: None)
    assert (place.file.read_text(), place.left_over()) == (before, [])


def test_what_a_killed_script_left_goes_with_the_next_login(place: Place, bearer_registry: BearerRegistry) -> None:
    place.write({})
    for name in ("config.json.dokreg.aaaaaaaa", "config.json.dokreg.bbbbbbbb"):
        (place.folder / name).touch()
    os.utime(place.folder / "config.json.dokreg.aaaaaaaa", (1, 1))
    assert place.keep(bearer_registry.host) == ALL_PASSED
    assert place.left_over() == ["config.json.dokreg.bbbbbbbb"]  # somebody may be writing it now


def test_a_connection_that_breaks_leaves_nothing(
    organisation: Organisation, new_server: NewServer, new_folder: NewFolder, engine_one: Engine,
    bearer_registry: BearerRegistry,
) -> None:  # fmt: skip
    tools = new_folder() / "tools"
    slow = f'if [ "$1" = login ]; then touch {tools}/began; sleep 2; fi\nexec "$docker" "$@"'
    machine = new_server(engine_one, environment={"PATH": path_with_docker(tools, slow)})
    place = new_place(organisation, machine)
    place.write({"auths": {"ghcr.io": OTHER}})
    problems: list[Exception] = []

    def keep() -> None:
        try:
            place.keep(bearer_registry.host)
        except ssh.SSHProblem as problem:
            problems.append(problem)

    before = set(Path("/dev/shm").iterdir())
    keeping = threading.Thread(target=keep)
    keeping.start()
    wait_until((tools / "began").exists, "docker login")
    for session in psutil.Process(machine.pid).children():
        session.kill()
    keeping.join()
    assert [type(problem) for problem in problems] == [ssh.Unreachable]
    wait_until(lambda: set(Path("/dev/shm").iterdir()) <= before, "the script to tidy up")
    assert place.config == {"auths": {"ghcr.io": OTHER}}
    assert place.left_over() == []
    assert place.keep(bearer_registry.host) == ALL_PASSED


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


def test_a_helper_that_takes_its_time_is_not_asked_for_everything(
    helped: PlaceWithHelper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servers.docker_config.ASKING_SECONDS", 1.0)
    hosts = [f"{number:02}.example" for number in range(30)]
    helped.store.write_text(json.dumps({key: ["a", "p"] for key in hosts}))
    helped.replace(helped.program.read_text().replace("import json", "import time; time.sleep(0.2)\nimport json"))
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
