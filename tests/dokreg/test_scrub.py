"""A secret is taken out of foreign text in every spelling."""

import base64
import json
import shlex
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dokreg.scrub import scrub

SECRET = "p\"a's s\\$w ö+/=d"


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        shlex.quote(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        quote(SECRET),
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.urlsafe_b64encode(json.dumps({"password": "x", "secret": SECRET}, ensure_ascii=False).encode()).decode(),
    ],
)
def test_a_spelling_is_found(spelling: str) -> None:
    cleaned = scrub(f"before {spelling} after", [SECRET])
    assert SECRET not in cleaned
    assert spelling not in cleaned
    assert "********" in cleaned


def test_the_rest_stays() -> None:
    assert scrub("login as bob failed: hunter22 refused", ["hunter22"]) == "login as bob failed: ******** refused"


def test_what_docker_trims_is_found_trimmed() -> None:
    assert "padded-secret" not in scrub("got padded-secret", ["  padded-secret\n"])


@given(st.text(min_size=6, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_the_secret_is_never_left(secret: str, before: str, after: str) -> None:
    if secret.strip() and not set(secret) <= {"*"}:
        assert secret not in scrub(before + secret + after, [secret])
