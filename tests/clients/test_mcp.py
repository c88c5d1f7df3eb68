"""What is peculiar to `@dokploy/mcp`."""

import json
import secrets
from typing import Any

from tests.clients import mcp as mcp_server
from tests.clients.calling import NOT_A_KEY, NewSite
from tests.clients.mcp import Mcp

REGISTRY_TOOLS = {
    "registry-all", "registry-create", "registry-one", "registry-remove", "registry-testRegistry",
    "registry-testRegistryById", "registry-update",
}  # fmt: skip


def said(mcp: Mcp, name: str, /, **values: Any) -> dict[str, Any]:
    """The whole text of a tool's answer, which a language model reads."""
    answer = mcp.request("tools/call", name=name, arguments=values)
    text: dict[str, Any] = json.loads(answer["content"][0]["text"])
    return text


def test_every_procedure_of_registries_is_a_tool(mcp: Mcp) -> None:
    tools = {tool["name"] for tool in mcp.request("tools/list")["tools"]}
    assert {name for name in tools if name.startswith("registry-")} == REGISTRY_TOOLS


def test_a_refusal_reaches_the_model_as_a_status_and_the_log_with_its_message(mcp: Mcp) -> None:
    seen = len(mcp.log)
    answer = said(mcp, "environment-create", name="staging", projectId=new_project(mcp)["projectId"])
    assert (answer["success"], answer["details"]) == (False, "Error: Request failed with status code 400")
    mcp.wait_for_log("dokreg has one environment per project", since=seen)


def test_what_is_unknown_is_called_so(mcp: Mcp) -> None:
    answer = said(mcp, "registry-one", registryId="not-there")
    assert (answer["success"], answer["error"]) == (False, "Resource not found")


def test_a_wrong_key_is_called_so(new_site: NewSite) -> None:
    with mcp_server.talking(new_site(key=NOT_A_KEY)) as mcp:
        answer = said(mcp, "registry-all")
    assert (answer["success"], answer["error"]) == (False, "Authentication failed for registry-all")


def test_the_environment_of_a_new_project_is_masked_by_the_client(mcp: Mcp) -> None:
    answer = said(mcp, "project-create", name=f"shop-{secrets.token_hex(4)}")["data"]
    assert answer["environment"] == "[REDACTED]"
    project = said(mcp, "project-one", projectId=answer["project"]["projectId"])["data"]
    assert project["environments"][0]["environmentId"] == answer["project"]["projectId"]


def new_project(mcp: Mcp) -> dict[str, Any]:
    project: dict[str, Any] = mcp.ask("project.create", name=f"shop-{secrets.token_hex(4)}")["project"]
    return project
