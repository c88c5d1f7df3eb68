"""tRPC: the envelope, batches, what is undefined, and that it says the same as REST; whatever is sent."""

import datetime as dt
import json
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dokreg.api import trpc as surface
from organisations import api_keys
from organisations.models import Organisation, User
from organisations.procedures import Caller, Code, Procedure, Refusal, Schema
from organisations.procedures import _procedures as declared
from registries.models import Registry
from tests.api.calling import EXAMPLES, IS_LONG_LOOK, Answer, Api, rest, trpc, undone
from tests.api.documented import IDS, PROCEDURES

ID = IDS["registryId"]
NUMBERS = {400: -32600, 401: -32001, 403: -32003, 404: -32004, 405: -32005, 409: -32009, 500: -32603}
QUICKLY = settings(
    max_examples=EXAMPLES * 20,
    deadline=None,
    derandomize=not IS_LONG_LOOK,
    database=None,
    suppress_health_check=list(HealthCheck),
)

# The envelope


def test_a_query(api: Api, documented: None) -> None:
    answer = api.send("GET", "/api/trpc/registry.one", {"input": json.dumps({"json": {"registryId": ID}})})
    assert answer.status == 200
    assert list(answer.value) == ["result"]
    assert answer.value["result"]["data"] == {"json": api.get("registry.one", registryId=ID).value}


def test_a_query_without_an_envelope(api: Api, documented: None) -> None:
    """As the command line of Dokploy sends it."""
    answer = api.send("GET", "/api/trpc/registry.one", {"input": json.dumps({"registryId": ID})})
    assert answer.value["result"]["data"]["json"]["registryId"] == ID


def test_a_query_without_an_input(api: Api, documented: None) -> None:
    assert len(api.send("GET", "/api/trpc/registry.all").value["result"]["data"]["json"]) == 1


def test_a_mutation(api: Api, documented: None) -> None:
    answer = api.send("POST", "/api/trpc/registry.update", json.dumps({"json": {"registryId": ID, "imagePrefix": "x"}}))
    assert answer.value == {"result": {"data": {"json": True}}}
    assert Registry.objects.get().image_prefix == "x"


def test_a_field_that_is_called_json_is_no_envelope() -> None:
    given = {"json": {"a": 1}, "name": "x"}
    assert surface.unwrapped(given) == given
    assert surface.unwrapped({"json": {"a": 1}, "meta": {}}) == {"a": 1}


def test_what_is_undefined_was_not_given(api: Api, documented: None) -> None:
    """JSON can only say null for it, which would empty the field."""
    Registry.objects.update(image_prefix="acme")
    sent = {"json": {"registryId": ID, "imagePrefix": None}, "meta": {"values": {"imagePrefix": ["undefined"]}}}
    assert api.send("POST", "/api/trpc/registry.update", json.dumps(sent)).status == 200
    assert Registry.objects.get().image_prefix == "acme"
    assert api.mutate("registry.update", registryId=ID, imagePrefix=None).status == 200
    assert Registry.objects.get().image_prefix == ""


def test_an_input_that_is_undefined_itself(api: Api, documented: None) -> None:
    sent = {"json": None, "meta": {"values": ["undefined"]}}
    assert api.send("GET", "/api/trpc/registry.all", {"input": json.dumps(sent)}).status == 200


def _declare(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    found = declared[name]
    slots = {slot: getattr(found, slot) for slot in found.__slots__}
    monkeypatch.setitem(declared, name, type(found)(**slots | changes))


def test_an_answer_of_nothing_is_undefined(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    _declare(monkeypatch, "settings.health", answers=None, run=lambda _caller, _values: None)
    nothing = {"json": None, "meta": {"values": ["undefined"], "v": 1}}
    assert api.send("GET", "/api/trpc/settings.health").value == {"result": {"data": nothing}}
    assert (api.get("settings.health").status, api.get("settings.health").value) == (200, "")


# Errors


@pytest.mark.parametrize("code", [code for code in Code if code.status in NUMBERS], ids=lambda code: code.name)
def test_each_error_has_its_number(api: Api, monkeypatch: pytest.MonkeyPatch, code: Code) -> None:
    def refuses(_caller: Caller, _values: Schema) -> None:
        raise Refusal(code, "No.")

    _declare(monkeypatch, "settings.health", run=refuses)
    answer = api.send("GET", "/api/trpc/settings.health")
    data = {"code": code.name, "httpStatus": code.status, "path": "settings.health", "zodError": None}
    assert answer.status == code.status
    assert answer.value == {"error": {"json": {"message": "No.", "code": NUMBERS[code.status], "data": data}}}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "registry.all", 405),
        ("GET", "registry.create", 405),
        ("PUT", "registry.create", 405),
        ("DELETE", "registry.all", 405),
        ("GET", "nothing", 404),
        ("GET", "", 404),
        ("POST", "registry.create/", 404),
        ("HEAD", "registry.all", 204),
    ],
)
def test_methods_and_paths(api: Api, method: str, path: str, status: int) -> None:
    answer = api.send(method, f"/api/trpc/{path}", "{}" if method in {"POST", "PUT"} else "")
    assert answer.status == status
    if status != 204:
        assert answer.value["error"]["json"]["code"] == NUMBERS[status]


