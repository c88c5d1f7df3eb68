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

# Who may do so with a query of which table, and why that does no harm.
ALLOWED = {
    ("registries:list?sort=tested", "registries_registry"): "an organisation's registries, in an order with empty ends",
    ("registries:list?sort=-tested", "registries_registry"): "the same",
    ("registries:list?sort=token", "registries_registry"): "the same",
    ("registries:list?sort=-token", "registries_registry"): "the same",
    ("applications:projects", "applications_application"): "registries are joined to hundreds of applications at once",
    ("fleet:matrix", "registries_standing"): "all pairs are counted, in a table of nothing but ids",
}


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
        "applications_deployment",
        "organisations_auditentry",
        "organisations_delivery",
        "organisations_notice",
        "registries_login",
        "registries_registry",
        "registries_registrytest",
        "registries_standing",
        "registries_tokenrefresh",
    }
    assert asked["asked"] > 150


def _is_allowed(fault: dict[str, str]) -> bool:
    return any(fault["by"] == by and table in fault["query"] for by, table in ALLOWED)


def _run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
