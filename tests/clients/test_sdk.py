"""What is peculiar to `@dokploy/sdk`."""

import json
from typing import Any

from tests.clients.calling import NOT_A_KEY, NewSite, wish
from tests.clients.sdk import Sdk
from tests.lab.registry import BasicRegistry


def refusal(sdk: Sdk, name: str, /, **values: Any) -> dict[str, Any]:
    """What it gave as the error of a call, with the status."""
    outcome = sdk.call(name, **values)
    assert outcome.failed
    answer: dict[str, Any] = json.loads(outcome.output)
    return answer


def test_the_body_of_a_refusal_is_the_error(sdk: Sdk, registry: BasicRegistry) -> None:
    answer = refusal(sdk, "registry.create", **wish(registry, registryName="", registryUrl="host/path"))
    assert (answer["status"], answer["error"]["message"]) == (400, "Input validation failed")
    assert answer["error"]["data"]["zodError"]["fieldErrors"].keys() == {"registryName", "registryUrl"}


def test_what_is_unknown_is_called_so(sdk: Sdk) -> None:
    answer = refusal(sdk, "registry.one", registryId="not-there")
    assert (answer["status"], answer["error"]["message"]) == (404, "Registry not found")


def test_a_wrong_key_is_unauthorized(new_site: NewSite) -> None:
    answer = refusal(Sdk(new_site(key=NOT_A_KEY)), "registry.all")
    assert (answer["status"], answer["error"]) == (401, {"message": "Unauthorized"})


def test_no_prefix_is_null(sdk: Sdk, registry: BasicRegistry) -> None:
    assert sdk.ask("registry.create", **wish(registry, imagePrefix=None))["imagePrefix"] is None
