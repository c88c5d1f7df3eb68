"""What schemathesis thinks up from the OpenAPI document, alone and in sequences: the document is kept to.

DOKREG_API_EXAMPLES and DOKREG_API_SEED make it look longer, and elsewhere.
"""

import copy
import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import DataError, close_old_connections, models
from django.db.models.signals import pre_save
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis import Case, CheckContext, Response

from dokreg.api import openapi
from dokreg.ids import ID_LENGTH
from organisations import api_keys
from organisations.api_key_models import ApiKey
from organisations.models import User
from tests.api.calling import EXAMPLES, SEED, undone
from tests.api.documented import IDS, PROCEDURES
from tests.api.verdicts import Verdicts
from tests.people import membership_of

# They wait for a worker's verdict.
WAITING = [
    "registry.create", "registry.update", "registry.testRegistry", "registry.testRegistryById", "server.validate",
    "application.delete",
]  # fmt: skip
# What they take is checked beyond what a schema can say (hosts, images, keys, names that are taken), or is tried out;
# what does not do is answered 400, with the reason.
CHECKED_FURTHER = [
    "registry.create", "registry.update", "registry.testRegistry", "registry.testRegistryById", "server.create",
    "server.update", "sshKey.create", "project.create", "environment.create", "application.create",
    "application.update", "application.saveDockerProvider", "application.deploy", "application.redeploy",
]  # fmt: skip
TAKEN = ["2xx", "401", "404", "409", "429", "504"]
KEY = "k" * 64
CONFIG = {
    "seed": SEED,
    "auth": {"openapi": {"apiKey": {"api_key": KEY}}},
    "headers": {"Accept-Encoding": "identity"},  # nothing here unpacks an answer
    "generation": {
        "max-examples": EXAMPLES,
        "database": "none",
        # A NUL in a text is refused, which no schema says; tests/api/test_trpc.py sends them.
        "allow-x00": False,
    },
    # Wrong inputs and keys are for the other tests: here each step is to give the next one something.
    "phases": {"stateful": {"generation": {"mode": "positive", "with-security-parameters": False}}},
    "checks": {
        # A wrong method is as unknown as a wrong path in this wire format: see the check below, which asks for 404.
        "unsupported_method": {"enabled": False},
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "504"]},
        "positive_data_acceptance": {"expected-statuses": TAKEN},
    },
    "operations": [
        {
            "include-operation-id": [name.replace(".", "-") for name in CHECKED_FURTHER],
            "checks": {"positive_data_acceptance": {"expected-statuses": [*TAKEN, "400"]}},
        }
    ],
}
# In the sequences, for fields of which a schema can only say that they are texts.
PLAUSIBLE: dict[str, Any] = {
    "registryUrl": "registry.example.com", "username": "robot", "imagePrefix": "acme", "kind": "generic",
    "image": "web:1", "dockerImage": "web:2", "ipAddress": "10.0.0.6", "hostKey": None, "privateKey": None,
    "publicKey": None, "ports": [], "volumes": [], "env": "A=1", "command": "run", "network": "bridge",
}  # fmt: skip
Test = Callable[..., None]


@functools.cache
def _django() -> Any:
    return get_wsgi_application()


def app(environ: dict[str, Any], start_response: Any) -> Any:
    """dokreg's own WSGI application, made when the first request comes: the tests have their settings by then."""
    return _django()(environ, start_response)


def schema_of(names: Iterable[str]) -> Any:
    """Of these procedures."""
    document = copy.deepcopy(openapi.document())  # schemathesis writes into it
    paths = {f"/{name}": document["paths"][f"/{name}"] for name in names}
    schema = schemathesis.openapi.from_dict(document | {"paths": paths}, config=schemathesis.Config.from_dict(CONFIG))
    schema.app = app
    return schema


