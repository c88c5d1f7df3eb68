"""A whole dokreg as somebody who runs it looks at it: the doctor, the metrics, the logs."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.lab.fixtures import ALICE
from tests.lab.registry import BasicRegistry
from tests.owner import Owner
from tests.running import ROOT, Running, running

TOKEN = "marked-metrics-token"
Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def dokreg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("operations") / "data"
    with running(data, DOKREG_LOG_FORMAT="json", DOKREG_METRICS_TOKEN=TOKEN) as started:
        started.wait_until_healthy()
        yield started


@pytest.fixture(scope="module")
def owner(dokreg: Running) -> Owner:
    return Owner(dokreg)


def scrape(dokreg: Running, token: str = TOKEN) -> tuple[int, str]:
    request = urllib.request.Request(f"{dokreg.url}/metrics", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def figures(dokreg: Running) -> Figures:
    status, text = scrape(dokreg)
    assert status == 200, text
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def figure(found: Figures, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def lines(dokreg: Running) -> list[dict[str, Any]]:
    """What was logged as JSON; the supervisor itself speaks to people."""
    return [json.loads(line) for line in dokreg.output.splitlines() if line.startswith("{")]


def findings(dokreg: Running) -> dict[str, dict[str, dict[str, str]]]:
    report = json.loads(dokreg.manage("doctor", "--json"))
    return {
        section["name"]: {finding["name"]: finding for finding in section["findings"]} for section in report["sections"]
    }


def test_the_id_of_a_click_is_found_in_a_line_of_the_worker(
    dokreg: Running, owner: Owner, lab_registry: BasicRegistry
) -> None:
    page = owner.test_draft(url=lab_registry.host, username=ALICE.username, password=ALICE.password)
    owner.ladder(page.match(r'hx-get="([^"]+)"'))
    page_tested = urlsplit(page.address).path

    def clicks() -> list[dict[str, Any]]:
        return [line for line in lines(dokreg) if line["message"] == "request" and line["path"] == page_tested]

    def tasks() -> list[dict[str, Any]]:
        ids = {line["request_id"] for line in clicks()}
        return [line for line in lines(dokreg) if line["message"] == "task" and line["request_id"] in ids]

    dokreg.wait_for(lambda: bool(tasks()), "the worker to log the task")
    (click,) = clicks()
    assert click["method"] == "POST"
    assert click["user_id"] == dokreg.column("SELECT id FROM organisations_user")[0]
    assert tasks()[0]["task"] == "registries.tasks.run_registry_test"
    assert tasks()[0]["state"] == "SUCCESS"


def test_what_nobody_asked_for_has_an_id_of_its_own(dokreg: Running) -> None:
    def sweeps() -> list[dict[str, Any]]:
        return [line for line in lines(dokreg) if line.get("task", "").endswith(".sweep_server_tests")]

    dokreg.wait_for(sweeps, "a sweep")
    assert sweeps()[0]["request_id"] == sweeps()[0]["task_id"]


def test_every_line_of_a_process_is_json_and_no_link_is_in_one(dokreg: Running, owner: Owner) -> None:
    mine = {"dokreg is ready", "Set up the first owner", "http://", "    http://"}
    spoken = [line for line in dokreg.output.splitlines() if line.strip() and not line.startswith("{")]
    assert [line for line in spoken if not any(word in line for word in mine)] == []
    paths = [line["path"] for line in lines(dokreg) if line["message"] == "request"]
    assert "/setup/********/" in paths
    assert dokreg.setup_link.rstrip("/").rpartition("/")[2] not in json.dumps(lines(dokreg))
    assert TOKEN not in dokreg.output


def test_metrics_are_for_those_who_have_the_token(dokreg: Running) -> None:
    assert [scrape(dokreg, token)[0] for token in ("", "wrong", TOKEN[:-1], TOKEN)] == [401, 401, 401, 200]


def test_metrics_are_what_the_rows_say(dokreg: Running, owner: Owner, lab_registry: BasicRegistry) -> None:
    registry_id = owner.add_registry(lab_registry.host, ALICE)
    owner.post(f"/acme/settings/registries/{registry_id}/test/")
    owner.wait_for_ladder(f"/acme/settings/registries/{registry_id}/")
    dokreg.wait_for(lambda: figures(dokreg).get(("dokreg_registries", frozenset())) == 1, "the kept figures to end")
    found = figures(dokreg)
    for state, count in dokreg.rows("SELECT state, count(*) FROM registries_registrytest GROUP BY state"):
        assert figure(found, "dokreg_runs", kind="registry_test", state=state) == count
    assert figure(found, "dokreg_workers") == figure(found, "dokreg_beats") == 1
    assert figure(found, "dokreg_queue_length", queue="ssh") >= 0
    assert figure(found, "dokreg_oldest_queued_run_seconds", kind="deployment") == 0
    assert [labels for (name, labels), value in found.items() if name == "dokreg_metrics_up" and not value] == []


def test_metrics_count_requests_by_view_and_calls_by_procedure(dokreg: Running, owner: Owner) -> None:
    before = figures(dokreg)
    for path in ("/account/", "/account/", "/nothing/at/all/", "/api/registry.all", "/api/no.such"):
        owner.get(path)
    after = figures(dokreg)

    def more(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after[key] - before.get(key, 0)

    assert more("dokreg_http_requests_total", view="account", method="GET", status="2xx") == 2
    assert more("dokreg_http_request_seconds_count", view="account") == 2
    assert more("dokreg_api_calls_total", procedure="unknown", status="4xx") == 1
    assert sum(name == "dokreg_api_calls_total" for name, _labels in after) <= 3


def test_no_name_and_no_secret_is_in_the_metrics(dokreg: Running, owner: Owner, lab_registry: BasicRegistry) -> None:
    text = scrape(dokreg)[1]
    assert [word for word in ("acme", "Acme", "alice", lab_registry.host, TOKEN) if word in text] == []


def test_the_doctor_finds_a_young_installation_well(dokreg: Running) -> None:
    found = findings(dokreg)
    states = {(section, name): f for section, named in found.items() for name, f in named.items() if f["state"] != "ok"}
    assert states == {}
    assert found["Settings"]["DOKREG_METRICS_TOKEN"]["fact"] == "set, not shown (from the environment)"
    assert found["Settings"]["DOKREG_LOG_FORMAT"]["fact"] == "json (from the environment)"
    (worker,) = found["Workers"].values()
    assert "queues default, ssh" in worker["fact"]
    assert found["Keys"]["Key 1"]["fact"].startswith("opens ")
    assert TOKEN not in json.dumps(found)


def test_the_page_says_the_same_to_staff_alone(dokreg: Running, owner: Owner) -> None:
    dokreg.change("UPDATE organisations_user SET is_staff = ?", False)
    assert owner.get("/doctor/").status == 404
    dokreg.change("UPDATE organisations_user SET is_staff = ?", True)
    page = owner.get("/doctor/")
    assert page.status == 200
    assert "All is well" in page.text
    assert "queues default, ssh" in page.text
    assert TOKEN not in page.text


def test_the_doctor_says_what_is_wrong_and_what_to_do(dokreg: Running) -> None:
    worker = dokreg.service("celery")
    worker.suspend()
    dokreg.change("UPDATE dokreg_heartbeat SET at = '2020-01-01 00:00:00'")
    try:
        report = refused(dokreg)
    finally:
        worker.resume()
        dokreg.wait_until_healthy()
    named = {section["name"]: section["findings"] for section in report["sections"]}
    assert report["state"] == "error"
    (missing,) = named["Workers"]
    assert (missing["fact"], missing["state"]) == ("none answers", "error")
    assert "python -m dokreg.start worker" in missing["fix"]
    assert named["Beat"][0]["state"] == "error"


def refused(dokreg: Running) -> Any:
    """The report of a doctor whose exit status is 1."""
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"],
        cwd=ROOT,
        env=dokreg.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    return json.loads(done.stdout)
