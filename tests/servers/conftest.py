"""What the tests of Docker configs share."""

import shutil
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from organisations.models import Organisation
from servers import docker, ssh
from tests.lab import sshd
from tests.registries.rows import lab_server
from tests.servers.place import Place


@pytest.fixture
def on_loopback(settings: Settings) -> Iterator[None]:
    """Servers of the lab are on loopback; no connection outlives the test."""
    settings.DOKREG_ALLOW_LOOPBACK = True
    yield
    ssh.close_all()


@pytest.fixture
def place(organisation: Organisation, server_one: sshd.Server) -> Iterator[Place]:
    place = Place(docker.host_of(lab_server(organisation, server_one)), server_one.home)
    yield place
    shutil.rmtree(place.folder, ignore_errors=True)
