"""What is peculiar to `dokli`."""

import json

from tests.clients.calling import NOT_A_KEY, NewSite, outcome_of
from tests.clients.dokli import CONNECTION, Dokli
from tests.lab.impostors import Answer, HttpImpostor


def test_its_doctor_finds_nothing_wrong(dokli: Dokli) -> None:
    assert dokli.run("refresh", CONNECTION).returncode == 0
    report = outcome_of(dokli.run("doctor", CONNECTION, "--format", "json"))
    assert not report.failed, report.output
    assert [check["check"] for check in report.value["checks"] if check["ok"]] == ["connectivity", "auth", "schema"]


def test_it_keeps_the_document_that_its_commands_are_made_of(dokli: Dokli) -> None:
    document = dokli.ask("settings.getOpenApiDocument")
    assert json.loads(dokli.document.read_text()) == document
    assert "/registry.testRegistryById" in document["paths"]


def test_it_lists_what_there_is(dokli: Dokli) -> None:
    listed = dokli.run("ls", CONNECTION)
    assert (listed.returncode, listed.stderr) == (0, "")


def test_there_is_a_second_slash_in_every_path(new_site: NewSite, dokli: Dokli) -> None:
    document = json.dumps(dokli.ask("settings.getOpenApiDocument"))
    with HttpImpostor(lambda request: Answer(200, document if "OpenApi" in request.path else "[]")) as listener:
        other = Dokli(new_site(), url=f"http://{listener.host}")
        assert other.ask("registry.all") == []
    assert [request.path for request in listener.requests][-1] == "/api//registry.all"


def test_of_a_refusal_the_status_alone_is_shown(dokli: Dokli) -> None:
    outcome = dokli.call("registry.one", registryId="not-there")
    assert outcome.failed
    assert "Client error '404 Not Found'" in json.loads(outcome.output)["error"]


def test_with_a_wrong_key_it_has_no_commands(new_site: NewSite) -> None:
    outcome = Dokli(new_site(key=NOT_A_KEY)).call("registry.all")
    assert outcome.failed
    assert f"Skipping connection '{CONNECTION}': Client error '401 Unauthorized'" in outcome.output
