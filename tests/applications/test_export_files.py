"""The file of an export: its passphrase, and what becomes of one that somebody has changed."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from applications.exporting import sealing
from organisations.models import Organisation, User
from servers.models import SSHKey
from tests.applications.exports import (
    PASSPHRASE,
    Change,
    GivePassphrase,
    export,
    exported,
    import_into,
    tampered,
)
from tests.importing import run

# Passphrases


@pytest.mark.parametrize("wrong", ["another passphrase", PASSPHRASE + "x", "x"])
def test_a_wrong_passphrase_is_named_and_changes_nothing(
    acme: Organisation, beta: Organisation, passphrase: GivePassphrase, tmp_path: Path, wrong: str
) -> None:
    path = exported(tmp_path / "acme.json")
    passphrase(wrong)
    assert import_into("beta", path, "--apply").error == "The passphrase is wrong. Nothing is imported."
    assert not SSHKey.objects.of(beta).exists()


def test_a_short_passphrase_is_refused(acme: Organisation, passphrase: GivePassphrase, tmp_path: Path) -> None:
    passphrase("x" * 11)
    assert "at least 12 characters" in export("--with-secrets", str(tmp_path / "acme.json")).error
    assert not (tmp_path / "acme.json").exists()


def test_a_passphrase_may_come_from_standard_input(
    acme: Organisation, beta: Organisation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", open_text(f"{PASSPHRASE}\n", tmp_path))
    exported(tmp_path / "acme.json")
    monkeypatch.setattr("sys.stdin", open_text(f"{PASSPHRASE}\n", tmp_path))
    assert import_into("beta", tmp_path / "acme.json").error == ""


def test_without_any_passphrase_nothing_is_exported(
    acme: Organisation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", open_text("", tmp_path))
    assert "There is no passphrase" in export("--with-secrets", str(tmp_path / "acme.json")).error
    monkeypatch.setenv("DOKREG_EXPORT_PASSPHRASE_FILE", "/nowhere")
    assert "/nowhere cannot be read" in export("--with-secrets", str(tmp_path / "acme.json")).error


def open_text(text: str, folder: Path) -> Any:
    (folder / "stdin").write_text(text)
    return (folder / "stdin").open()


ASKS = "from applications.exporting import passphrases; print('length', len(passphrases.{how}()))"


@pytest.mark.parametrize(
    ("how", "typed", "end"),
    [
        ("new", [PASSPHRASE, PASSPHRASE], f"length {len(PASSPHRASE)}"),
        ("new", [PASSPHRASE, "something else entirely"], "The two are not the same."),
        ("known", [PASSPHRASE], f"length {len(PASSPHRASE)}"),
    ],
    ids=["twice", "differing", "once"],
)
def test_on_a_terminal_it_is_asked_for_and_not_shown(how: str, typed: list[str], end: str) -> None:
    """On a real terminal, whose other end the test holds."""
    held, given = pty.openpty()
    command, shown = [sys.executable, "-c", ASKS.format(how=how)], b""
    with os.fdopen(held, "r+b", buffering=0) as screen:
        process = subprocess.Popen(command, stdin=given, stdout=given, stderr=given, start_new_session=True)
        os.close(given)
        for line in typed:
            shown += read_until(screen, b": ")
            screen.write(line.encode() + b"\n")
        shown += read_until(screen, b"")
    process.wait(timeout=30)
    assert end in shown.decode()
    assert not any(line.encode() in shown for line in typed)


def read_until(screen: Any, prompt: bytes) -> bytes:
    """What is shown until a prompt, or the end, which Linux tells by an error."""
    shown = b""
    while not (prompt and shown.endswith(prompt)):
        try:
            part = screen.read(1)
        except OSError:
            return shown
        if not part:
            return shown
        shown += part
    return shown


def test_a_passphrase_is_no_argument() -> None:
    for command in ("export", "import"):
        said = run(command, "file", "--organisation", "acme", "--by", "alice", "--passphrase=x")
        assert "unrecognized arguments" in said.error


# Files that somebody has changed


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["registries"][1].update(url="evil.example.com"),
        lambda document: document["servers"][0].update(host="10.6.6.6"),
        lambda document: document["projects"][1]["applications"][1].update(image="evil:1"),
        lambda document: document["secrets"]["sealed"].update(
            {"registries/ECR/password": document["secrets"]["sealed"]["registries/GHCR %2F of Acme/password"]}
        ),
        lambda document: document["secrets"]["sealed"].update({"registries/ECR/password": "AAAA" * 20}),
    ],
    ids=["url", "host", "image", "swapped", "another"],
)
def test_a_changed_file_is_refused_as_a_whole(
    acme: Organisation,
    beta: Organisation,
    passphrase: object,
    tmp_path: Path,
    change: Change,
) -> None:
    path = tampered(exported(tmp_path / "acme.json"), change)
    assert "The file is not as it was exported" in import_into("beta", path, "--apply").error
    assert not SSHKey.objects.of(beta).exists()


def test_how_it_is_laid_out_makes_no_difference(
    acme: Organisation, beta: Organisation, passphrase: object, tmp_path: Path
) -> None:
    path = tampered(exported(tmp_path / "acme.json"), lambda document: document)
    assert import_into("beta", path).error == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda section: section["key"].update(n=2**30),
        lambda section: section["key"].update(n=3),
        lambda section: section["key"].update(n=True),
        lambda section: section["key"].update(r=10**6),
        lambda section: section["key"].update(name="md5"),
        lambda section: section["key"].update(salt="not base64"),
        lambda section: section.update(cipher="none"),
        lambda section: section.update(check=5),
        lambda section: section.update(sealed=[]),
        lambda section: section.pop("key"),
    ],
    ids=range(10),
)
def test_what_is_said_of_the_encryption_is_not_believed_blindly(
    acme: Organisation,
    beta: Organisation,
    passphrase: object,
    tmp_path: Path,
    change: Change,
) -> None:
    path = tampered(exported(tmp_path / "acme.json"), lambda document: change(document["secrets"]))
    assert "What the file says of its encryption cannot be used." in import_into("beta", path, "--apply").error


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "This is no export of dokreg, or it is damaged."),
        ("[]", "This is no export of dokreg, or it is damaged."),
        ('{"product": "another", "format": 1}', "This is no export of dokreg, or it is damaged."),
        ('{"product": "dokreg", "format": 2}', "made by a later version of dokreg"),
        ('{"product": "dokreg", "format": "1"}', "This is no export of dokreg, or it is damaged."),
        ('{"product": "dokreg", "format": 1}', "This is no export of dokreg, or it is damaged."),
        ('{"product": "dokreg", "format": 1, "secrets": 5}', "This is no export of dokreg, or it is damaged."),
    ],
    ids=range(7),
)
def test_what_is_no_export_is_named_as_that(alice: User, tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "acme.json"
    path.write_text(text)
    assert sentence in import_into("acme", path, "--apply").error


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("registries", "url", 5),
        ("registries", "account", "x"),
        ("registries", "secret_ends_on", "tomorrow"),
        ("servers", "port", "ssh"),
        ("servers", "host", None),
        ("ssh_keys", "name", ["x"]),
        ("projects", "applications", 7),
        ("projects", "applications", [{}]),
    ],
)
def test_an_export_of_another_shape_is_named_as_that(
    acme: Organisation, beta: Organisation, tmp_path: Path, where: str, name: str, value: object
) -> None:
    export(str(tmp_path / "acme.json"))
    path = tampered(tmp_path / "acme.json", lambda document: document[where][0].update({name: value}))
    said = import_into("beta", path, "--apply")
    assert ("This is no export of dokreg, or it is damaged." in said.error) == (value is not None)
    assert said.error or "web-1: left out." in said.out


def test_no_secret_is_sealed_alike_twice() -> None:
    body = {"a": 1}
    one, two = (sealing.seal(body, {"x": "secret"}, passphrase=PASSPHRASE) for _ in range(2))
    assert one["sealed"]["x"] != two["sealed"]["x"]
    assert one["key"]["salt"] != two["key"]["salt"]
    assert sealing.unseal(body, one, passphrase=PASSPHRASE) == {"x": "secret"}


def test_a_file_that_is_not_there_is_named(alice: User) -> None:
    assert "/nowhere cannot be read" in import_into("acme", Path("/nowhere")).error
