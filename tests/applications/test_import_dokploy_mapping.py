"""What a single application of Dokploy becomes: its settings, its environment, and whose account pulls it."""

from typing import Any

import pytest

from applications.container_settings import read_environment
from applications.importing.dokploy import http
from applications.importing.dokploy.encrypted import CannotOpen, Opener
from applications.importing.dokploy.environment import parse, resolve
from applications.importing.dokploy.mapping import found_in
from applications.importing.dokploy.records import UnknownShape
from applications.importing.found import Found, FoundApplication
from applications.models import Application
from tests.applications.dokploy_rows import Ids, small
from tests.applications.importers import API_KEY, Fill
from tests.importing import AUTH_SECRET, line_of
from tests.lab.dokploy import Dokploy, DokployApi, encrypted

# Made with Node's own crypto, as Dokploy does it.
OF_NODE = "enc:v1:AAECAwQFBgcICQoLAFoEGv19hE8TO6xnffljuC9T5mbpMF/MNPhzNNop2FdHjsYliMM5paVmvqJ/"
SECRET_OF_NODE = "a better auth secret"
KEY_OF_NODE = "b35a2fbf14f08502621513e8df43e522bea31a00aaf69e3ffabb8f53e80b774c"
CLEAR = "GREETING=grüße\nTOKEN='a b'\n"


@pytest.fixture
def found_of(api: DokployApi) -> Any:
    """What an application with these columns becomes."""

    def find(**columns: Any) -> tuple[FoundApplication, Found]:
        api.dokploy, ids = small()
        _add(api.dokploy, ids, **columns)
        found = found_in(http.read(api.url, API_KEY, organization=""), opener=Opener([AUTH_SECRET]))
        return found.applications[-1], found

    return find


def _add(dokploy: Dokploy, ids: Ids, **columns: Any) -> None:
    dokploy.add_application(ids.production, "web", **{"serverId": ids.server, "dockerImage": "nginx:1"} | columns)


# Settings


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        (
            {},
            {
                "container_name": "app-web-x1y2z3",
                "network": "dokploy-network",
                "ports": "",
                "volumes": "",
                "command": "",
            },
        ),
        ({"command": "npm start"}, {"command": "npm start"}),
        ({"command": "sh -c", "args": ["echo $HOME; sleep 1"]}, {"command": "sh -c 'echo $HOME; sleep 1'"}),
        ({"args": ["a b", "c"]}, {"command": "'a b' c"}),
        ({"memoryLimit": "268435456"}, {"memory_mb": "256"}),
        ({"memoryLimit": "268435457"}, {"memory_mb": "257"}),
        ({"cpuLimit": "500000000"}, {"cpus": "0.50"}),
        ({"cpuLimit": "1"}, {"cpus": "0.01"}),
        ({"stopGracePeriodSwarm": 30_000_000_000}, {"stop_seconds": "30"}),
        ({"stopGracePeriodSwarm": 900_000_000_000}, {"stop_seconds": "300"}),
        ({"stopGracePeriodSwarm": 0}, {"stop_seconds": "0"}),
        ({"restartPolicySwarm": {"Condition": "none"}}, {"restart_policy": "no"}),
        ({"restartPolicySwarm": {"Condition": "on-failure"}}, {"restart_policy": "on-failure"}),
        ({"restartPolicySwarm": {"Condition": "any"}}, {"restart_policy": "always"}),
        ({"updateConfigSwarm": {"Parallelism": 1, "Order": "stop-first"}}, {"order": "stop_first"}),
        ({"updateConfigSwarm": {"Parallelism": 1, "Order": "start-first"}}, {"order": "start_first"}),
        ({"detachDokployNetwork": True}, {"network": "bridge"}),
        ({"networkSwarm": [{"Target": "shop"}, {"Target": "dokploy-network"}]}, {"network": "shop"}),
        (
            {"endpointSpecSwarm": {"Ports": [{"PublishedPort": 53, "TargetPort": 5353, "Protocol": "udp"}]}},
            {"ports": "53:5353/udp"},
        ),
        (
            {
                "healthCheckSwarm": {
                    "Test": ["CMD", "curl", "-f", "http://localhost/a b"],
                    "Interval": 30_000_000_000,
                    "Timeout": 1_500_000_000,
                    "StartPeriod": 5_000_000_000,
                    "Retries": 4,
                }
            },
            {
                "health_command": "curl -f 'http://localhost/a b'",
                "health_interval_seconds": "30",
                "health_timeout_seconds": "2",
                "health_start_seconds": "5",
                "health_retries": "4",
            },
        ),
        ({"healthCheckSwarm": {"Test": ["CMD-SHELL", "test -f /up"]}}, {"health_command": "test -f /up"}),
    ],
)
def test_settings_are_taken_over(found_of: Any, columns: dict[str, Any], fields: dict[str, str]) -> None:
    application, _found = found_of(**columns)
    assert fields.items() <= application.settings.items()


