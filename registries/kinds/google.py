"""Google's Artifact Registry and its predecessor, Container Registry."""

import base64
import binascii
import json
import re

from registries.kinds.base import Kind

TOKEN_USERNAME = "oauth2accesstoken"
KEY_USERNAME = "_json_key"
ENCODED_KEY_USERNAME = "_json_key_base64"
_USERNAMES = (KEY_USERNAME, ENCODED_KEY_USERNAME, TOKEN_USERNAME)


class Google(Kind):
    """The username says what the secret is; the rules are from Google's documentation."""

    slug = "google"
    name = "Google Artifact Registry"
    summary = "Artifact Registry (pkg.dev) and Container Registry (gcr.io)."

    host_placeholder = "europe-west3-docker.pkg.dev"
    host_help = "It is LOCATION-docker.pkg.dev, such as europe-west3-docker.pkg.dev, or gcr.io and its regions."
    provider_hosts = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io")

    username_placeholder = KEY_USERNAME
    username_help = (
        "_json_key with a service account's key as it was downloaded, _json_key_base64 with the key in "
        "base64 (Artifact Registry only), oauth2accesstoken with an access token."
    )

    secret_name = "Service account key (JSON)"
    secret_help = "The whole JSON file of a service account's key. Line breaks in it are fine."
    secret_life = "A key does not end by itself; an access token ends after 60 minutes."
    secret_has_lines = True

    scope_help = (
        "Give the service account the role Artifact Registry Reader on the repository or its project (for "
        "gcr.io, Storage Object Viewer on the bucket of the images), and check the project in the image's "
        "path."
    )
    credentials_help = (
        "With a service account's key the username is _json_key and the password the whole JSON file. "
        "Check that the key still exists in IAM. An access token (oauth2accesstoken) ends after 60 "
        "minutes."
    )

    image_prefix_help = "The project and, in Artifact Registry, the repository."
    image_prefix_placeholder = "acme-prod/images"
    example_image = "europe-west3-docker.pkg.dev/acme-prod/images/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return "https://console.cloud.google.com/iam-admin/serviceaccounts"

    def refuse_username(self, username: str) -> str | None:
        if username in _USERNAMES:
            return None
        return f"The username at Google is one of {', '.join(_USERNAMES)}. It says what kind of secret follows."

    def refuse_secret(self, secret: str, username: str) -> str | None:
        if username == TOKEN_USERNAME:
            return self._refuse_key_as_token(secret)
        if username == ENCODED_KEY_USERNAME:
            return _complain_of_key(_decoded(secret))
        if username == KEY_USERNAME or secret.lstrip().startswith("{"):
            return _complain_of_key(secret)
        return None

    def describe_secret(self, secret: str, username: str) -> str | None:
        """The e-mail address of the service account whose key this is."""
        key = _read_key(_decoded(secret) if username == ENCODED_KEY_USERNAME else secret)
        email = key.get("client_email") if key else None
        return f"Service account {email}" if isinstance(email, str) and email.isprintable() else None

    def _refuse_key_as_token(self, secret: str) -> str | None:
        if _read_key(secret) is None:
            return None
        return f"This is a service account's key. With it the username is {KEY_USERNAME}."


def _decoded(secret: str) -> str:
    """The text in the base64, or "" if it is none."""
    try:
        return base64.b64decode("".join(secret.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _read_key(text: str) -> dict[str, object] | None:
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return key if isinstance(key, dict) else None


def _complain_of_key(text: str) -> str | None:
    key = _read_key(text)
    if key is None:
        return (
            "This is not a service account's key: it is not a JSON object. Paste the whole file as Google "
            "Cloud gave it, from the first { to the last }."
        )
    if key.get("type") != "service_account":
        return (
            'This JSON is not a service account\'s key: its "type" is not "service_account". '
            "Make a key of a service account in IAM."
        )
    missing = [name for name in ("client_email", "private_key") if not isinstance(key.get(name), str)]
    if missing:
        return f"This key is not complete: {' and '.join(missing)} is missing. Paste the whole file."
    return None