def test_validation_names_every_field(api: Api) -> None:
    answer = api.mutate("registry.create", registryName="", username=7, password="", registryUrl="a b")
    assert (answer.status, answer.message) == (400, "Input validation failed")
    assert answer.fields.keys() == {"registryName", "username", "password", "registryUrl"}


def test_bodies_that_are_refused(api: Api) -> None:
    for body, content_type, status in (
        ("{", "application/json", 400),
        (b"\xff", "application/json", 400),
        ("[" * 100_000, "application/json", 400),
        ("{}", "text/plain", 415),
        ("x" * (1024 * 1024 + 1), "application/json", 413),
    ):
        answer = api.send("POST", "/api/trpc/registry.create", body, content_type=content_type)
        assert answer.status == answer.value["error"]["json"]["data"]["httpStatus"] == status


def test_a_query_with_too_many_fields_is_refused(api: Api) -> None:
    answer = api.send("GET", "/api/trpc/registry.all", {f"field{number}": "1" for number in range(1001)})
    assert answer.status == answer.value["error"]["json"]["data"]["httpStatus"] == 400


def test_a_session_without_its_csrf_token(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = Api("", client).send("POST", "/api/trpc/project.create", '{"json": {"name": "Shop"}}')
    assert (answer.status, answer.value["error"]["json"]["code"]) == (403, -32003)


# Batches


def batch(api: Api, names: str, inputs: Any, method: str = "GET") -> Answer:
    if method == "GET":
        return api.send("GET", f"/api/trpc/{names}", {"batch": "1", "input": json.dumps(inputs)})
    return api.send("POST", f"/api/trpc/{names}?batch=1", json.dumps(inputs))


def test_a_batch_answers_in_the_order_of_its_calls(api: Api, documented: None) -> None:
    answer = batch(api, "settings.isCloud,registry.one,user.get", {"1": {"json": {"registryId": ID}}})
    assert answer.status == 200
    values = [found["result"]["data"]["json"] for found in answer.value]
    assert (values[0], values[1]["registryId"], values[2]["user"]["username"]) == (False, ID, "alice")


def test_a_batch_of_mutations(api: Api) -> None:
    named = {str(number): {"json": {"name": f"Shop {number}"}} for number in range(2)}
    answer = batch(api, "project.create,project.create", named, "POST")
    assert [found["result"]["data"]["json"]["project"]["name"] for found in answer.value] == ["Shop 0", "Shop 1"]


def test_a_batch_of_one_is_a_list(api: Api) -> None:
    assert batch(api, "settings.isCloud", {}).value == [{"result": {"data": {"json": False}}}]


def test_a_batch_with_several_statuses_is_207(api: Api) -> None:
    answer = batch(api, "settings.isCloud,registry.one,project.create,", {"1": {"registryId": "nope"}})
    assert answer.status == 207
    statuses = [found["error"]["json"]["data"]["httpStatus"] for found in answer.value[1:]]
    assert statuses == [404, 405, 404]


def test_a_batch_that_fails_alike_has_that_status(api: Api) -> None:
    assert batch(api, "registry.one,registry.one", {}).status == 400
    assert batch(api, "nothing,neither", {}).status == 404


@pytest.mark.parametrize("inputs", [[], "0", 7, True])
def test_a_batch_needs_an_object_of_inputs(api: Api, inputs: Any) -> None:
    answer = batch(api, "settings.isCloud,user.get", inputs)
    assert answer.status == 400
    assert "object" in answer.value["error"]["json"]["message"]


def test_a_batch_is_bounded(api: Api) -> None:
    most = ",".join(["settings.isCloud"] * surface.MOST_AT_ONCE)
    assert batch(api, most, {}).status == 200
    assert batch(api, f"{most},settings.isCloud", {}).status == 400


def test_a_batch_without_a_key_is_one_refusal(db: None) -> None:
    answer = batch(Api(""), "settings.isCloud,user.get", {})
    assert (answer.status, answer.value["error"]["json"]["message"]) == (401, "Unauthorized")


# Whatever is sent


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)  # half characters and NULs as well
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(sorted(PROCEDURES))


def values_of(procedure: Procedure) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with the names of the procedure's fields, some of them with values that do."""
    fields = [str(field.alias) for field in procedure.takes.model_fields.values()]
    example = st.sampled_from([dict(procedure.example), {}])
    changed = st.fixed_dictionaries({}, optional={name: _value_of(name) for name in fields})
    return st.tuples(example, changed).map(lambda both: both[0] | both[1])


