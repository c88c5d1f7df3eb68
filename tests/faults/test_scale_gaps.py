"""Redis and PostgreSQL go away under load and come back: nobody loses what they typed, nothing is done twice."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager

import psutil
import pytest
from playwright.sync_api import Page, expect

from dokreg.configuration import POOL_SECONDS
from dokreg.database import AWAY
from tests.browser.chromium import chromium, new_page
from tests.faults.cluster import Clicks, Cluster, Count, NoSsh, Servers
from tests.faults.machines import SLOW_SECONDS, Machine, NewMachine
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, NewServer
from tests.lab.ports import free_port
from tests.lab.postgres import Postgres
from tests.lab.redis import Redis
from tests.lab.registry import BasicRegistry, BearerRegistry
from tests.lab.web import containers_on, push_web
from tests.owner import PASSWORD
from tests.program import Program, key_of
from tests.running import moment
from tests.visitor import Visitor

pytestmark = pytest.mark.once
WAITING = 40
SWEEP_TESTS = "servers.tasks.sweep_server_tests"
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dokreg'"


@pytest.mark.parametrize("keeps", [True, False])
def test_redis_that_is_restarted_loses_no_click(cluster: Cluster, nowhere: NoSsh, keeps: bool) -> None:
    servers = Servers(cluster, nowhere, f"REDIS{keeps}", 60)
    clicks = Clicks(cluster)
    cluster.redis.keeps = keeps
    with pressing(clicks, servers, pause=0.2):
        cluster.until(lambda: servers.states().total() >= 15, "some clicks")
        with cluster.redis.down():
            taken = servers.states().total()
            cluster.until(lambda: servers.states().total() >= taken + 8, "clicks while it is away")
    cluster.wait_for_workers()
    let_sweep_come(cluster)
    servers.wait_until_over()
    assert clicks.turned_away == 0
    assert servers.count() == Count(asked=60, done=60, lost=0, doubled=0)


def full(redis: Redis) -> AbstractContextManager[None]:
    """No room for anything more, and nothing in it may go."""
    return redis.full()


def frozen(redis: Redis) -> AbstractContextManager[None]:
    """Connections stay open, and nothing is answered."""
    return redis.paused()


@pytest.mark.parametrize("trouble", [full, frozen])
def test_a_redis_that_takes_nothing_loses_no_click(
    cluster: Cluster, nowhere: NoSsh, trouble: Callable[[Redis], AbstractContextManager[None]]
) -> None:
    servers = Servers(cluster, nowhere, f"REDIS{trouble.__name__}", 40)
    clicks = Clicks(cluster)
    with pressing(clicks, servers, pause=0.2):
        cluster.until(lambda: servers.states().total() >= 10, "some clicks")
        with trouble(cluster.redis):
            taken = servers.states().total()
            cluster.until(lambda: servers.states().total() >= taken + 6, "clicks while it takes nothing")
    cluster.wait_for_workers()
    let_sweep_come(cluster)
    servers.wait_until_over()
    assert clicks.turned_away == 0
    assert servers.count() == Count(asked=40, done=40, lost=0, doubled=0)


def crash(postgres: Postgres) -> None:
    """A backend is killed: the server ends all others and recovers."""
    while not (idle := idle_backends(postgres)):
        time.sleep(0.01)
    idle[0].kill()


def idle_backends(postgres: Postgres) -> list[psutil.Process]:
    return [one for one in psutil.Process(postgres.pid).children() if " idle" in title_of(one)]


def title_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it has ended meanwhile
        return ""


def restart(postgres: Postgres) -> None:
    """As `pg_ctl restart --mode fast` does it, and as slowly as a bigger one."""
    postgres.interrupt()
    postgres.stop()
    postgres.start()


@pytest.mark.parametrize("trouble", [restart, crash])
def test_postgres_that_is_restarted_loses_and_doubles_nothing(
    cluster: Cluster, nowhere: NoSsh, trouble: Callable[[Postgres], None]
) -> None:
    servers = Servers(cluster, nowhere, f"POSTGRES{trouble.__name__}", 60)
    clicks = Clicks(cluster)
    with nowhere.keeping(1.0), pressing(clicks, servers, pause=0.2):
        cluster.until(lambda: servers.states().total() >= 15, "some clicks")
        trouble(cluster.postgres)
    let_sweep_come(cluster)
    servers.wait_until_over()
    assert all(page == AWAY for page in clicks.pages)
    assert servers.count() == Count(asked=60, done=60, lost=0, doubled=0)
    hearts = f"SELECT count(*) FROM dokreg_heartbeat WHERE at > {moment()}"
    cluster.until(lambda: cluster.column(hearts)[0] >= 5, "every worker and a beat to beat again")


class Deployed:
    """An application whose new container is watched for a while before it counts."""

    def __init__(self, cluster: Cluster, server: str, registry: str, image: str, *, settle_seconds: int) -> None:
        names = {"name": "settling", "container_name": "settling", "settle_seconds": settle_seconds}
        wish = names | {"server": server, "registry": registry, "image": image}
        self.cluster = cluster
        self.application = self._granted({"make": wish})
        self.deployment = self._granted({"ask": self.application})

    def _granted(self, wish: object) -> str:
        return str(json.loads(self.cluster.run_module("tests.faults.application_rows", [wish]))[0])

    @property
    def states(self) -> list[str]:
        return self.cluster.column(
            "SELECT state FROM applications_deployment WHERE application_id = ?", self.application
        )

    @property
    def log(self) -> str:
        return str(self.cluster.column("SELECT log FROM applications_deployment WHERE id = ?", self.deployment)[0])


class Proved:
    """A saved registry that is tested on a machine of its own."""

    def __init__(self, cluster: Cluster, machine: Machine, registry: str) -> None:
        self.cluster, self.machine, self.registry = cluster, machine, registry
        self.server = cluster.owner.add_server("tests", machine.server)

    def press(self) -> None:
        self.cluster.owner.get(f"/acme/settings/registries/{self.registry}/")
        self.cluster.owner.htmx_post(f"/acme/settings/registries/{self.registry}/test/", server=self.server)

    @property
    def states(self) -> list[str]:
        return self.cluster.column("SELECT state FROM registries_registrytest WHERE registry_id = ?", self.registry)

    @property
    def logins(self) -> int:
        """Those with a name and password that nobody has are not counted."""
        return sum(folder.name != "trial" for folder in self.machine.folders)


class Held:
    """A server that is to stay logged in."""

    def __init__(self, cluster: Cluster, machine: Machine, registry: str) -> None:
        self.cluster, self.machine, self.registry = cluster, machine, registry
        self.server = cluster.owner.add_server("holds", machine.server)

    def choose(self) -> None:
        self.cluster.owner.get(f"/acme/settings/registries/{self.registry}/")
        self.cluster.owner.post(f"/acme/settings/registries/{self.registry}/logins/", servers=[self.server])

    @property
    def states(self) -> list[str]:
        """With nothing more to do, and the turn given back."""
        return self.cluster.column(
            "SELECT l.state FROM registries_login l JOIN servers_configturn t ON t.server_id = l.server_id"
            " WHERE l.server_id = ? AND l.due_at IS NULL AND t.claim = ''",
            self.server,
        )


def test_postgres_that_is_restarted_breaks_nothing_off(
    cluster: Cluster, new_machine: NewMachine, new_server: NewServer, engine_one: Engine, engine_two: Engine,
    lab_registry: BasicRegistry, bearer_registry: BearerRegistry,
) -> None:  # fmt: skip
    away = SLOW_SECONDS + POOL_SECONDS + 4  # the login ends meanwhile, and so does the wait for a connection
    registry, hanging = (cluster.owner.add_registry(one.host, ALICE) for one in (lab_registry, bearer_registry))
    tested, held = Proved(cluster, new_machine(), hanging), Held(cluster, new_machine(), registry)
    port = free_port()
    image = f"{lab_registry.host}/shop/settling:{port}"
    push_web(engine_two, image, port=port, marker="new")
    server = cluster.owner.add_server("deploys", new_server(engine_one))
    held.machine.slow.touch()
    deployed = Deployed(cluster, server, registry, image, settle_seconds=away + 10)
    cluster.until(lambda: "is running" in deployed.log, "the new container to settle")
    with bearer_registry.paused():
        tested.press()
        cluster.until(lambda: tested.logins == 1, "the test to hang")
        held.choose()
        cluster.until(lambda: held.machine.logins == 1, "the login to begin")
        cluster.postgres.interrupt()
        cluster.postgres.stop()
    time.sleep(away)
    cluster.postgres.start()
    cluster.until(lambda: held.states == ["held"], "the login to be noted", seconds=20)  # less than a turn lasts
    cluster.until(lambda: deployed.states != ["running"] and tested.states != ["running"], "the others to end")
    ends = deployed.states + tested.states + held.states
    begun = deployed.log.count("Started container") + tested.logins + held.machine.logins
    well = ["succeeded", "passed", "held"]
    done = sum(end == wanted for end, wanted in zip(ends, well, strict=False))
    count = Count(asked=3, done=done, lost=3 - done, doubled=begun - 3)
    assert (ends, count) == (well, Count(asked=3, done=3, lost=0, doubled=0))
    assert containers_on(engine_one) == {"settling": "running"}
    engine_one.remove_containers()


def test_whoever_asks_while_the_database_is_away_is_told_so(cluster: Cluster) -> None:
    visitor = Visitor(cluster.url)
    visitor.sign_in("alice", PASSWORD)
    visitor.get("/acme/settings/ssh-keys/add/")
    key = key_of(cluster)
    form = {"name": "typed", "source": "paste", "private_key": "typed-secret"}
    with cluster.postgres_away(), ThreadPoolExecutor() as threads:  # each waits for a connection before it is told
        shown_later = threads.submit(visitor.get, "/acme/settings/servers/")
        sent_later = threads.submit(visitor.post, "/acme/settings/ssh-keys/add/", **form)
        called_later = threads.submit(asked, cluster, "/api/server.all", key)
        hooked_later = threads.submit(asked, cluster, "/webhooks/abcdef", key, body=b"{}")
        well_later = threads.submit(visitor.get, "/healthz")
        shown, sent, called, hooked = (
            shown_later.result(), sent_later.result(), called_later.result(), hooked_later.result(),
        )  # fmt: skip
        assert well_later.result().status == 503
    for page in (shown, sent):
        assert page.status == 503
        assert int(page.headers["Retry-After"]) > 0
        assert "does not answer at this moment" in page.text
        assert "typed" not in page.text
    assert "tries again by itself" in shown.text
    assert "reload this page" in sent.text
    status, wait, body = called
    assert (status, wait, body["code"], body["message"]) == (503, "5", "SERVICE_UNAVAILABLE", AWAY)
    assert hooked == (503, "5", {"error": AWAY})
    assert visitor.get("/acme/settings/servers/").status == 200


@contextmanager
def browsing(cluster: Cluster) -> Iterator[Page]:
    """Alice's page, in a browser; it may be told 503."""
    with chromium() as browser, new_page(browser, cluster.url) as (page, watch):
        watch.expect(503)
        page.goto("/sign-in/")
        page.get_by_label("Username").fill("alice")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        yield page
        watch.complaints = [one for one in watch.complaints if "503" not in one]  # noted in the console as well


