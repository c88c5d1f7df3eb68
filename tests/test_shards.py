from tests.shards import ROOT, Job, Outcome, groups

JOB = Job("SQLite", ("tests/api", "tests/browser"))


def test_what_failed_is_named_without_the_rest_of_the_log() -> None:
    text = "...F\nE   assert 1 == 2\nFAILED tests/api/test_a.py::test_b - assert 1 == 2\n1 failed, 3 passed"
    assert Outcome(JOB, 1, text).failures.splitlines() == [
        "Failed with SQLite: tests/api tests/browser (exit status 1):",
        "FAILED tests/api/test_a.py::test_b - assert 1 == 2",
    ]
    assert Outcome(JOB, 0, text).failures == ""


def test_every_file_of_tests_is_run_once() -> None:
    files = [str(file) for group in groups() for path in group for file in _files(path)]
    assert sorted(files) == sorted(str(file) for file in (ROOT / "tests").rglob("test_*.py"))


def _files(path: str) -> list[object]:
    place = ROOT / path
    return list(place.rglob("test_*.py")) if place.is_dir() else [place]
