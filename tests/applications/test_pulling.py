"""The daemon's messages of a pull, added up."""

from typing import Any

from applications.pulling import PullProgress

ONE, TWO = "0123456789ab", "ba9876543210"


def message(status: str, layer: str = "", current: int = 0, total: int = 0) -> dict[str, Any]:
    detail = {"current": current, "total": total} if total else {}
    return {"status": status, "id": layer, "progressDetail": detail}


def test_layers_and_bytes_are_added_up() -> None:
    progress = PullProgress()
    for each in (
        {"status": "Pulling from acme/web", "id": "1"},
        message("Pulling fs layer", ONE),
        message("Already exists", TWO),
        message("Downloading", ONE, 10, 100),
    ):
        progress.take(each)
    assert progress.facts == {"layers": 2, "layers_done": 1, "bytes": 10, "bytes_total": 100}
    progress.take(message("Download complete", ONE))
    assert progress.facts == {"layers": 2, "layers_done": 1, "bytes": 100, "bytes_total": 100}
    progress.take(message("Extracting", ONE, 5, 900))
    progress.take(message("Pull complete", ONE))
    assert progress.facts == {"layers": 2, "layers_done": 2, "bytes": 100, "bytes_total": 100}


def test_what_is_said_many_times_a_second_is_not_logged() -> None:
    progress = PullProgress()
    assert progress.take(message("Downloading", ONE, 1, 2)) == ""
    assert progress.take(message("Pull complete", ONE)) == f"{ONE}: Pull complete"
    assert progress.take({"status": "Pulling from acme/web", "id": "1"}) == "1: Pulling from acme/web"


def test_the_digest_and_an_error_are_kept() -> None:
    progress = PullProgress()
    digest = f"sha256:{'a' * 64}"
    progress.take({"status": f"Digest: {digest}"})
    progress.take({"errorDetail": {"message": "no"}, "error": "no"})
    assert (progress.digest, progress.error) == (digest, "no")


def test_messages_of_another_shape_do_no_harm() -> None:
    progress = PullProgress()
    for each in (
        {},
        {"status": None},
        message("Downloading", ONE),
        {"status": "Downloading", "id": ONE, "progressDetail": [1]},
    ):
        assert isinstance(progress.take(each), str)
    assert progress.facts["bytes"] == 0
    assert len(progress.take({"status": "x" * 9999})) <= 300