@schemathesis.check
def a_wrong_method_is_not_found(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """In place of schemathesis' own `unsupported_method`, which asks for 405."""
    if response.request.method != case.operation.method.upper():
        assert response.status_code == 404, response.request.method
        assert "path" not in response.json()["data"]


@pytest.fixture
def acme(alice: User, documented: None) -> Iterator[None]:
    """Alice's organisation, where her key opens everything."""
    key, _text = api_keys.make(membership=membership_of(alice), name="key")
    ApiKey.objects.filter(pk=key.pk).update(key_hash=api_keys.hash_of(KEY))
    pre_save.connect(_refuse_as_postgresql_does)
    # The database is in the middle of the test's own transaction; Django's test client does the same.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
    pre_save.disconnect(_refuse_as_postgresql_does)


def _refuse_as_postgresql_does(instance: models.Model, **_: Any) -> None:
    """Text that is longer than its column, which SQLite takes."""
    for field in instance._meta.concrete_fields:
        value = getattr(instance, field.attname)
        if isinstance(value, str) and field.max_length is not None and len(value) > field.max_length:
            raise DataError(f"value too long for {field}")


def each_case_of(names: Iterable[str]) -> Callable[[Test], Test]:
    """Runs a test with what schemathesis makes of these procedures: the examples, the bounds, and what is drawn."""
    parametrize: Callable[[Test], Test] = schema_of(names).parametrize()
    quietly = settings(deadline=None, suppress_health_check=list(HealthCheck))
    return lambda test: parametrize(quietly(test))


@each_case_of(PROCEDURES)
def test_every_procedure_keeps_to_the_document(case: Case[Any], acme: None, no_verdicts: None) -> None:
    with undone():
        case.call_and_validate()


@each_case_of(WAITING)
def test_when_the_verdict_is_good(case: Case[Any], acme: None, verdicts: Verdicts) -> None:
    with undone():
        case.call_and_validate()


@each_case_of(WAITING)
def test_when_the_verdict_is_bad(case: Case[Any], acme: None, verdicts: Verdicts) -> None:
    verdicts.passes = False
    with undone():
        case.call_and_validate()


class Workflow(schema_of(PROCEDURES).as_state_machine()):  # type: ignore[misc]  # it is made of the document
    """Goes along the links: what was created is shown, changed, used by another, removed, asked for again."""

    succeeded: ClassVar[set[str]] = set()

    def setup(self) -> None:
        self.gone: set[str] = set()
        self.ending = ExitStack()
        self.ending.enter_context(undone())

    def teardown(self) -> None:
        self.ending.close()

    def before_call(self, case: Case[Any]) -> None:
        """Ids that came along a link stay; those that were made up become ones that there are."""
        if isinstance(case.body, dict):
            made_up = {name for name in IDS if len(str(case.body.get(name))) != ID_LENGTH}
            better = PLAUSIBLE | {name: IDS[name] for name in made_up}
            case.body |= {name: value for name, value in better.items() if name in case.body}

    def after_call(self, response: Response, case: Case[Any]) -> None:
        super().after_call(response, case)
        router, _, action = case.operation.path.strip("/").partition(".")
        sent = (case.body if isinstance(case.body, dict) else {}) | dict(case.query or {})
        if response.status_code == 200:
            assert self.gone.isdisjoint(str(value) for value in sent.values())
            self.succeeded.add(f"{router}.{action}")
            if action in {"remove", "delete"}:
                self.gone.add(sent[f"{router}Id"])


def test_sequences_keep_to_the_document(acme: None, verdicts: Verdicts) -> None:
    Workflow.succeeded.clear()
    rounds = settings(
        max_examples=EXAMPLES * 5,
        stateful_step_count=8,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Workflow, settings=rounds)
    assert len(Workflow.succeeded) > 10


def test_who_waits_is_known() -> None:
    """Of those that may answer that no verdict came; the lists above name procedures that there are."""
    assert {name for name in PROCEDURES if "504" in _responses(name)} == set(WAITING)
    assert PROCEDURES.keys() >= set(CHECKED_FURTHER)


def _responses(name: str) -> dict[str, Any]:
    operation = next(iter(openapi.document()["paths"][f"/{name}"].values()))
    responses: dict[str, Any] = operation["responses"]
    return responses