def _value_of(name: str) -> st.SearchStrategy[Any]:
    return st.just(IDS[name]) | ANYTHING if name in IDS else ANYTHING


def enveloped(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    metas = st.fixed_dictionaries({}, optional={"meta": ANYTHING | st.fixed_dictionaries({"values": ANYTHING})})
    return inner | st.tuples(inner, metas).map(lambda both: {"json": both[0]} | both[1])


calls = names.flatmap(lambda name: st.tuples(st.just(name), enveloped(ANYTHING | values_of(PROCEDURES[name]))))


def check_envelope(status: int, envelope: Any) -> None:
    assert status < 500 or status == 504
    assert list(envelope) in (["result"], ["error"])
    if "result" in envelope:
        assert status == 200
        assert "json" in envelope["result"]["data"]
        return
    error = envelope["error"]["json"]
    assert error["data"]["httpStatus"] == status
    assert error["code"] == Code[error["data"]["code"]].number


@QUICKLY
@given(call=calls)
def test_any_input_is_answered_in_the_envelope(api: Api, documented: None, no_verdicts: None, call: Any) -> None:
    name, sent = call
    path = f"/api/trpc/{name}"
    with undone():
        if PROCEDURES[name].is_query:
            answer = api.send("GET", path, {"input": json.dumps(sent)})
        else:
            answer = api.send("POST", path, json.dumps(sent))
    check_envelope(answer.status, answer.value)


@QUICKLY
@given(
    chosen=st.lists(names, min_size=1, max_size=4), sent=ANYTHING | st.dictionaries(st.sampled_from("0123"), ANYTHING)
)
def test_any_batch_is_answered_in_envelopes(
    api: Api, documented: None, no_verdicts: None, chosen: list[str], sent: Any
) -> None:
    for method in ("GET", "POST"):
        with undone():
            answer = batch(api, ",".join(chosen), sent, method)
        if isinstance(answer.value, dict):
            check_envelope(answer.status, answer.value)
            continue
        assert len(answer.value) == len(chosen)
        statuses = {_status_of(envelope) for envelope in answer.value}
        assert answer.status == (statuses.pop() if len(statuses) == 1 else 207)


def _status_of(envelope: Any) -> int:
    status = 200 if "result" in envelope else int(envelope["error"]["json"]["data"]["httpStatus"])
    check_envelope(status, envelope)
    return status


@QUICKLY
@given(path=st.binary(max_size=40), body=st.binary(max_size=60), query=st.text(max_size=40))
def test_any_path_and_bytes_are_answered_in_the_envelope(api: Api, path: bytes, body: bytes, query: str) -> None:
    for name in ("registry.create", quote(path)):
        for method in ("GET", "POST"):
            with undone():
                answer = api.send(
                    method, f"/api/trpc/{name}?{quote(query, safe='=&')}", body if method == "POST" else ""
                )
            if not isinstance(answer.value, list):
                check_envelope(answer.status, answer.value)


# The same as REST


def texts_of(procedure: Procedure) -> st.SearchStrategy[dict[str, Any]]:
    """Objects whose changed fields are texts, as everything is in a query string."""
    example = st.sampled_from([dict(procedure.example), {}])
    fields = procedure.takes.model_fields.values()
    named = st.sampled_from([str(field.alias) for field in fields if field.annotation is not int] or ["whatever"])
    changed = st.dictionaries(named, st.text(min_size=1, max_size=40))
    return st.tuples(example, changed).map(lambda both: both[0] | both[1])


def for_both(name: str) -> st.SearchStrategy[tuple[Procedure, dict[str, Any]]]:
    procedure = PROCEDURES[name]
    return st.tuples(st.just(procedure), texts_of(procedure) if procedure.is_query else values_of(procedure))


@QUICKLY
@given(call=names.flatmap(for_both))
def test_rest_says_the_same(
    api: Api, documented: None, no_verdicts: None, monkeypatch: pytest.MonkeyPatch, call: Any
) -> None:
    procedure, values = call
    # The first use of a key is noted, and shown; the next one not between the two answers.
    monkeypatch.setattr(api_keys, "USE_IS_NOTED_EVERY", dt.timedelta(days=1))
    api.get("user.get")
    answers = []
    for surface_of in (rest, trpc):
        with undone():
            answers.append(surface_of(api, procedure, values))
    one, other = answers
    assert one.status == other.status
    if one.value == "Invalid JSON":
        assert other.message == one.value
    elif one.status != 200:
        assert (one.value["message"], one.value["data"]) == (other.value["message"], other.value["data"])
    elif procedure.is_query:
        assert one.value == other.value
    else:  # ids and times are new each time
        assert _shape(one.value) == _shape(other.value)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    return [_shape(inner) for inner in value] if isinstance(value, list) else type(value)


def test_the_organisation_is_that_of_the_key(api: Api, organisation: Organisation) -> None:
    assert api.query("organization.one", organizationId=organisation.pk).value["name"] == "Acme"
