"""The commands with which a CI job calls a webhook, ready to be copied."""

import json
import shlex
from dataclasses import dataclass

from applications import deploying
from applications.models import Application
from registries.references import parse

_BARE = "curl --fail-with-body -X POST {address}"
_NAMED = "curl --fail-with-body -H 'Content-Type: application/json' --data-raw {body} {address}"
# What is sent is exactly what was signed; the secret comes from the job's environment.
_SIGNED = """\
body={body}
now=$(date +%s)
signature=$(printf '%s.%s' "$now" "$body" | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" -r | cut -d' ' -f1)
curl --fail-with-body -X POST -H 'Content-Type: application/json' -H "X-Dokreg-Timestamp: $now" \\
  -H "X-Dokreg-Signature-256: sha256=$signature" --data-raw "$body" {address}"""


@dataclass(frozen=True, slots=True)
class Examples:
    """Commands for a POSIX shell: one that deploys what is set, one that names the image, and that one signed.

    `named` is empty where there is no image to name.
    """

    bare: str
    named: str
    signed: str


def examples(*, application: Application, address: str) -> Examples:
    """How this application's webhook is called; the signed form takes the secret from WEBHOOK_SECRET."""
    image = _image_of(application)
    values = {"address": shlex.quote(address), "body": shlex.quote(json.dumps({"image": image}) if image else "")}
    return Examples(
        bare=_BARE.format(**values), named=_NAMED.format(**values) if image else "", signed=_SIGNED.format(**values)
    )


def _image_of(application: Application) -> str:
    """What a push changes: nothing where a digest is set, or no reference at all."""
    try:
        reference = parse(deploying.reference_of(application))
    except deploying.CannotDeploy:
        return ""
    return "" if reference.digest else str(reference)
