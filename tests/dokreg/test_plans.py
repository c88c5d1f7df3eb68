"""What dokreg asks of a large PostgreSQL database is answered from indexes: no table is read or sorted whole."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from dokreg import keys
from tests.lab.postgres import Postgres
from tests.running import ROOT

# Who may do so with which table, and why that does no harm.
ALLOWED = {
    ("registries:list", "registries_registry"): "an organisation's registries are counted",
    ("registries:list?sort=tested", "registries_registry"): "an organisation's registries, in an order with empty ends",
    ("registries:list?sort=-tested", "registries_registry"): "the same",
    ("registries:list?sort=token", "registries_registry"): "the same",
    ("registries:list?sort=-token", "registries_registry"): "the same",
    ("registries:detail", "servers_server"): "an organisation's servers, those that are chosen before the others",
    ("servers:list", "servers_server"): "an organisation's servers are counted",
    ("servers:key_list", "servers_server"): "the servers of each key are counted, and here one key opens them all",
    ("applications:projects", "registries_registry"): "registries are joined to hundreds of applications at once",
    ("applications:projects", "servers_server"): "and so are servers",
    ("fleet:matrix", "registries_standing"): "all pairs are counted, in a table of nothing but ids",
    ("fleet:batch", "registries_registry"): "the tests of a batch are ordered by the names of their registries",
    ("sign_in", "axes_accessattempt"): "axes forgets there what is older than a quarter of an hour: it stays small",
    # Tables of packages, which have no index by time. Their rows are short, and read through once an hour.
    ("dokreg.tasks.prune", "axes_accessattempt"): "of a package",
    ("dokreg.tasks.prune", "axes_accesslog"): "of a package",
    ("dokreg.tasks.prune", "django_admin_log"): "of a package",
    ("doctor: refused sign-ins", "axes_accessattempt"): "of a package",
    ("doctor: sign-ins", "axes_accesslog"): "of a package",
    ("doctor: changes in the admin", "django_admin_log"): "of a package",
}
# Queries that are asked only while something waits, runs or is due: who asks them, and how they are told.
ONLY_WITH_WORK = (
    ("applications.tasks.dispatch_polls", 'UPDATE "applications_application" SET "poll_due_at"'),
    ("applications.tasks.sweep_deployments", """= 'queued' AND "applications_deployment"."action" IN ("""),
    ("applications.tasks.sweep_deployments", 'UPDATE "applications_deployment" SET "sent_at"'),
    ("dokreg.tasks.prune", 'FOR UPDATE OF "registries_testbatch" SKIP LOCKED'),
    ("dokreg.tasks.prune", 'FOR UPDATE OF "applications_deployment" SKIP LOCKED'),
    ("organisations.tasks.sweep_notifications", 'UPDATE "organisations_delivery" SET "handed_over_at"'),
    ("registries.tasks.dispatch_refreshes", 'FOR NO KEY UPDATE OF "registries_registry" SKIP LOCKED'),
    ("registries.tasks.sweep_logins", 'UPDATE "servers_configturn" SET "sent_at"'),
    ("registries.tasks.sweep_registry_tests", '"registries_testbatch"."id" ASC FOR UPDATE'),
    ("registries.tasks.sweep_registry_tests", 'UPDATE "registries_registrytest" SET "sent_at"'),
    ("registries.tasks.sweep_rotations", 'FOR UPDATE OF "registries_rotation"'),
)


pytestmark = pytest.mark.once  # it has a PostgreSQL of its own


@pytest.fixture(scope="module")
def asked(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `tests.plans` prints."""
    with postgres.database("plans") as name:
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": postgres.url(name),
            "DJANGO_SETTINGS_MODULE": "dokreg.settings",
            "DOKREG_DATA": str(tmp_path_factory.mktemp("plans")),
            "DOKREG_SECRET_KEY": keys.new_key(),
            "DOKREG_FERNET_KEYS": keys.new_key(),
        }
        _run(environment, "manage.py", "prepare")
        answer: dict[str, Any] = json.loads(_run(environment, "-m", "tests.plans"))
    return answer


def test_no_page_list_or_task_reads_or_sorts_a_large_table_whole(asked: dict[str, Any]) -> None:
    found = [fault for fault in asked["found"] if not _is_allowed(fault)]
    texts = [f"{fault['by']} {fault['what']}:\n{fault['query']}\n{fault['plan']}" for fault in found]
    assert not texts, "\n\n".join(texts)


def test_the_tables_that_grow_are_large_in_this_test(asked: dict[str, Any]) -> None:
    assert asked["large"].keys() >= {
        "applications_application",
        "applications_containerlook",
        "applications_deployment",
        "applications_webhookdelivery",
        "applications_webhooksignature",
        "axes_accesslog",
        "django_session",
        "organisations_apikey",
        "organisations_auditentry",
        "organisations_delivery",
        "organisations_notice",
        "registries_alarm",
        "registries_cataloglook",
        "registries_configcheck",
        "registries_login",
        "registries_quota",
        "registries_registry",
        "registries_registrytest",
        "registries_rotation",
        "registries_standing",
        "registries_testbatch",
        "registries_tokenrefresh",
        "servers_server",
        "servers_servertest",
    }


def test_what_is_asked_only_while_there_is_work_to_do_is_asked_in_this_test(asked: dict[str, Any]) -> None:
    assert len(asked["asked"]) > 300
    for who, words in ONLY_WITH_WORK:
        assert any(by == who and words in query for by, query in asked["asked"]), (who, words)


def _is_allowed(fault: dict[str, Any]) -> bool:
    return all((fault["by"], table) in ALLOWED for table in fault["tables"])


def _run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
