"""The life of a run: one worker gets it, a dead worker's run is lost and nothing of it stays."""

import datetime as dt
import subprocess
from typing import Any

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from organisations.models import Organisation, User
from registries.models import RegistryTest
from servers import processes, runs
from servers.ladder import new_rung
from servers.verdicts import worker_lost

pytestmark = pytest.mark.django_db


class SpyTask:
    """Stands where the Celery task stands; notes what was sent, or refuses as a broker that is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.sent: list[str] = []
        self.away = away

    def delay(self, run_id: str) -> None:
        if self.away:
            raise OperationalError
        self.sent.append(run_id)


def make(**values: Any) -> RegistryTest:
    organisation = Organisation.objects.get_or_create(name="Acme", slug="acme")[0]
    return RegistryTest.objects.create(
        **{"organisation": organisation, "kind": "generic", "url": "r.example", "username": "u"}
        | {"draft_password": "marked", "rungs": [new_rung("ssh", "SSH"), new_rung("cli", "Docker CLI")]}
        | values
    )


def ago(seconds: float) -> dt.datetime:
    return timezone.now() - dt.timedelta(seconds=seconds)


def sweep(task: Any) -> list[RegistryTest]:
    return runs.sweep(RegistryTest, task, draft_password=None)


def test_one_of_two_workers_gets_it() -> None:
    test = make()
    assert runs.claim(RegistryTest, test.pk) is not None
    assert runs.claim(RegistryTest, test.pk) is None


def test_a_run_that_is_gone_is_left_quietly() -> None:
    assert runs.claim(RegistryTest, "gone") is None


def test_a_finished_run_is_not_run_again() -> None:
    test = make()
    claimed = runs.claim(RegistryTest, test.pk)
    assert claimed is not None
    assert runs.finish(claimed, None, failed=False)
    assert runs.claim(RegistryTest, test.pk) is None


def test_a_dead_workers_run_is_lost_and_its_secret_wiped() -> None:
    test = make()
    runs.claim(RegistryTest, test.pk)
    RegistryTest.objects.update(lease_until=ago(1))
    assert [row.pk for row in sweep(SpyTask())] == [test.pk]
    test.refresh_from_db()
    assert (test.state, test.verdict, test.draft_password) == ("lost", "worker_lost", None)
    assert [rung["state"] for rung in test.rungs] == ["failed", "skipped"]
    assert test.rungs[0]["cause"] == worker_lost().cause


def test_a_worker_of_this_machine_that_is_gone_is_noticed_at_once() -> None:
    test = make()
    runs.claim(RegistryTest, test.pk)
    ended = subprocess.Popen(["true"])
    ended.wait()
    RegistryTest.objects.update(worker=f"{processes.machine()}:{ended.pid}")
    assert [row.pk for row in sweep(SpyTask())] == [test.pk]


def test_a_worker_that_comes_back_late_changes_nothing() -> None:
    test = make()
    late = runs.claim(RegistryTest, test.pk)
    assert late is not None
    RegistryTest.objects.update(lease_until=ago(1))
    sweep(SpyTask())
    assert not runs.finish(late, None, failed=False)
    test.refresh_from_db()
    assert test.state == "lost"


def test_a_living_run_is_left_alone() -> None:
    runs.claim(RegistryTest, make().pk)
    assert sweep(SpyTask()) == []


def test_what_is_not_sent_yet_waits_for_its_turn() -> None:
    test = make(created_at=ago(3600), sent_at=None)
    task = SpyTask()
    assert sweep(task) == []
    test.refresh_from_db()
    assert (test.state, task.sent) == ("queued", [])


@pytest.mark.parametrize(("every", "written"), [(0.0, "passed"), (60.0, "waiting")])
def test_rungs_are_written_as_often_as_somebody_looks(every: float, written: str) -> None:
    claimed = runs.claim(RegistryTest, make().pk)
    assert claimed is not None
    save = runs.saver(claimed, every=every)
    rungs = [new_rung("ssh", "SSH") | {"state": "passed"}, new_rung("cli", "Docker CLI")]
    save(rungs)
    assert states() == [written, "waiting"]
    rungs[1]["state"] = "passed"
    save(rungs)
    assert states() == [written, "waiting"]  # the end comes at once, and writes them
    runs.finish(claimed, None, failed=False)
    assert states() == ["passed", "passed"]


def states() -> list[str]:
    return [rung["state"] for rung in RegistryTest.objects.get().rungs]


def test_what_nobody_took_is_sent_again_once_in_a_while() -> None:
    test = make(sent_at=ago(30))
    task = SpyTask()
    sweep(task)
    sweep(task)
    assert task.sent == [test.pk]


def test_what_nobody_takes_for_long_is_lost() -> None:
    test = make(created_at=ago(3600), sent_at=ago(3600))
    assert sweep(SpyTask()) == []
    test.refresh_from_db()
    assert (test.state, test.verdict, test.draft_password) == ("lost", "no_worker", None)


def test_a_broker_that_is_away_loses_nothing(django_capture_on_commit_callbacks: Any) -> None:
    test = make()
    with django_capture_on_commit_callbacks(execute=True):
        runs.send(SpyTask(away=True), test)  # type: ignore[arg-type]
    test.refresh_from_db()
    assert test.state == "queued"


def test_a_deleted_person_leaves_the_history() -> None:
    test = make(asked_by=User.objects.create(username="bob"))
    User.objects.all().delete()
    test.refresh_from_db()
    assert test.asked_by is None
