"""import_docker_config: a registry of every login in a Docker config.json."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from organisations.models import AuditEntry, Organisation, User
from registries import pasting, saving
from registries.models import Registry, RegistryTest
from tests.importing import Said, line_of, run, signs
from tests.people import allow

SECRET, TOKEN = "marked-registry-password", "marked-token-of-digitalocean"
ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
Capture = Callable[..., Any]


def login(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


CONFIG: dict[str, Any] = {
    "auths": {
        "ghcr.io": login("acme-bot", SECRET),
        "https://index.docker.io/v1/": login("acme", SECRET),
        "https://index.docker.io/v1/access-token": login("acme", "of Docker Desktop"),
        "registry.example.com:5000": login("deployer", f"{SECRET}:with:colons"),
        "registry.digitalocean.com": login(TOKEN, TOKEN),
        "quay.io": {},
        "acme.azurecr.io": {"auth": "MDAwMA==", "identitytoken": SECRET},
        "registry.example.com:0": login("deployer", SECRET),
        "nowhere.example.com": login("", SECRET),
    },
    "credHelpers": {ECR: "ecr-login"},
}
MADE = {
    ("registry", "ghcr.io (acme-bot)"),
    ("registry", "docker.io (acme)"),
    ("registry", "registry.example.com:5000 (deployer)"),
    ("registry", "registry.digitalocean.com"),
}


@pytest.fixture
def file(tmp_path: Path, alice: User) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    return path


def import_from(file: Path | str, *arguments: str, by: str = "alice") -> Said:
    return run("import_docker_config", str(file), "--organisation", "acme", "--by", by, *arguments)


def test_a_dry_run_says_what_it_would_make_and_makes_nothing(file: Path) -> None:
    said = import_from(file).out
    assert signs(said)["+"] == MADE
    assert "To be made: 4 registries." in said
    assert "This was a dry run" in said
    assert not Registry.objects.exists()
    assert not AuditEntry.objects.filter(object_repr__contains="ghcr.io").exists()


def test_apply_makes_a_registry_of_every_login(
    file: Path, organisation: Organisation, django_capture_on_commit_callbacks: Capture
) -> None:
    dry = import_from(file).out
    with django_capture_on_commit_callbacks() as queued:
        said = import_from(file, "--apply").out
    assert signs(said) == signs(dry)
    found = {row.name: (row.kind, row.url, row.username, row.open_password()) for row in Registry.objects.all()}
    assert found == {
        "ghcr.io (acme-bot)": ("ghcr", "ghcr.io", "acme-bot", SECRET),
        "docker.io (acme)": ("docker_hub", "docker.io", "acme", SECRET),
        "registry.example.com:5000 (deployer)": (
            "generic",
            "registry.example.com:5000",
            "deployer",
            f"{SECRET}:with:colons",
        ),
        "registry.digitalocean.com": ("digitalocean", "registry.digitalocean.com", "", TOKEN),
    }
    assert {row.organisation for row in Registry.objects.all()} == {organisation}
    assert queued == []
    assert not RegistryTest.objects.exists()
    assert "saved untested" in said


def test_a_second_run_makes_nothing_twice(file: Path) -> None:
    import_from(file, "--apply")
    said = import_from(file, "--apply").out
    assert signs(said)["+"] == set()
    assert signs(said)["="] == MADE


def test_it_counts_as_done_by_the_member(file: Path, alice: User) -> None:
    before = set(AuditEntry.objects.values_list("pk", flat=True))
    import_from(file, "--apply")
    assert {entry.actor for entry in AuditEntry.objects.exclude(pk__in=before)} == {alice}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("quay.io", "There is no password in it."),
        (ECR, "Its secret is kept by the credential helper ecr-login of that machine."),
        ("acme.azurecr.io (0000)", "It holds an identity token of one machine's browser login."),
        ("An address that cannot be used", "The registry's address in it cannot be used as it is."),
        ("nowhere.example.com", "The username is missing."),
    ],
)
def test_what_is_left_out_says_why(file: Path, name: str, why: str) -> None:
    line = line_of(import_from(file).out, name)
    assert line.startswith("- ")
    assert why in line
    assert "below" not in line


def test_a_store_for_everything_is_named(tmp_path: Path, alice: User) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {"ghcr.io": {}}, "credsStore": "osxkeychain"}))
    said = import_from(file).out
    assert "Its secret is kept by the credential helper osxkeychain of that machine." in line_of(said, "ghcr.io")


def test_every_note_of_pasting_can_do_without_the_form() -> None:
    notes = [text for name, text in vars(pasting).items() if name.isupper() and str(text).endswith("below.")]
    assert len(notes) > 5
    for note in notes:
        assert "below" not in pasting.cause_of(note)
        assert pasting.cause_of(f"First. {note} Last.").startswith("First. ")


def test_doubts_are_said(tmp_path: Path, alice: User) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {"https://index.docker.io/v1/": login("bot@acme.example", SECRET)}}))
    assert "Docker Hub wants the Docker ID here." in line_of(import_from(file).out, "docker.io (bot@acme.example)")


def test_a_failure_in_the_middle_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from registries.importing import saving as importing

    def fail_at_the_second(**arguments: Any) -> None:
        if Registry.objects.exists():
            raise RuntimeError("the disk is full")
        saving.save_registry(**arguments)

    monkeypatch.setattr(importing, "save_registry", fail_at_the_second)
    with pytest.raises(RuntimeError, match="the disk is full"):
        import_from(file, "--apply")
    assert not Registry.objects.exists()


def test_it_reads_standard_input(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert signs(import_from("-").out)["+"] == MADE


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{}", "There is no registry in this JSON."),
        (b'{"auths": {', "This looks like JSON, but it is not complete."),
        (b"", "dokreg found no registry in this."),
        (b"\xff\xfe", "is no text."),
        (b'{"auths": {}}' + b" " * 300_000, "This is longer than 256 KiB."),
    ],
    ids=["empty", "cut off", "nothing", "bytes", "long"],
)
def test_what_is_no_config_is_named_as_that(file: Path, content: bytes, sentence: str) -> None:
    file.write_bytes(content)
    assert sentence in import_from(file).error


def test_a_file_that_is_not_there_is_named(alice: User) -> None:
    assert import_from("/nowhere").error == "/nowhere cannot be read: No such file or directory."


def test_a_member_without_the_permission_may_not(file: Path, bob: User) -> None:
    allow(bob, "registries.view_registry")
    assert (
        "bob lacks these permissions in acme: registries.add_registry." in import_from(file, "--apply", by="bob").error
    )
    assert not Registry.objects.exists()
