"""The image, built by the real Dockerfile, and what compose.yaml makes of it."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import chromium
from tests.image.composed import ROOT, Composed
from tests.lab.base_image import make_base_image
from tests.lab.daemons import LabError
from tests.lab.engine import Engine
from tests.lab.postgres import Postgres
from tests.lab.redis import Redis
from tests.lab.wheels import wheels

BASE = "lab/python"
BASE_WITH_PACKAGES = "lab/python-with-packages"
IMAGE = "lab/dokreg"
BUILD_SECONDS = 600
STORAGE = "overlay2"  # an image with a dozen layers of Python would be copied a dozen times


@pytest.fixture(scope="session")
def image(lab_folder: Path) -> Iterator[tuple[Engine, str]]:
    """The name of the image, and the engine that has it: one of its own, so that nobody removes its containers."""
    with Engine(lab_folder / "engine-image", storage=STORAGE) as engine:
        make_base_image(engine, BASE, lab_folder)
        make_base_image(engine, BASE_WITH_PACKAGES, lab_folder, wheels=wheels())
        build(engine)
        yield engine, IMAGE


def build(engine: Engine) -> None:
    arguments = [f"--build-arg=BASE={BASE}", f"--build-arg=BUILD_BASE={BASE_WITH_PACKAGES}"]
    done = subprocess.run(
        ["docker", "build", "--network=none", f"--tag={IMAGE}", *arguments, str(ROOT)],
        # The builder that every engine has: no plugin of the command line is needed.
        env={"PATH": os.environ["PATH"], "DOCKER_HOST": engine.url, "DOCKER_BUILDKIT": "0", "HOME": str(engine.folder)},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    if done.returncode:
        raise LabError(f"The image could not be built:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


@pytest.fixture(scope="module")
def dokreg(
    image: tuple[Engine, str],
    lab_folder: Path,
    postgres: Postgres,
    redis: Redis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Composed]:
    engine, name = image
    with postgres.database("composed") as database, contextlib.ExitStack() as stack:
        composed = Composed(
            tmp_path_factory.mktemp("composed"),
            engine,
            name,
            database_url=postgres.url(database, password="m4rked-database-password"),
            redis_url=redis.database(7),
        )
        stack.callback(engine.remove_containers)
        composed("up", "--detach", "--no-build")
        composed.wait_until_alive()
        yield composed


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started
