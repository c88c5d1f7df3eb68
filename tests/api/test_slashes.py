"""Slashes that clients write twice: those whose base URL ends with one, and dokli between `/api/` and every path."""

import pytest

from organisations.models import User
from tests.api.calling import Api

SITE = "http://testserver"  # else the client of the tests takes what follows two slashes for a host


@pytest.mark.parametrize(
    "path", ["//api/registry.all", "/api//registry.all", "//api//registry.all", "///api/registry.all"]
)
def test_more_slashes_than_one_are_one(api: Api, path: str) -> None:
    assert api.send("GET", f"{SITE}{path}").value == []


@pytest.mark.parametrize("path", ["//api/trpc/registry.all", "/api//trpc//registry.all"])
def test_they_are_for_trpc_too(api: Api, path: str) -> None:
    assert api.send("GET", f"{SITE}{path}").value == {"result": {"data": {"json": []}}}


def test_a_change_is_not_redirected(api: Api) -> None:
    answer = api.send("POST", f"{SITE}//api/project.create", '{"name": "Shop"}')
    assert (answer.status, answer.value["project"]["name"]) == (200, "Shop")


@pytest.mark.parametrize("path", ["/api/trpc/project.create", "//api/trpc/project.create"])
def test_what_is_sent_as_a_form_is_refused_in_the_words_of_the_api(api: Api, path: str) -> None:
    body = '--x\r\nContent-Disposition: form-data; name="name"\r\n\r\na\0b\r\n--x--\r\n'
    answer = api.send("POST", f"{SITE}{path}", body, content_type="multipart/form-data; boundary=x")
    assert answer.status == 415
    assert answer.value["error"]["json"]["data"]["code"] == "UNSUPPORTED_MEDIA_TYPE"


def test_a_nul_in_the_query_is_named(api: Api) -> None:
    answer = api.send("GET", f"{SITE}//api/registry.one?registryId=%00")
    assert (answer.status, list(answer.fields)) == (400, ["registryId"])


def test_a_path_that_only_begins_so_is_no_part_of_the_api(alice: User, api: Api) -> None:
    api.client.force_login(alice)
    assert api.send("GET", f"{SITE}//apis/registry.all").status == 404