@pytest.mark.parametrize(
    ("columns", "note"),
    [
        ({"replicas": 4}, "It has 4 replicas in Dokploy, and one container in dokreg."),
        ({"replicas": 0}, "It has 0 replicas in Dokploy"),
        ({"modeSwarm": {"Global": {}}}, "The mode Global is of the swarm"),
        ({"placementSwarm": {"Constraints": ["node.role==manager"]}}, "has no place for them: placement."),
        ({"labelsSwarm": {"a": "b"}, "ulimitsSwarm": [{"Name": "nofile"}]}, "for them: labels, ulimits."),
        ({"memoryReservation": "1", "cpuReservation": "1"}, "memory reservation, CPU reservation."),
        ({"rollbackConfigSwarm": {"Parallelism": 1, "Order": "stop-first"}}, "for them: rollback."),
        ({"restartPolicySwarm": {"Condition": "any", "MaxAttempts": 3}}, "How often and how late it is restarted"),
        ({"updateConfigSwarm": {"Parallelism": 2, "Order": "stop-first", "Delay": 1}}, "How it is updated"),
        ({"healthCheckSwarm": {"Test": ["NONE"]}}, "health check is not switched off"),
        ({"stopGracePeriodSwarm": 900_000_000_000}, "It has 300 s to stop instead of 900 s."),
        ({"command": "npm start"}, "in the place of the image's entrypoint"),
        ({"networkIds": ["n1", "n2"]}, "2 further networks are left out"),
        ({"detachDokployNetwork": True}, "It is in no network of Dokploy's"),
        ({"appName": "x" * 64}, "Its container gets another name than xxx"),
        ({"redirects": [{"regex": "a", "replacement": "b"}]}, "1 redirect is left out"),
        ({"security": [{"username": "a", "password": "marked-basic-auth"}]}, "1 login of its pages is left out"),
        (
            {"domains": [{"host": f"{letter}.example.com"} for letter in "fedcba"]},
            "6 domains are left out (a.example.com, b.example.com, c.example.com, d.example.com, e.example.com, …)",
        ),
        (
            {"mounts": [{"type": "file", "filePath": "a.conf", "mountPath": "/etc/a.conf", "content": "x"}]},
            "Dokploy keeps it on the server as /etc/dokploy/applications/app-web-x1y2z3/files/a.conf",
        ),
    ],
)
def test_what_has_no_counterpart_is_said(found_of: Any, columns: dict[str, Any], note: str) -> None:
    application, _found = found_of(**columns)
    assert note in "\n".join(application.notes)


def test_an_ordinary_application_needs_no_words(found_of: Any) -> None:
    assert found_of()[0].notes == ()