def test_a_form_that_is_sent_again_by_reloading_is_saved_once(cluster: Cluster) -> None:
    """One without htmx: the browser itself has kept it."""
    with browsing(cluster) as page:
        page.goto("/acme/settings/ssh-keys/add/")
        page.get_by_label("Name").fill("Typed once")
        with cluster.postgres_away():
            page.get_by_role("button", name="Save").click()
            expect(page.get_by_text("reload this page")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="Typed once")).to_be_visible()
    assert cluster.column("SELECT count(*) FROM servers_sshkey WHERE name = 'Typed once'") == [1]


def test_a_form_keeps_what_was_typed_while_the_database_is_away(cluster: Cluster) -> None:
    with browsing(cluster) as page:
        page.goto("/acme/settings/registries/add/generic/")
        typed = {"name": "Images", "url": "registry.example", "username": "robot", "password": "typed-secret"}
        for name, value in typed.items():
            page.locator(f"[name={name}]").fill(value)
        with cluster.postgres_away():
            page.get_by_role("button", name="Save").click()
            expect(page.locator("#messages")).to_contain_text("What you entered is still here")
        assert {name: page.locator(f"[name={name}]").input_value() for name in typed} == typed
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", name="Images")).to_be_visible()
    assert cluster.column("SELECT count(*) FROM registries_registry WHERE name = 'Images'") == [1]


