"""Test everywhere with the worker killed in the middle, and beside people who click."""

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE, NewServer
from tests.lab.registry import BasicRegistry
from tests.lab.sshd import KeyPair, Server, path_with_docker
from tests.owner import Owner
from tests.patience import SOON
from tests.running import Running, running
from tests.stock import row_of, stock

# The first logins pass; those after them do not until the gate opens.
LOGIN_BEHIND_A_GATE = """
case " $* " in *" login "*)
    echo login >> {book}
    if [ $(wc -l < {book}) -gt 20 ]; then while [ -e {gate} ]; do touch {shut}; sleep 0.2; done; fi;;
esac
exec "$docker" "$@"
"""
HANGING = """
case " $* " in *" version "*) sleep 30;; esac
exec "$docker" "$@"
"""
NOBODY_THERE = 9  # the discard port


@pytest.fixture
def dokreg(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data") as started:
        started.wait_until_healthy()
        yield started


def states(dokreg: Running) -> Counter[str]:
    return Counter(state for (state,) in dokreg.rows("SELECT state FROM registries_registrytest WHERE batch_id <> ''"))


def start_everywhere(owner: Owner) -> str:
    """Press Test everywhere; the address of the batch."""
    owner.get("/acme/fleet/")
    return owner.post("/acme/fleet/test/").address.removeprefix(owner.url)


def is_over(dokreg: Running) -> bool:
    return all(finished for (finished,) in dokreg.rows("SELECT finished_at FROM registries_testbatch"))


def test_a_killed_worker_ends_no_batch_and_doubles_nothing(
    dokreg: Running, new_server: NewServer, engine_one: Engine, lab_registry: BasicRegistry, tmp_path: Path
) -> None:
    owner = Owner(dokreg)
    gate, shut = tmp_path / "gate", tmp_path / "shut"
    gate.touch()
    script = LOGIN_BEHIND_A_GATE.format(gate=gate, shut=shut, book=tmp_path / "book")
    path = path_with_docker(tmp_path / "tools", script)
    machines = [new_server(engine_one, environment={"PATH": path}) for _ in range(8)]
    registry = {"url": lab_registry.host, "username": ALICE.username, "password": ALICE.password}
    stock(
        dokreg,
        servers=[row_of(machine, f"web-{index}") for index, machine in enumerate(machines)],
        registries=[registry | {"name": f"Images {index}"} for index in range(5)],
    )
    address = start_everywhere(owner)
    dokreg.wait_for(lambda: states(dokreg)["passed"] >= 1, "some to pass")
    dokreg.wait_for(shut.exists, "a login to be in its middle")
    dokreg.service("celery").kill()
    gate.unlink()
    dokreg.wait_for(lambda: is_over(dokreg), "the batch to end by itself", seconds=120)
    counts = states(dokreg)
    assert set(counts) <= {"passed", "lost"}
    assert sum(counts.values()) == 40
    assert counts["lost"] >= 1
    assert dokreg.rows("SELECT total FROM registries_testbatch") == [(40,)]
    pairs = dokreg.rows("SELECT registry_id, server_id, COUNT(*) FROM registries_registrytest GROUP BY 1, 2")
    assert [number for *_pair, number in pairs] == [1] * 40
    page = owner.get(address).text
    assert f"<strong>{counts['passed']}</strong> passed" in page
    assert f"<strong>{counts['lost']}</strong> lost" in page
    assert "All tests are over" in page


def test_every_failure_is_on_the_page_and_not_the_first(
    dokreg: Running, server_one: Server, server_two: Server, lab_registry: BasicRegistry
) -> None:
    owner = Owner(dokreg)
    living = [row_of(server_one, "web-1"), row_of(server_two, "web-2")]
    dead = [living[0] | {"name": f"dead-{index}", "port": NOBODY_THERE} for index in range(3)]
    right = {"url": lab_registry.host, "username": ALICE.username, "password": ALICE.password}
    wrong = [right | {"name": f"Wrong {index}", "password": "wrong"} for index in range(2)]
    stock(dokreg, servers=[*living, *dead], registries=[right | {"name": "Right"}, *wrong])
    address = start_everywhere(owner)
    dokreg.wait_for(lambda: is_over(dokreg), "the batch to end")
    page = owner.get(address).text
    assert f"<strong>{states(dokreg)['passed']}</strong> passed" in page
    failures = re.sub(r"\s+", " ", page[page.index('id="failures"') : page.index('id="results"')])
    assert states(dokreg) == {"passed": 2, "failed": 13}
    for (test,) in dokreg.rows("SELECT id FROM registries_registrytest WHERE state = 'failed'"):
        assert f'/tests/{test}/">' in failures
    assert failures.count("<article") == 2


def test_a_click_does_not_wait_behind_a_batch(
    dokreg: Running, new_server: NewServer, server_two: Server, engine_one: Engine, lab_registry: BasicRegistry,
    tmp_path: Path,
) -> None:  # fmt: skip
    owner = Owner(dokreg)
    path = path_with_docker(tmp_path / "tools", HANGING)
    slow = [new_server(engine_one, environment={"PATH": path}) for _ in range(6)]
    registry = {"url": lab_registry.host, "username": ALICE.username, "password": ALICE.password}
    dead = row_of(slow[0], "") | {"port": NOBODY_THERE, "host_key": KeyPair.generate().public}
    stock(
        dokreg,
        servers=[
            *(row_of(machine, f"slow-{index}") for index, machine in enumerate(slow)),
            *(dead | {"name": f"dead-{index}"} for index in range(13)),
            row_of(server_two, "quick"),
        ],
        registries=[registry | {"name": f"Images {index}"} for index in range(10)],
    )
    quick = str(dokreg.rows("SELECT id FROM servers_server WHERE name = 'quick'")[0][0])
    images = str(dokreg.rows("SELECT id FROM registries_registry ORDER BY name")[0][0])
    start_everywhere(owner)
    assert sum(states(dokreg).values()) == 200
    dokreg.wait_for(lambda: _hanging(dokreg) >= 6, "slow servers to hold every place they can")
    for _ in range(3):
        owner.get(f"/acme/settings/registries/{images}/")
        started = time.monotonic()
        page = owner.htmx_post(f"/acme/settings/registries/{images}/test/", server=quick, image="")
        ladder = page.text if "hx-get" not in page.text else owner.ladder(page.match(r'hx-get="([^"]+)"'))
        assert 'data-state="failed"' not in ladder
        assert time.monotonic() - started < SOON
    assert not is_over(dokreg)
    assert _hanging(dokreg) <= int(os.environ.get("DOKREG_TESTS_AT_ONCE", "8"))


def _hanging(dokreg: Running) -> int:
    return len(dokreg.rows("SELECT id FROM registries_registrytest WHERE batch_id <> '' AND state = 'running'"))
