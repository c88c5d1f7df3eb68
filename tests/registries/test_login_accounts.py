"""Two accounts of one host on one server, and registries that move to another host."""

import base64
import json

import pytest

from organisations.models import Organisation, User
from registries import credentials, logins
from registries.models import Login, Registry
from servers import docker_config
from servers.models import Server
from tests.lab import sshd
from tests.lab.fixtures import ALICE, BOB
from tests.lab.registry import BasicRegistry, BearerRegistry
from tests.registries.held import away, colon, held_by, let_it_be_due, registry_of, row
from tests.registries.worker import Worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_servers")]
State = Login.State


@pytest.fixture
def of_bob(organisation: Organisation, alice: User, lab_registry: BasicRegistry) -> Registry:
    return registry_of(organisation, alice, lab_registry.host, "Images_of Bob", BOB)


def used_in(server: sshd.Server, login: Login) -> str:
    """`username:password` for whoever runs the line that is shown."""
    line = docker_config.export_line(login.folder)
    text = server.ssh(f"{line}; cat $DOCKER_CONFIG/config.json").stdout
    auths = json.loads(text)["auths"]
    return base64.b64decode(auths[login.url]["auth"]).decode()


def test_the_second_account_of_a_host_lives_in_a_folder_of_its_own(
    worker: Worker,
    images: Registry,
    of_bob: Registry,
    one: Server,
    server_one: sshd.Server,
    pushed_image: str,
) -> None:
    for registry in (images, of_bob):
        worker(logins.choose, registry=registry, servers=[one])
    login = row(of_bob)
    assert (row(images).folder, login.folder) == ("", f"images-of-bob-{of_bob.pk[:6].lower()}")
    assert held_by(server_one) == {images.url: colon(ALICE)}
    assert used_in(server_one, login) == colon(BOB)
    pull = f"{docker_config.export_line(login.folder)}; docker pull {pushed_image} && docker rmi {pushed_image}"
    assert server_one.ssh(pull).returncode == 0


def test_unticking_the_first_leaves_the_second(
    worker: Worker, images: Registry, of_bob: Registry, one: Server, server_one: sshd.Server
) -> None:
    for registry in (images, of_bob):
        worker(logins.choose, registry=registry, servers=[one])
    worker(logins.choose, registry=images, servers=[])
    assert held_by(server_one) == {}
    assert used_in(server_one, row(of_bob)) == colon(BOB)
    worker(logins.choose, registry=images, servers=[one])
    assert held_by(server_one) == {images.url: colon(ALICE)}


def test_unticking_the_second_leaves_the_first_and_no_folder(
    worker: Worker, images: Registry, of_bob: Registry, one: Server, server_one: sshd.Server
) -> None:
    for registry in (images, of_bob):
        worker(logins.choose, registry=registry, servers=[one])
    worker(logins.choose, registry=of_bob, servers=[])
    assert held_by(server_one) == {images.url: colon(ALICE)}
    assert server_one.ssh("ls $HOME/.docker/dokreg").returncode != 0
    assert row() == row(images)


def test_two_ticked_before_any_worker_came_do_not_share_a_place(
    worker: Worker, images: Registry, of_bob: Registry, one: Server, server_one: sshd.Server
) -> None:
    for registry in (images, of_bob):
        worker.commit(logins.choose, registry=registry, servers=[one])
    worker.work()
    assert held_by(server_one) == {images.url: colon(ALICE)}
    assert used_in(server_one, row(of_bob)) == colon(BOB)


def test_one_that_comes_while_the_other_still_waits_to_leave_takes_its_place(
    worker: Worker, images: Registry, of_bob: Registry, one: Server, server_one: sshd.Server
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    with away(server_one):
        worker(logins.choose, registry=images, servers=[])
        worker(logins.choose, registry=of_bob, servers=[one])
    let_it_be_due()
    worker()
    assert row().registry == of_bob
    assert held_by(server_one) == {images.url: colon(BOB)}


def test_what_leaves_does_leave_although_its_successor_cannot_log_in(
    worker: Worker,
    organisation: Organisation,
    alice: User,
    images: Registry,
    one: Server,
    server_one: sshd.Server,
) -> None:
    wrong = registry_of(organisation, alice, images.url, "Wrong", ("bob", "wrong"))
    worker(logins.choose, registry=images, servers=[one])
    worker.commit(logins.choose, registry=images, servers=[])
    worker(logins.choose, registry=wrong, servers=[one])
    assert held_by(server_one) == {}
    assert row().verdict == "unauthorized"


def move(registry: Registry, host: str) -> None:
    """As a rotation does it when it switches."""
    registry.url = host
    credentials.take(registry, secret_is_new=False)
    registry.save()
    logins.renew(registry)


def test_a_registry_that_moves_to_another_host_takes_its_logins_along(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server, bearer_registry: BearerRegistry
) -> None:
    worker(logins.choose, registry=images, servers=[one])
    worker(move, images, bearer_registry.host)
    assert held_by(server_one) == {bearer_registry.host: colon(ALICE)}
    assert (row().url, row().folder, row().state) == (bearer_registry.host, "", State.HELD)


def test_a_registry_that_moves_to_a_host_that_is_taken_goes_into_a_folder_of_its_own(
    worker: Worker,
    organisation: Organisation,
    alice: User,
    images: Registry,
    one: Server,
    server_one: sshd.Server,
    bearer_registry: BearerRegistry,
) -> None:
    there = registry_of(organisation, alice, bearer_registry.host, "There", BOB)
    for registry in (images, there):
        worker(logins.choose, registry=registry, servers=[one])
    worker(move, images, bearer_registry.host)
    assert held_by(server_one) == {bearer_registry.host: colon(BOB)}
    assert used_in(server_one, row(images)) == colon(ALICE)
    assert row(images).folder.startswith("images-")


def test_a_server_that_is_away_while_the_registry_moves_loses_the_old_entry_as_well(
    worker: Worker, images: Registry, one: Server, server_one: sshd.Server, bearer_registry: BearerRegistry
) -> None:
    old = images.url
    worker(logins.choose, registry=images, servers=[one])
    with away(server_one):
        worker(move, images, bearer_registry.host)
        worker(logins.choose, registry=images, servers=[])
        assert Login.objects.filter(state=State.LEAVING, url=old).exists()
    let_it_be_due()
    worker()
    assert held_by(server_one) == {}
    assert not Login.objects.exists()