def test_a_mount_that_dokreg_refuses_leaves_the_application_out(importer_of: Fill) -> None:
    dokploy, ids = small()
    _add(dokploy, ids, mounts=[{"type": "bind", "hostPath": "/srv/../etc", "mountPath": "/etc"}])
    assert "has “..” in it" in line_of(importer_of(dokploy)().out, "Shop / web")


def test_an_application_of_nowhere_is_another_shape(api: DokployApi) -> None:
    api.dokploy, ids = small()
    _add(api.dokploy, ids)
    dokploy = http.read(api.url, API_KEY, organization="")
    dokploy.environments.clear()
    with pytest.raises(UnknownShape, match="environmentId"):
        found_in(dokploy, opener=Opener())


# Whose account pulls


def test_a_registry_of_the_images_host_pulls_it(found_of: Any) -> None:
    application, found = found_of(dockerImage="ghcr.io/acme/web:1")
    assert found.registries[application.registry].name == "GHCR"
    assert "It pulls with “GHCR”, the only registry of ghcr.io; Dokploy does not say so." in application.notes


def test_of_several_registries_of_a_host_none_is_chosen(api: DokployApi) -> None:
    api.dokploy, ids = small()
    api.dokploy.add_registry("GHCR of Beta", "https://ghcr.io/", "beta", "marked-registry-password")
    _add(api.dokploy, ids, dockerImage="ghcr.io/acme/web:1")
    (application,) = found_in(http.read(api.url, API_KEY, organization=""), opener=Opener()).applications
    assert application.registry == ""
    assert application.notes == ("There are 2 registries of ghcr.io: choose the one that pulls it.",)


def test_the_one_that_dokploy_names_is_chosen(api: DokployApi) -> None:
    api.dokploy, ids = small()
    beta = api.dokploy.add_registry("GHCR of Beta", "ghcr.io", "beta", "marked-registry-password")
    _add(api.dokploy, ids, dockerImage="ghcr.io/acme/web:1", registryId=beta)
    (application,) = found_in(http.read(api.url, API_KEY, organization=""), opener=Opener()).applications
    assert (application.registry, application.notes) == (beta, ())


def test_credentials_of_an_image_become_a_registry_named_for_them(found_of: Any) -> None:
    own = {"registryUrl": "", "username": "acme", "password": "marked-image-password"}
    application, found = found_of(dockerImage="acme/web", **own)
    registry = found.registries[application.registry]
    assert (registry.name, registry.url, registry.password) == (
        "docker.io (acme)",
        "docker.io",
        "marked-image-password",
    )


def test_credentials_for_another_host_are_left_out(found_of: Any) -> None:
    own = {"registryUrl": "quay.io", "username": "acme", "password": "marked-image-password"}
    application, found = found_of(dockerImage="acme/web", **own)
    assert application.registry == ""
    assert application.notes == ("Its own credentials are left out: they are for quay.io, its image is on docker.io.",)
    assert len(found.registries) == 1


def test_credentials_that_a_registry_has_already_make_none(importer_of: Fill) -> None:
    dokploy, ids = small()
    own = {"registryUrl": "ghcr.io", "username": "acme-bot", "password": "marked-image-password"}
    _add(dokploy, ids, dockerImage="ghcr.io/acme/web:1", **own)
    said = importer_of(dokploy)("--apply").out
    assert "= ghcr.io (acme-bot): is there already as GHCR; its secret stays as it is" in said
    application = Application.objects.select_related("registry").get()
    assert application.registry is not None
    assert application.registry.open_password() == "marked-registry-password"
    assert application.image == "web:1"  # as one types it below that registry's prefix


# Environments


def test_what_node_encrypted_is_opened() -> None:
    assert Opener([SECRET_OF_NODE]).open(OF_NODE) == CLEAR
    assert Opener([KEY_OF_NODE]).open(OF_NODE) == CLEAR  # derived already, as in a backup
    assert Opener(["another", SECRET_OF_NODE]).open(OF_NODE) == CLEAR


