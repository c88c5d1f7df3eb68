"""The image, built by the real Dockerfile, and what compose.yaml makes of it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import chromium
from tests.image.composed import ROOT, Composed, services
from tests.lab.base_image import make_base_image
from tests.lab.engine import Engine
from tests.lab.service_images import make_postgres_image, make_redis_image
from tests.lab.wheels import wheels

BASE = "lab/python"
BASE_WITH_PACKAGES = "lab/python-with-packages"
IMAGE = "lab/dokreg"
STORAGE = "overlay2"  # an image with a dozen layers of Python would be copied a dozen times


@pytest.fixture(scope="session")
def image(lab_folder: Path) -> Iterator[tuple[Engine, str]]:
    """The name of the image, and the engine that has it: one of its own, so that nobody removes its containers."""
    with Engine(lab_folder / "engine-image", storage=STORAGE) as engine:
        make_base_image(engine, BASE, lab_folder)
        make_base_image(engine, BASE_WITH_PACKAGES, lab_folder, wheels=wheels())
        engine.build(IMAGE, ROOT, f"--build-arg=BASE={BASE}", f"--build-arg=BUILD_BASE={BASE_WITH_PACKAGES}")
        yield engine, IMAGE


@pytest.fixture(scope="module")
def dokreg(image: tuple[Engine, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    engine, name = image
    make_postgres_image(engine, services()["postgres"]["image"])
    make_redis_image(engine, services()["redis"]["image"])
    composed = Composed(tmp_path_factory.mktemp("composed"), engine, name)
    with contextlib.ExitStack() as stack:
        stack.callback(engine.remove_networks)
        stack.callback(engine.remove_containers)
        composed("up", "--detach", "--no-build")
        composed.wait_until_alive()
        yield composed


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started
