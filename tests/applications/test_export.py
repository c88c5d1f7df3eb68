"""export and import: what leaves without secrets, and what comes back with them."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from applications import saving
from applications.models import Application, Project
from dokreg.encryption import SecretUnreadable
from organisations.models import Organisation, User
from registries.models import Registry
from servers.models import Server, ServerTest, SSHKey
from tests.applications.exports import (
    ACCESS_KEY,
    PASSPHRASE,
    export,
    exported,
    import_into,
    secrets_of,
)
from tests.importing import PAIR, SECRETS, line_of, run, signs
from tests.people import allow
from tests.registries.rows import make_registry

Capture = Callable[..., Any]


# Export


def test_an_export_has_everything_but_secrets(acme: Organisation) -> None:
    text = export().out
    document = json.loads(text)
    assert [secret for secret in (*SECRETS, ACCESS_KEY, "PRIVATE KEY") if secret in text] == []
    assert (document["product"], document["format"]) == ("dokreg", 1)
    assert document["ssh_keys"] == [{"name": "deploy", "description": "", "public_key": PAIR.public}]
    (server,) = document["servers"]
    assert server.pop("host_key_fingerprint").startswith("SHA256:")
    address = {"host": "2001:db8::5", "port": 2222, "user": "deploy", "ssh_key": "deploy"}
    assert server == {"name": "web-1", "description": "In the cellar"} | address
    assert [registry["name"] for registry in document["registries"]] == ["ECR", "GHCR / of Acme"]
    assert document["registries"][0]["account"]["access_key_id"] == "AKIAIOSFODNN7EXAMPLE"
    empty, shop = document["projects"]
    assert (empty["name"], empty["description"], empty["applications"]) == ("Empty", "Nothing in it", [])
    proxy, web = shop["applications"]
    assert (proxy["image"], proxy["registry"]) == ("nginx:1", None)
    assert (web["ports"], web["volumes"]) == (["127.0.0.1:5353:53/udp"], ["files:/files:ro"])
    assert (web["command"], web["cpus"], web["memory_mb"]) == ("serve 'two words'", "0.50", 256)
    assert web["environment_names"] == ["A", "TOKEN"]
    assert "secrets" not in document


def test_the_same_rows_make_the_same_text(acme: Organisation) -> None:
    text = export().out
    assert text == export().out
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_no_other_organisation_is_in_it(acme: Organisation, beta: Organisation, alice: User) -> None:
    make_registry(beta, alice, "Theirs")
    assert "Theirs" not in export().out


def test_a_file_is_readable_for_its_owner_alone(acme: Organisation, passphrase: object, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = exported(tmp_path / "acme.json")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [secret for secret in (*SECRETS, ACCESS_KEY, PASSPHRASE) if secret in path.read_text()] == []
    assert {entry.name for entry in tmp_path.iterdir()} == {"acme.json", "passphrase"}


def test_no_file_is_replaced_without_force(acme: Organisation, tmp_path: Path) -> None:
    path = tmp_path / "acme.json"
    path.write_text("what was there")
    path.chmod(0o644)
    assert "is there already" in export(str(path)).error
    assert path.read_text() == "what was there"
    assert export(str(path), "--force").error == ""
    assert json.loads(path.read_text())["format"] == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_cannot_be_written_is_named(acme: Organisation) -> None:
    assert "cannot be written: No such file or directory." in export("/nowhere/at/all.json").error


def test_an_unknown_organisation_is_named(alice: User) -> None:
    assert run("export", "--organisation", "nowhere").error == "There is no organisation “nowhere”."


def test_a_secret_that_cannot_be_opened_is_an_error(
    acme: Organisation, passphrase: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_registry: Registry) -> str:
        raise SecretUnreadable("registries.registry.password:1: none of the keys opens this value.")

    monkeypatch.setattr(Registry, "open_password", fail)
    said = export("--with-secrets", str(tmp_path / "acme.json"))
    assert "A secret cannot be opened, and nothing was exported." in said.error
    assert not (tmp_path / "acme.json").exists()


# There and back


def test_what_is_exported_with_secrets_comes_back_whole(
    acme: Organisation,
    beta: Organisation,
    passphrase: object,
    tmp_path: Path,
    django_capture_on_commit_callbacks: Capture,
) -> None:
    path = exported(tmp_path / "acme.json")
    dry = import_into("beta", path).out
    assert not Registry.objects.of(beta).exists()
    said = import_into("beta", path, "--apply").out
    assert signs(said) == signs(dry)
    assert signs(said)["-"] == signs(said)["="] == set()
    assert secrets_of(beta) == secrets_of(acme)
    again = json.loads(run("export", "--organisation", "beta").out)
    for server in again["servers"]:
        server["host_key_fingerprint"] = json.loads(path.read_text())["servers"][0]["host_key_fingerprint"]
    theirs = json.loads(export().out)
    assert {**again, "organisation": None} == {**theirs, "organisation": None}
    assert not ServerTest.objects.exists()
    assert Server.objects.of(beta).get().host_key == ""
    assert "Its host key was SHA256:" in line_of(said, "web-1")
    with django_capture_on_commit_callbacks() as queued:
        assert signs(import_into("beta", path, "--apply").out)["+"] == set()
    assert queued == []


def test_the_secrets_are_the_marked_ones(
    acme: Organisation, beta: Organisation, passphrase: object, tmp_path: Path
) -> None:
    import_into("beta", exported(tmp_path / "acme.json"), "--apply")
    assert secrets_of(beta) == {
        "deploy": PAIR.public,
        "GHCR / of Acme": "marked-registry-password",
        "ECR": ACCESS_KEY,
        "web": "TOKEN=marked-environment-value\nA='b # c'\n",
    }


def test_a_failure_in_the_middle_leaves_nothing(
    acme: Organisation, beta: Organisation, passphrase: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = exported(tmp_path / "acme.json")

    def fail(**_: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(saving, "save_application", fail)
    with pytest.raises(RuntimeError, match="the disk is full"):
        import_into("beta", path, "--apply")
    assert not any(model.objects.of(beta).exists() for model in (SSHKey, Server, Registry, Project))


def test_without_secrets_what_needs_one_is_left_out(acme: Organisation, beta: Organisation, tmp_path: Path) -> None:
    path = tmp_path / "acme.json"
    export(str(path))
    said = import_into("beta", path, "--apply").out
    assert "Its secret is not in the file." in line_of(said, "deploy")
    assert "Its SSH key is left out." in line_of(said, "web-1")
    assert "Its secret is not in the file." in line_of(said, "ECR")
    assert signs(said)["+"] == {("project", "Empty"), ("project", "Shop")}


def test_without_secrets_what_is_there_already_does(acme: Organisation, tmp_path: Path) -> None:
    path = tmp_path / "acme.json"
    export(str(path))
    Application.objects.all().delete()
    said = import_into("acme", path, "--apply").out
    assert signs(said)["+"] == {("application", "Shop / proxy"), ("application", "Shop / web")}
    assert "Its environment is not in the file. Its variables are A, TOKEN." in line_of(said, "Shop / web")


def test_a_member_without_the_permissions_may_not(
    acme: Organisation, bob: User, passphrase: object, tmp_path: Path
) -> None:
    allow(bob, "registries.add_registry")
    said = import_into("acme", exported(tmp_path / "acme.json"), "--apply", by="bob")
    assert "bob lacks these permissions in acme" in said.error
