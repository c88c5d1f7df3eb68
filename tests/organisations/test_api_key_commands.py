"""The commands of API keys."""

import datetime as dt
import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from organisations import api_keys
from organisations.api_key_models import ApiKey
from organisations.models import AuditEntry, User
from tests.people import allow, membership_of

CREATE = ["create_api_key", "--user", "alice", "--organisation", "acme", "--name", "CI"]


def run(*arguments: str) -> tuple[str, str]:
    """What a command prints, and what it says beside that."""
    output, remarks = StringIO(), StringIO()
    call_command(*arguments, stdout=output, stderr=remarks)
    return output.getvalue(), remarks.getvalue()


# Making one


def test_the_key_stands_alone_on_stdout(alice: User) -> None:
    output, remarks = run(*CREATE)
    assert re.fullmatch("[a-zA-Z]{64}\n", output)
    found = api_keys.find(output.strip())
    assert found is not None
    assert (found.name, str(found.membership), found.expires_at, found.permissions) == ("CI", "alice", None, None)
    assert output.strip() not in remarks
    assert "A key of alice in Acme, until it is revoked." in remarks


def test_its_days_and_its_permissions(alice: User) -> None:
    _output, remarks = run(
        *CREATE, "--days", "30", "--permission", "registries.view_registry", "servers.view_server",
        "--permission", "servers.add_server",
    )  # fmt: skip
    key = ApiKey.objects.get()
    assert key.permissions == ["registries.view_registry", "servers.add_server", "servers.view_server"]
    assert key.expires_at is not None
    assert abs(key.expires_at - timezone.now() - dt.timedelta(days=30)) < dt.timedelta(minutes=1)
    assert f"until {key.expires_at:%-d %b %Y}" in remarks


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--user", "nobody"], "There is no member “nobody” of an organisation “acme”"),
        (["--user", "charlie"], "There is no member “charlie” of an organisation “acme”"),
        (["--organisation", "elsewhere"], "There is no member “alice” of an organisation “elsewhere”"),
        (["--name", " "], "name: This field cannot be blank"),
        (["--name", "x" * 101], "name: .*100 characters"),
        (["--days", "0"], "“0” is no number of days from 1 to 3650"),
        (["--days", "-3"], "“-3” is no number of days"),
        (["--days", "9999999999"], "is no number of days"),
        (["--days", "soon"], "“soon” is no number of days"),
        (
            ["--permission", "registries.see"],
            "No such permission.*registries.see. There are: .*registries.view_registry",
        ),
    ],
)
def test_what_is_wrong_is_said(alice: User, charlie: User, arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run(*CREATE, *arguments)
    assert not ApiKey.objects.exists()


def test_a_key_is_limited_to_what_its_member_may_do(alice: User, bob: User) -> None:
    allow(bob, "registries.view_registry")
    with pytest.raises(CommandError, match="You may not: Servers: Add"):
        run(*CREATE, "--user", "bob", "--permission", "servers.add_server")


# Listing them


def test_the_list_shows_how_they_begin_and_nothing_more(alice: User, bob: User, charlie: User) -> None:
    key, text = api_keys.make(membership=membership_of(alice), name="CI")
    other, _text = api_keys.make(membership=membership_of(charlie), name="Terraform")
    api_keys.note_use(key, address="192.0.2.17")
    api_keys.revoke(other)
    output, _remarks = run("list_api_keys")
    head, *lines = output.splitlines()
    assert head.split() == ["START", "NAME", "USER", "ORGANISATION", "STATE", "LAST", "USED", "ID"]
    used = f"{timezone.now():%Y-%m-%d}"
    assert lines[0].split()[:6] == [key.start, "CI", "alice", "acme", "active", used]
    assert f"from 192.0.2.17  {key.pk}" in lines[0]
    assert lines[1].split() == [other.start, "Terraform", "charlie", "elsewhere", "revoked", "never", other.pk]
    for secret in (text, text[:7], key.key_hash, other.key_hash):
        assert secret not in output


def test_the_list_of_one_organisation(alice: User, charlie: User) -> None:
    for user in (alice, charlie):
        api_keys.make(membership=membership_of(user), name=f"of {user}")
    output, _remarks = run("list_api_keys", "--organisation", "acme")
    assert "of alice" in output
    assert "of charlie" not in output
    with pytest.raises(CommandError, match="There is no organisation “beta”"):
        run("list_api_keys", "--organisation", "beta")


def test_a_name_does_not_steer_the_terminal(alice: User) -> None:
    api_keys.make(membership=membership_of(alice), name="CI\x1b[2J\nfaked")
    output, _remarks = run("list_api_keys")
    assert "CI?[2J?faked" in output
    assert len(output.splitlines()) == 2


# Revoking one


@pytest.mark.parametrize("by", ["start", "pk"])
def test_a_key_is_revoked_by_its_start_or_its_id(alice: User, by: str) -> None:
    key, _text = api_keys.make(membership=membership_of(alice), name="CI")
    for sentence in ("is revoked.", "was revoked before."):
        output, _remarks = run("revoke_api_key", getattr(key, by), "--organisation", "acme")
        assert output == f"{key.start}… of alice {sentence}\n"
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert AuditEntry.objects.filter(content_type__model="apikey", action=AuditEntry.Action.UPDATE).count() == 1


def test_several_that_begin_so_are_told_apart(alice: User, bob: User) -> None:
    keys = [api_keys.make(membership=membership_of(user), name="CI")[0] for user in (alice, bob)]
    ApiKey.objects.update(start="AbCdEf")
    with pytest.raises(CommandError) as refused:
        run("revoke_api_key", "AbCdEf", "--organisation", "acme")
    for key in keys:
        assert f"{key.pk}  of {key.membership}, active" in str(refused.value)
    assert ApiKey.objects.active().count() == 2


def test_only_the_keys_of_the_organisation_are_found(alice: User, charlie: User) -> None:
    key, _text = api_keys.make(membership=membership_of(alice), name="CI")
    for start in (key.start, key.pk):
        with pytest.raises(CommandError, match="No key has this id"):
            run("revoke_api_key", start, "--organisation", "elsewhere")
    with pytest.raises(CommandError, match="There is no organisation “beta”"):
        run("revoke_api_key", key.start, "--organisation", "beta")


def test_a_whole_key_is_not_repeated(alice: User) -> None:
    _key, text = api_keys.make(membership=membership_of(alice), name="CI")
    with pytest.raises(CommandError, match="first six letters") as refused:
        run("revoke_api_key", text, "--organisation", "acme")
    assert text not in str(refused.value)
    assert ApiKey.objects.active().exists()
