"""Docker configs that are not as they should be, locks, and connections that break: nothing is lost."""

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from organisations.models import Organisation
from servers import ssh
from servers.config_file import CONFIG_LIMIT, WRITE_SCRIPT, Config, ConfigProblem
from servers.docker_config import read_logins
from servers.stages import run_stages
from tests.lab import sshd
from tests.lab.daemons import wait_until
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, BOB, NewFolder, NewServer
from tests.lab.registry import BearerRegistry
from tests.lab.sshd import lab_user, path_with_docker
from tests.servers.place import ALL_PASSED, OTHER, Place, entry_of, new_place

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.once,  # a file on a server
    pytest.mark.usefixtures("on_loopback"),
]


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
