"""Calling the API in this process, as a client with a key."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from organisations import api_keys
from organisations.models import User
from tests.people import membership_of


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

    def send(self, method: str, path: str, body: Any = "", *, content_type: str = "application/json") -> Answer:
        """Any request; for GET `body` are the values of the query string."""
        headers = {"x-api-key": self.key} if self.key else {}
        if method in {"GET", "HEAD"}:
            path, body = (f"{path}?{urlencode(body)}" if body else path), ""
        answer = self.client.generic(method, path, body, content_type=content_type, headers=headers)
        return Answer(answer.status_code, _value(answer.content), dict(answer.headers))


def _value(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode()


def key_of(user: User, **options: Any) -> str:
    """A new key of a member."""
    return api_keys.make(membership=membership_of(user), name="key", **options)[1]