def test_forty_who_wait_for_a_test_hold_no_connections(cluster: Cluster, nowhere: NoSsh) -> None:
    key = key_of(cluster)
    rows = Servers(cluster, nowhere, "WAITED", WAITING)
    registry = Program(cluster, key).made(
        "registry.create", registryName="Waited", username="u", password="p", registryUrl="r.example",
        registryType="cloud", imagePrefix=None,
    )["registryId"]  # fmt: skip
    answers: list[int] = []

    def wait(number: int) -> None:
        program = Program(cluster, key, url=cluster.webs[number % 2])
        answers.append(program.post("registry.testRegistryById", registryId=registry, serverId=rows.ids[number]).status)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(WAITING)]
    waiting = "SELECT count(*) FROM registries_registrytest WHERE registry_id = ? AND finished_at IS NULL"
    with ExitStack() as suspended:
        for worker in cluster.workers:
            suspended.enter_context(worker.suspended())
        for thread in threads:
            thread.start()
        cluster.until(lambda: cluster.column(waiting, registry) == [WAITING], "all to wait")
        held = max(cluster.column(CONNECTIONS)[0] for _ in range(20))
        assert cluster.column(waiting, registry) == [WAITING]
    for thread in threads:
        thread.join()
    assert held < WAITING
    assert answers == [400] * WAITING  # nobody there speaks SSH
    assert [rows.nowhere.seen[host] for host in rows.hosts] == [1] * WAITING


def let_sweep_come(cluster: Cluster) -> None:
    """As if those seconds had passed after which what nobody took is sent again."""
    cluster.change(f"UPDATE servers_servertest SET sent_at = {moment(seconds_ago=60)} WHERE state = 'queued'")
    cluster.send(SWEEP_TESTS)


def asked(
    cluster: Cluster, path: str, key: str, *, body: bytes | None = None
) -> tuple[int, str | None, dict[str, str]]:
    """Status, Retry-After and JSON of what a program is answered."""
    headers = {"x-api-key": key, "Content-Type": "application/json"}
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(urllib.request.Request(cluster.url + path, body, headers))
    with raised.value as error:
        return error.code, error.headers["Retry-After"], json.load(error)


@contextmanager
def pressing(clicks: Clicks, servers: Servers, *, pause: float) -> Iterator[None]:
    """People press Test while the block runs, and until all were taken."""
    thread = threading.Thread(target=clicks.press, args=(servers.ids,), kwargs={"pause": pause})
    thread.start()
    try:
        yield
    finally:
        thread.join()
