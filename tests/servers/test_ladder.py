"""The ladder and the reading of a script's stages."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers import config_file, credential_helpers, docker, docker_config, verdicts
from servers.ladder import MAX_WORDS, Ladder
from servers.stages import Stage, StageReader

STEPS = (("ssh", "SSH"), ("cli", "Docker CLI"), ("login", "Login"))


def ladder() -> Ladder:
    return Ladder(STEPS, save=lambda _rungs: None)


def states(made: Ladder) -> list[str]:
    return [rung["state"] for rung in made.rungs]


def test_what_stands_above_a_failure_is_not_reached() -> None:
    made = ladder()
    made.start("ssh")
    made.failed("ssh", verdicts.ssh_silent(address="h:22"))
    assert states(made) == ["failed", "skipped", "skipped"]
    assert made.is_over


def test_the_next_rung_is_begun_in_the_same_breath() -> None:
    saved: list[str] = []
    made = Ladder(STEPS, save=lambda rungs: saved.append(" ".join(rung["state"] for rung in rungs)))
    made.start("ssh")
    for name, _label in STEPS:
        made.passed(name, goes_on=True)
    assert saved == [
        "running waiting waiting",
        "passed running waiting",
        "passed passed running",
        "passed passed passed",
    ]


def test_a_rung_below_stays_green() -> None:
    made = ladder()
    made.passed("ssh")
    made.failed("cli", verdicts.deadline_passed())
    assert states(made) == ["passed", "failed", "skipped"]


def test_a_reservation_is_no_failure() -> None:
    made = ladder()
    made.warned("login", verdicts.disk_low(server="s", free="1 GiB"))
    assert made.verdict is not None
    assert not made.has_failed


def test_words_are_scrubbed_and_bounded() -> None:
    made = ladder()
    made.hide("marked-secret")
    made.failed("login", verdicts.deadline_passed(), words="x" * (MAX_WORDS - 4) + "marked-secret" + "y" * 99)
    words = made.rungs[2]["words"]
    assert len(words) == MAX_WORDS
    assert "mark" not in words


def test_words_that_no_database_takes_are_cleaned() -> None:
    made = ladder()
    made.hide("marked-secret")
    made.hide("other\x07 secret")
    foreign = "a\0b\ud800c\x1b[1m\td\r\ne marked-\0secret"
    verdict = dataclasses.replace(verdicts.deadline_passed(), cause=foreign, fix="other\x07 secret\0")
    made.passed("ssh", fact=foreign)
    made.failed("login", verdict, words=foreign)
    cleaned = "ab?c[1m\td\ne ********"
    assert (made.rungs[0]["fact"], made.rungs[2]["words"], made.rungs[2]["cause"]) == (cleaned, cleaned, cleaned)
    assert made.verdict is not None
    assert (made.verdict.cause, made.verdict.fix) == (cleaned, "********")


def test_the_sentences_have_no_secret_either_whoever_is_quoted_there() -> None:
    made = ladder()
    made.hide("marked-secret")
    made.hide("stopped")  # as short as a word, and one of ours
    verdict = dataclasses.replace(verdicts.deadline_passed(), cause="It was stopped: marked-secret.")
    made.warned("ssh", verdict)
    made.failed("login", verdict)
    assert [rung["cause"] for rung in made.rungs] == ["It was stopped: ********.", "", "It was stopped: ********."]
    assert made.verdict is not None
    assert made.verdict.cause == "It was stopped: ********."


@given(st.lists(st.integers(1, 50), max_size=40))
def test_stages_are_read_however_the_output_is_cut(cuts: list[int]) -> None:
    output = b"first\nlines\n\nMARK cli 0\nsecond\n\nMARK daemon 1\n"
    stages: list[Stage] = []
    reader = StageReader("MARK", stages.append)
    start = 0
    for cut in cuts:
        reader.feed(output[start : start + cut])
        start += cut
    reader.feed(output[start:])
    assert [(stage.name, stage.status, stage.output) for stage in stages] == [
        ("cli", 0, "first\nlines\n"),
        ("daemon", 1, "second\n"),
    ]


def test_the_scripts_survive_every_login_shell() -> None:
    of_configs = (docker_config.KEEP_SCRIPT, config_file.SEE_SCRIPT, config_file.WRITE_SCRIPT)
    of_docker = (docker.PROBE_SCRIPT, docker.LOGIN_SCRIPT, docker.TIDY_SCRIPT)
    for script in (*of_docker, *of_configs, credential_helpers.HELPER_SCRIPT):
        assert not set(script) & set("'!\n")


@pytest.mark.parametrize("value", ["two\nlines", "nul\0", "esc\x1b[0m"])
def test_a_value_of_several_lines_never_reaches_the_script(value: str) -> None:
    with pytest.raises(ValueError, match="one printable line"):
        docker.login(
            docker.OwnHost(), run_id="r", registry="h", username=value, password="p", with_trial=False,
            on_stage=lambda _stage: None,
        )  # fmt: skip


def test_versions_are_read_from_dockers_answer() -> None:
    answer = 'WARNING: x\ncontext=default {"Client":{"Version":"28.2.2"},"Server":{"Version":"20.10.24"}}\n'
    assert docker.versions(answer) == ("28.2.2", "20.10.24")
    assert docker.without_answer(answer) == "WARNING: x"
