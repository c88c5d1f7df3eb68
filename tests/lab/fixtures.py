"""The lab's parts as fixtures. Each starts when first asked for and is shared by the whole run.

A test that changes a shared part puts it back, with the part's own context managers.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from tests.lab.aws import Aws
from tests.lab.azure import Azure
from tests.lab.clouds import Cloud
from tests.lab.engine import Engine
from tests.lab.google import Google
from tests.lab.hosts import FORGOTTEN_AFTER, leading_here
from tests.lab.postgres import Postgres
from tests.lab.redis import Redis
from tests.lab.registry import (
    Account,
    BasicRegistry,
    BearerRegistry,
    CloudRegistry,
    Registry,
    TlsRegistry,
    WideRegistry,
)
from tests.lab.sshd import Server, lab_user, path_without_docker

ALICE = Account("alice", "alice's pa55word: with spaces, $HOME and é")
BOB = Account("bob", "b0b-robot-token")
ACCOUNTS = (ALICE, BOB)
IMAGE = "acme/web:1"

NewFolder = Callable[[], Path]
NewServer = Callable[..., Server]


@pytest.fixture(scope="session")
def lab_folder() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.fail("The lab runs Docker engines and SSH servers, which needs root: run the tests as root.")
    # Not in /tmp: that is where tests look for what was left behind.
    folder = Path(tempfile.mkdtemp(prefix="dokreg-lab-", dir="/var/tmp"))
    folder.chmod(0o711)  # an unprivileged user has a home in there
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def engines(lab_folder: Path) -> Iterator[tuple[Engine, Engine]]:
    one, two = Engine(lab_folder / "engine-one"), Engine(lab_folder / "engine-two")
    one.launch()
    two.launch()
    with one, two:
        yield one, two
        one.ask_to_stop()
        two.ask_to_stop()


@pytest.fixture(scope="session")
def engine_one(engines: tuple[Engine, Engine]) -> Engine:
    return engines[0]


@pytest.fixture(scope="session")
def engine_two(engines: tuple[Engine, Engine]) -> Engine:
    return engines[1]


@pytest.fixture(scope="session")
def lab_registry(lab_folder: Path) -> Iterator[BasicRegistry]:
    with BasicRegistry(lab_folder / "registry", ACCOUNTS) as registry:
        yield registry


@pytest.fixture(scope="session")
def bearer_registry(lab_folder: Path) -> Iterator[BearerRegistry]:
    with BearerRegistry(lab_folder / "bearer-registry", ACCOUNTS) as registry:
        yield registry


@pytest.fixture(scope="session")
def wide_registry(lab_folder: Path) -> Iterator[WideRegistry]:
    with WideRegistry(lab_folder / "wide-registry", ACCOUNTS) as registry:
        yield registry


@pytest.fixture(scope="session")
def tls_registry(lab_folder: Path) -> Iterator[TlsRegistry]:
    with TlsRegistry(lab_folder / "tls-registry", ACCOUNTS) as registry:
        yield registry


@pytest.fixture(scope="session")
def open_registry(lab_folder: Path) -> Iterator[Registry]:
    with Registry(lab_folder / "open-registry") as registry:
        yield registry


@pytest.fixture(scope="session")
def postgres(lab_folder: Path) -> Iterator[Postgres]:
    with Postgres(lab_folder / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def redis(lab_folder: Path) -> Iterator[Redis]:
    with Redis(lab_folder / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def pushed_image(engine_one: Engine, lab_registry: BasicRegistry) -> str:
    """The reference of an image that waits in the registry; no engine holds it any more."""
    reference = f"{lab_registry.host}/{IMAGE}"
    engine_one.import_image(reference)
    engine_one.push(reference, ALICE)
    engine_one.remove_image(reference)
    return reference


@pytest.fixture(scope="session")
def server_one(lab_folder: Path, engine_one: Engine) -> Iterator[Server]:
    with Server(lab_folder / "server-one", engine_one) as server:
        yield server


@pytest.fixture(scope="session")
def server_two(lab_folder: Path, engine_two: Engine) -> Iterator[Server]:
    with Server(lab_folder / "server-two", engine_two, address="127.0.0.2") as server:
        yield server


@pytest.fixture(scope="session")
def server_without_docker(lab_folder: Path) -> Iterator[Server]:
    folder = lab_folder / "server-without-docker"
    path = path_without_docker(folder / "tools")
    with Server(folder, address="127.0.0.3", environment={"PATH": path}) as server:
        yield server


@pytest.fixture(scope="session")
def server_of_ordinary_user(lab_folder: Path, engine_one: Engine) -> Iterator[Server]:
    """Somebody may log in here, but not speak to the engine."""
    folder = lab_folder / "server-of-ordinary-user"
    with Server(folder, engine_one, address="127.0.0.4", user=lab_user()) as server:
        yield server


@pytest.fixture
def new_folder(lab_folder: Path) -> Iterator[NewFolder]:
    """Make folders for parts that one test alone wants: `with TlsRegistry(new_folder(), …) as registry`."""
    with tempfile.TemporaryDirectory(prefix="t-", dir=lab_folder, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield lambda: Path(tempfile.mkdtemp(prefix="", dir=folder))


@pytest.fixture
def new_server(new_folder: NewFolder) -> Iterator[NewServer]:
    """Make servers for one test alone: `new_server(engine, environment=…, max_startups=None, …)`."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(Server(new_folder(), *args, **options))


# Clouds. Each test that mints gets a cloud of its own, and dokreg's settings lead to it.

ECR_HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
ECR_PUBLIC_HOST = "public.ecr.aws"
GOOGLE_HOST = "europe-west3-docker.pkg.dev"
ACR_HOST = "acme.azurecr.io"
# All names that registries may have here; more than one of a kind, for tests that need two.
CLOUD_NAMES = (
    ECR_HOST,
    "123456789012.dkr.ecr.us-east-1.amazonaws.com",
    "210987654321.dkr.ecr.eu-central-1.amazonaws.com",
    ECR_PUBLIC_HOST,
    GOOGLE_HOST,
    "gcr.io",
    ACR_HOST,
)

NewCloudRegistry = Callable[[str, Cloud], CloudRegistry]


@pytest.fixture
def aws(settings: Settings) -> Iterator[Aws]:
    with Aws() as cloud:
        settings.DOKREG_AWS_ENDPOINT_URL = cloud.url
        yield cloud


@pytest.fixture
def google(settings: Settings) -> Iterator[Google]:
    with Google() as cloud:
        settings.DOKREG_GOOGLE_TOKEN_URL = cloud.token_url
        settings.DOKREG_GOOGLE_METADATA_URL = cloud.url
        yield cloud


@pytest.fixture
def azure(settings: Settings) -> Iterator[Azure]:
    with Azure() as cloud:
        settings.DOKREG_AZURE_LOGIN_URL = settings.DOKREG_ACR_EXCHANGE_URL = cloud.url
        yield cloud


@pytest.fixture(scope="module")
def cloud_names() -> Iterator[None]:
    """The names of clouds lead to this machine, for one module at a time on the whole of it."""
    with leading_here(CLOUD_NAMES):
        time.sleep(FORGOTTEN_AFTER)
        yield


@pytest.fixture
def new_cloud_registry(new_folder: NewFolder, cloud_names: None) -> Iterator[NewCloudRegistry]:
    """Make registries of clouds for one test: `new_cloud_registry(ECR_HOST, aws)`; their host is the cloud's own."""
    with contextlib.ExitStack() as stack:
        yield lambda name, cloud: stack.enter_context(CloudRegistry(new_folder(), name, cloud))
