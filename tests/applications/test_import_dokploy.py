"""What import_dokploy makes, and what it says: out of a real database, and through a stand-in for the API."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps

from applications import saving
from applications.importing.dokploy.mapping import NO_SERVER
from applications.models import Application, Deployment, Project
from organisations.models import AuditEntry, Membership, Organisation, User
from registries.models import Registry, RegistryTest
from servers import keys
from servers.models import Server, ServerTest, SSHKey
from tests.applications.dokploy_rows import EVERYTHING_MADE, Importer, small, whole
from tests.applications.importers import Fill
from tests.importing import PAIR, SECRETS, line_of, run, signs
from tests.people import allow
from tests.servers.rows import make_key, make_server

Capture = Callable[..., Any]


def everything() -> dict[str, list[Any]]:
    """Every row of dokreg."""
    models = [model for model in apps.get_models() if model._meta.managed]
    return {model._meta.label: sorted(map(repr, model._default_manager.values_list())) for model in models}


# Dry runs, and in earnest


def test_a_dry_run_changes_nothing(
    importer_of: Fill, organisation: Organisation, django_capture_on_commit_callbacks: Capture
) -> None:
    importer = importer_of(whole())
    before = everything()
    with django_capture_on_commit_callbacks() as queued:
        said = importer()
    assert signs(said.out)["+"] == EVERYTHING_MADE
    assert "To be made: 1 SSH key, 1 server, 4 registries, 2 projects, 4 applications." in said.out
    assert "This was a dry run" in said.out
    assert everything() == before
    assert queued == []


def test_apply_makes_exactly_what_the_dry_run_said(importer_of: Fill, organisation: Organisation) -> None:
    importer = importer_of(whole())
    before, dry = everything(), importer().out
    said = importer("--apply").out
    assert said.split("Made: ")[0] == dry.split("To be made: ")[0]
    assert signs(said) == signs(dry)
    made = {
        *(("SSH key", key.name) for key in SSHKey.objects.of(organisation)),
        *(("server", server.name) for server in Server.objects.of(organisation)),
        *(("registry", registry.name) for registry in Registry.objects.of(organisation)),
        *(("project", project.name) for project in Project.objects.of(organisation)),
        *(("application", f"{row.project} / {row.name}") for row in Application.objects.select_related("project")),
    }
    assert made == EVERYTHING_MADE == signs(said)["+"]
    grown = {label for label, rows in everything().items() if rows != before[label]}
    # The models that the domain functions write to, and no others.
    assert grown == {
        "applications.Application",
        "applications.Project",
        "organisations.AuditEntry",
        "registries.Registry",
        "servers.SSHKey",
        "servers.Server",
    }


def test_dry_run_may_be_said_and_not_together_with_apply(importer_of: Fill) -> None:
    importer = importer_of(whole())
    assert "This was a dry run" in importer("--dry-run").out
    assert "not allowed with argument" in importer("--dry-run", "--apply").error
    assert not Registry.objects.exists()


def test_the_rows_are_what_dokploy_has(importer_of: Fill, organisation: Organisation) -> None:
    importer_of(whole())("--apply")
    key, server = SSHKey.objects.get(), Server.objects.select_related("ssh_key").get()
    assert key.public_key == keys.read_private_key(key.private_key.reveal()).public == PAIR.public
    assert (server.host, server.port, server.user, server.ssh_key) == ("10.0.0.5", 2222, "deploy", key)
    assert server.host_key == server.seen_host_key == ""
    found = {row.name: (row.kind, row.url, row.username, row.open_password()) for row in Registry.objects.all()}
    assert found == {
        "GHCR": ("ghcr", "ghcr.io", "acme-bot", "marked-registry-password"),
        "Docker Hub of Acme": ("docker_hub", "docker.io", "acme", "marked-docker-hub-token"),
        "DigitalOcean": ("digitalocean", "registry.digitalocean.com", "", "marked-token-of-digitalocean"),
        "quay.io (acme+robot)": ("quay", "quay.io", "acme+robot", "marked-image-password"),
    }
    web = Application.objects.select_related("registry", "server").get(project__name="Shop", name="web")
    assert (web.image, web.registry, web.server) == ("web:1.4", Registry.objects.get(name="GHCR"), server)
    assert (web.container_name, web.network) == ("app-web-x1y2z3", "dokploy-network")
    assert web.command == ["serve", "--key", "marked-argument-value"]
    assert [(port["host_port"], port["container_port"]) for port in web.ports] == [(8080, 80)]
    assert {(volume["source"], volume["target"]) for volume in web.volumes} == {
        ("files", "/files"),
        ("/srv/site", "/site"),
    }
    assert web.environment is not None
    assert "DATABASE=db/marked-project-value" in web.environment.reveal()
    assert web.environment_names == ["DATABASE", "TOKEN"]


def test_a_second_run_makes_nothing_twice(importer_of: Fill) -> None:
    importer = importer_of(whole())
    first = signs(importer("--apply").out)
    before = everything()
    second = importer("--apply").out
    assert signs(second) == {"+": set(), "=": first["+"], "-": first["-"]}
    assert "Made: nothing." in second
    assert "whose secret stays" not in second
    assert everything() == before


def test_what_was_renamed_meanwhile_is_found_by_what_it_is(importer_of: Fill) -> None:
    importer = importer_of(whole())
    importer("--apply")
    for model in (SSHKey, Server, Registry):
        for row in model._default_manager.all():
            row.name = f"our {row.name}"
            row.save(update_fields=["name"])
    again = importer("--apply").out
    assert signs(again)["+"] == set()
    assert "= web-1: is there already as our web-1" in again


def test_a_failure_in_the_middle_leaves_nothing(
    importer_of: Fill,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Capture,
) -> None:
    importer, before, saved = importer_of(whole()), everything(), Counter[str]()
    save = saving.save_application

    def fail_at_the_third(**arguments: Any) -> None:
        saved["application"] += 1
        if saved["application"] == 3:
            raise RuntimeError("the disk is full")
        save(**arguments)

    monkeypatch.setattr(saving, "save_application", fail_at_the_third)
    with django_capture_on_commit_callbacks() as queued, pytest.raises(RuntimeError, match="the disk is full"):
        importer("--apply")
    assert everything() == before
    assert queued == []


def test_nothing_is_tested_and_nothing_deployed(importer_of: Fill, django_capture_on_commit_callbacks: Capture) -> None:
    with django_capture_on_commit_callbacks() as queued:
        said = importer_of(whole())("--apply")
    assert queued == []  # no task gets an id
    assert not any(model.objects.exists() for model in (ServerTest, RegistryTest, Deployment))
    for sentence in ("no host key is confirmed yet", "saved untested", "not deployed"):
        assert sentence in said.out


def test_it_counts_as_done_by_the_member(importer_of: Fill, organisation: Organisation, alice: User) -> None:
    before = AuditEntry.objects.count()
    importer_of(whole())("--apply")
    entries = AuditEntry.objects.order_by("-pk")[: AuditEntry.objects.count() - before]
    assert len(entries) >= len(EVERYTHING_MADE)
    assert {entry.actor for entry in entries} == {alice}
    assert {entry.organisation_id for entry in entries} == {organisation.pk}
    written = str(list(entries.values("changes", "additional_data", "object_repr")))
    kept = set(SECRETS) - {"marked-argument-value"}  # commands are no secret in dokreg
    assert [secret for secret in kept if secret in written] == []


# Who may


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--organisation", "nowhere", "--by", "alice"], "There is no organisation “nowhere”"),
        (["--organisation", "acme", "--by", "nobody"], "There is no user “nobody”"),
        (["--organisation", "acme", "--by", "charlie"], "charlie is no member of acme"),
    ],
)
def test_it_says_for_whom_it_cannot(importer_of: Fill, charlie: User, arguments: list[str], sentence: str) -> None:
    importer_of(whole())
    assert sentence in run("import_dokploy", *arguments, "--apply").error
    assert not Registry.objects.exists()


def test_a_member_without_the_permissions_may_not(importer_of: Fill, bob: User) -> None:
    allow(bob, "registries.add_registry", "servers.add_server")
    said = importer_of(whole())("--apply", by="bob")
    assert "bob lacks these permissions in acme: applications.add_application, applications.add_project" in said.error
    assert not Registry.objects.exists()


def test_a_member_with_them_may(importer_of: Fill, bob: User) -> None:
    assert signs(importer_of(whole())("--apply", by="bob").out)["+"] == EVERYTHING_MADE


# What is left out


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("without private half", "Dokploy has no private half of it."),
        ("no key", "This key is damaged or cut off."),
        ("builder", "It only builds."),
        ("keyless", "It has no SSH key."),
        ("broken", "Enter a host name or an IP address alone"),
        ("With a path", "A registry's address has no path."),
        ("Shop / built", "Dokploy builds it (from github)."),
        ("Shop / on dokploy", NO_SERVER),
        ("Shop / without image", "No image is named."),
        ("Shop / Web", "written in lower case"),
        ("Shop / stack (compose stack)", "dokreg deploys single images."),
        ("Shop (staging) / orders (PostgreSQL database)", "dokreg deploys single images."),
    ],
)
def test_what_is_left_out_says_why(importer_of: Fill, name: str, why: str) -> None:
    line = line_of(importer_of(whole())().out, name)
    assert line.startswith("- ")
    assert why in line


def test_what_refers_to_what_is_left_out_is_left_out(importer_of: Fill) -> None:
    dokploy, ids = small()
    broken = dokploy.add_key("broken", "nonsense")
    server = dokploy.add_server("web-2", broken, ipAddress="10.0.0.6")
    refused = dokploy.add_registry("Refused", "registry.example.com:0", "bot", "marked-registry-password")
    dokploy.add_application(ids.production, "a", serverId=server, dockerImage="nginx:1")
    dokploy.add_application(ids.production, "b", serverId=ids.server, dockerImage="nginx:1", registryId=refused)
    said = importer_of(dokploy)().out
    assert "Its SSH key is left out." in line_of(said, "web-2")
    assert "Its server “web-2” is left out." in line_of(said, "Shop / a")
    assert line_of(said, "Shop / b").startswith("+ ")  # that registry is of another host, and pulls nothing


def test_a_name_that_is_taken_by_something_else_is_left_out(importer_of: Fill, organisation: Organisation) -> None:
    make_server(organisation, "web-1", host="10.9.9.9", ssh_key=make_key(organisation, "another", keys.generate()))
    said = importer_of(whole())().out
    assert "Another server of this organisation has this name." in line_of(said, "web-1")
    assert "Its server “web-1” is left out." in line_of(said, "Shop / web")


def test_of_two_that_are_called_alike_the_second_is_left_out(importer_of: Fill) -> None:
    dokploy, ids = small()
    for number in (1, 2):
        dokploy.add_application(
            ids.production, "twin", appName=f"twin-{number}", serverId=ids.server, dockerImage="nginx:1"
        )
    said = importer_of(dokploy)().out
    assert "+ Shop / twin: " in said
    assert "- Shop / twin: left out. Name: Another application of this project has this name." in said


def test_dokploys_own_host_may_be_a_server_of_dokreg(importer_of: Fill, organisation: Organisation) -> None:
    own = make_server(organisation, "dokploy itself", host="10.0.0.1")
    importer = importer_of(whole())
    importer("--apply", "--own-host", "dokploy itself")
    assert Application.objects.get(name="on dokploy").server == own
    assert "There is no server “elsewhere” in acme" in importer("--own-host", "elsewhere").error


def test_control_characters_reach_no_terminal(importer_of: Fill) -> None:
    dokploy, _ids = small()
    dokploy.add_registry("\x1b[2Jgone", "quay.io", "x", "marked-registry-password")
    said = importer_of(dokploy)().out
    assert "\x1b" not in said
    assert "?[2Jgone" in said


# Several organisations


def test_only_the_named_organisation_is_read(importer_of: Fill) -> None:
    dokploy = whole()
    dokploy.add_organization("org-2", "Beta AG")
    dokploy.add_registry("Theirs", "quay.io", "theirs", "marked-registry-password", organizationId="org-2")
    importer = importer_of(dokploy)
    for name in ("Acme GmbH", "org-1"):
        assert signs(importer("--dokploy-organization", name).out)["+"] == EVERYTHING_MADE


def test_a_database_with_several_wants_a_name(database_of: Callable[..., Importer]) -> None:
    dokploy = whole()
    dokploy.add_organization("org-2", "Beta AG")
    importer = database_of(dokploy)
    assert "name one of them in --dokploy-organization: “Acme GmbH” (org-1), “Beta AG” (org-2)." in importer().error
    assert "There is no organisation “Gamma”" in importer("--dokploy-organization", "Gamma").error
    assert Membership.objects.count() == 1


def test_a_key_reads_its_own_organisation_alone(api_of: Callable[..., Importer]) -> None:
    dokploy = whole()
    dokploy.add_organization("org-2", "Beta AG")
    said = api_of(dokploy)("--dokploy-organization", "Beta AG")
    assert "The key belongs to the organisation “Acme GmbH”, not to “Beta AG”." in said.error
