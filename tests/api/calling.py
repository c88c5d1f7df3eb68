"""Calling the API in this process, as a client with a key."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django.db import transaction
from django.test import Client

from organisations import api_keys, throttle
from organisations.models import User
from organisations.procedures import Procedure
from tests.people import membership_of

# To look longer, and elsewhere, than in every run of the tests.
EXAMPLES = int(os.environ.get("DOKREG_API_EXAMPLES", "8"))
SEED = int(os.environ.get("DOKREG_API_SEED", "1"))
IS_LONG_LOOK = "DOKREG_API_EXAMPLES" in os.environ


@dataclass(frozen=True)
class Answer:
    """What came back: `value` is the parsed body, or its text where that is no JSON."""

    status: int
    value: Any
    headers: dict[str, str]

    @property
    def message(self) -> str:
        return str(self.value["message"])

    @property
    def fields(self) -> dict[str, list[str]]:
        """What is wrong, by field."""
        found: dict[str, list[str]] = self.value["data"]["zodError"]["fieldErrors"]
        return found


@dataclass(frozen=True)
class Api:
    """Somebody's client."""

    key: str
    client: Client = field(default_factory=Client)

    def get(self, name: str, /, **values: str) -> Answer:
        return self.send("GET", f"/api/{name}", values)

    def post(self, name: str, /, **values: Any) -> Answer:
        return self.send("POST", f"/api/{name}", json.dumps(values))

    def query(self, name: str, /, **values: Any) -> Answer:
        """A query over tRPC, as its client sends it; the value out of its envelope."""
        answer = self.send("GET", f"/api/trpc/{name}", {"input": json.dumps({"json": values})})
        return replace(answer, value=unwrapped(answer.value))

    def mutate(self, name: str, /, **values: Any) -> Answer:
        """A mutation over tRPC; the value out of its envelope."""
        answer = self.send("POST", f"/api/trpc/{name}", json.dumps({"json": values}))
        return replace(answer, value=unwrapped(answer.value))

    def send(self, method: str, path: str, body: Any = "", *, content_type: str = "application/json") -> Answer:
        """Any request; for GET `body` are the values of the query string."""
        headers = {"x-api-key": self.key} if self.key else {}
        if method in {"GET", "HEAD"}:
            path, body = (f"{path}?{urlencode(body)}" if body else path), ""
        answer = self.client.generic(method, path, body, content_type=content_type, headers=headers)
        return Answer(answer.status_code, _value(answer.content), dict(answer.headers))


def rest(api: Api, procedure: Procedure, values: Mapping[str, Any]) -> Answer:
    """Call a procedure; in a query string every value is a text."""
    if procedure.is_query:
        return api.get(procedure.name, **{name: str(value) for name, value in values.items() if value is not None})
    return api.post(procedure.name, **values)


def trpc(api: Api, procedure: Procedure, values: Mapping[str, Any]) -> Answer:
    """Call a procedure over tRPC."""
    return (api.query if procedure.is_query else api.mutate)(procedure.name, **values)


SURFACES: dict[str, Callable[[Api, Procedure, Mapping[str, Any]], Answer]] = {"rest": rest, "trpc": trpc}


def unwrapped(envelope: dict[str, Any]) -> Any:
    """What is in the envelope of an answer of tRPC."""
    return envelope["error"]["json"] if "error" in envelope else envelope["result"]["data"]["json"]


@contextmanager
def undone() -> Iterator[None]:
    """Leaves the organisation as it stood before: for what is done hundreds of times in one test."""
    throttle.forget()
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _value(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode()


def key_of(user: User, **options: Any) -> str:
    """A new key of a member."""
    return api_keys.make(membership=membership_of(user), name="key", **options)[1]