def test_what_is_in_clear_stays_so() -> None:
    assert Opener().open("A=1") == "A=1"


def test_the_secret_that_everybody_has_is_tried() -> None:
    assert Opener(["mine"]).open(encrypted("A=1", "better-auth-secret-123456789")) == "A=1"


@pytest.mark.parametrize("value", [OF_NODE[:-8] + "AAAAAAA=", "enc:v1:", "enc:v1:not base64", "enc:v1:AAAA"])
def test_what_no_key_opens_is_no_environment(value: str) -> None:
    with pytest.raises(CannotOpen):
        Opener([SECRET_OF_NODE]).open(value)


def test_without_the_key_the_environment_is_left_out_and_said(found_of: Any) -> None:
    application, _found = found_of(env=encrypted("A=1", "a secret of another Dokploy"))
    assert application.environment == ""
    assert "Its environment is left out: Dokploy has encrypted it, and no key opens it." in application.notes[0]


def test_without_the_key_of_what_it_refers_to_as_well(api: DokployApi) -> None:
    api.dokploy, ids = small()
    _add(api.dokploy, ids, env="A=${{project.HOST}}")
    (application,) = found_in(http.read(api.url, API_KEY, organization=""), opener=Opener()).applications
    assert application.environment == ""
    assert "no key opens it" in application.notes[0]


def test_without_the_key_what_refers_to_nothing_is_there(api: DokployApi) -> None:
    api.dokploy, ids = small()
    _add(api.dokploy, ids, env="A=1")
    (application,) = found_in(http.read(api.url, API_KEY, organization=""), opener=Opener()).applications
    assert (application.environment, application.notes) == ("A=1", ())


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("export A=1 # why\r\n# no\r\nB = b c \r\n", {"A": "1", "B": "b c"}),
        ("A='it # is'\nB=\"x\\ny\"\nC=`a'b\"c`", {"A": "it # is", "B": "x\ny", "C": "a'b\"c"}),
        ("A: 1\nnot a line\nB=", {"A": "1", "B": ""}),
        ("KEY='-----BEGIN\nab\n-----END'\nB=2", {"KEY": "-----BEGIN\nab\n-----END", "B": "2"}),
        ("A=\"C:\\\\dir\"\nB='a\\n'", {"A": "C:\\\\dir", "B": "a\\n"}),
        ("A=one=two\nA=three", {"A": "three"}),
        ("A='it's'", {"A": "it's"}),
    ],
)
def test_env_files_are_read_by_the_rules_of_nodes_dotenv(text: str, values: dict[str, str]) -> None:
    assert parse(text) == values
    assert read_environment(_resolved(text).text) == values


def test_a_file_that_both_read_alike_stays_as_it_was_typed() -> None:
    text = "# The shop\nA=1\n\nB='two words'  # and why\n"
    assert _resolved(text).text == text


def test_references_are_put_in() -> None:
    own = "A=${{project.P}}-${{environment.E}}-${{B}}\nB=b"
    resolved = _resolved(own, project="P=p", environment="E='e e'")
    assert read_environment(resolved.text) == {"A": "p-e e-b", "B": "b"}


def test_a_variable_that_refers_to_nothing_is_left_out_by_name() -> None:
    resolved = _resolved("A=${{project.NONE}}\nB=${{vault.main.path}}\nC=${{D}}\nE=1", project="P=1")
    assert (resolved.unresolved, read_environment(resolved.text)) == (("A", "B", "C"), {"E": "1"})


def test_a_variable_that_dokreg_cannot_hold_is_left_out_by_name() -> None:
    resolved = _resolved("1ST=a\nGOOD='two\nlines \\'")
    assert (resolved.unwritable, read_environment(resolved.text)) == (("1ST",), {"GOOD": "two\nlines \\"})


def _resolved(own: str, *, project: str = "", environment: str = "") -> Any:
    return resolve(own, project=lambda: project, environment=lambda: environment)
