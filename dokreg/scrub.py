"""Takes a secret out of text that came back from elsewhere, in every spelling it may have there."""

import base64
import json
import shlex
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "********"
MINIMUM_BASE64 = 4


def scrub(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret replaced: raw, shell-escaped, JSON- and Go-quoted, URL-encoded, in base64."""
    for secret in secrets:
        if secret:
            for spelling in sorted(_spellings(secret), key=len, reverse=True):
                text = text.replace(spelling, MASK)
    return text


def _spellings(secret: str) -> set[str]:
    trimmed = secret.strip()
    found: set[str] = set()
    for form in {secret, trimmed, *secret.splitlines()} - {""}:
        in_json = {json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1]}
        found |= in_json | {
            form,
            shlex.quote(form),
            form.replace("'", "'\\''"),
            quote(form, safe=""),
            quote(form),
            quote_plus(form),
        }
        for encoded in {form, *in_json}:
            found |= _base64_spellings(encoded)
    # A line of a long secret (of a JSON key) can be an ordinary word or brace; those say nothing.
    return {form for form in found if form in {secret, trimmed} or len(form) >= MINIMUM_BASE64}


def _base64_spellings(secret: str) -> set[str]:
    """The part of base64 text that depends on the secret alone, wherever the secret begins in what was encoded."""
    data = secret.encode()
    found: set[str] = set()
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + data).decode()
        inner = encoded[(lead * 8 + 5) // 6 : (lead + len(data)) * 8 // 6]
        if len(inner) >= MINIMUM_BASE64:
            found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return found
