"""Google's Artifact Registry and its predecessor, Container Registry."""

import base64
import binascii
import hashlib
import json
import re
import time
from typing import TYPE_CHECKING

from django.conf import settings

from registries.kinds import cloud_verdicts
from registries.kinds.base import Kind
from registries.kinds.methods import Account, Policy
from registries.kinds.minting import (
    Answer,
    Call,
    CloudMethod,
    MachineMethod,
    NoIdentity,
    Refused,
    Token,
    life_in_seconds,
    text_in,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

TOKEN_USERNAME = "oauth2accesstoken"
KEY_USERNAME = "_json_key"
ENCODED_KEY_USERNAME = "_json_key_base64"
_HOST = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io")
# What Google's own keys name; the first since 2018, the others before.
_GOOGLES_TOKEN_URLS = (
    "https://oauth2.googleapis.com/token",
    "https://www.googleapis.com/oauth2/v4/token",
    "https://accounts.google.com/o/oauth2/token",
)
# The least that Artifact Registry and Container Registry let pull, by "Deploying to Compute Engine" in the
# documentation of Artifact Registry.
SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# An assertion may be an hour old and must not be from the future: dated back, it bears a clock that is fast by this
# much, and one that is slow by the rest of the hour.
_DATED_BACK = 15 * 60
_ASSERTION_LIFE = 60 * 60
_METADATA_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
_LOCATIONS_OF_GCR = {"asia": "asia", "eu": "europe"}
_OK = 200
_NOT_FOUND = 404
_SOUND_KEYS_LIMIT = 10_000
_sound_keys: set[bytes] = set()
_UNUSABLE_KEY = "The private_key in this file is damaged, or no RSA key of 2048 to 4096 bits."
_USERNAMES = (KEY_USERNAME, ENCODED_KEY_USERNAME, TOKEN_USERNAME)


class _GoogleMethod(CloudMethod):
    """Both give an access token, which goes with one username."""

    hosts = _HOST
    cloud = "Google"
    username = TOKEN_USERNAME
    rows = cloud_verdicts.GOOGLE_ROWS
    token_life = "A token lives 60 minutes."
    # Whom the role is given to where the account is not known.
    member = "SERVICE_ACCOUNT_EMAIL"

    def ask(self, call: Call) -> Token:
        answer = self.answer(call)
        if answer.status != _OK:
            problem = answer.error()
            found = [problem.get("error"), problem.get("error_description")]
            words = ": ".join(text for text in found if isinstance(text, str))
            raise Refused(words or answer.text, answer)
        fields = answer.fields()
        return Token(text_in(fields, "access_token"), life_in_seconds(fields.get("expires_in")))

    def answer(self, call: Call) -> Answer:
        """Google's answer with a token, or why there is none."""
        raise NotImplementedError

    def policy(self, *, host: str, account: Account) -> Policy | None:
        if not _HOST.fullmatch(host):
            return None
        if host.endswith("gcr.io"):  # Artifact Registry keeps its images in a repository with the host's name
            repository, location = host, _LOCATIONS_OF_GCR.get(host.partition(".")[0], "us")
        else:
            repository, location = "REPOSITORY", host.removesuffix("-docker.pkg.dev")
        text = (
            f"gcloud artifacts repositories add-iam-policy-binding {repository} \\\n"
            f"  --project=PROJECT --location={location} \\\n"
            f"  --member=serviceAccount:{self.member} --role=roles/artifactregistry.reader"
        )
        return Policy("Role for the service account (gcloud)", text)


class ServiceAccount(_GoogleMethod):
    """The key of a service account signs an assertion, which Google trades for a token."""

    slug = "service_account"
    name = "Service account key"
    summary = "A service account's key makes the tokens; the servers never see the key itself."
    secret_name = "Service account key (JSON)"
    secret_help = (
        "The whole JSON file of the key. dokreg keeps it encrypted and signs with it; servers only get tokens."
    )
    secret_has_lines = True
    credentials = "the service account's key"
    credentials_help = (
        "In Google Cloud, IAM, Service accounts, look whether the account is enabled and the key still exists; if not, "
        "make a new one and paste it."
    )

    def check_secret(self, *, account: Account, secret: str) -> str | None:
        if complaint := _complain_of_key(secret):
            return complaint
        key = _read_key(secret) or {}
        token_uri = key.get("token_uri", settings.DOKREG_GOOGLE_TOKEN_URL)
        if token_uri not in (*_GOOGLES_TOKEN_URLS, settings.DOKREG_GOOGLE_TOKEN_URL):
            return "The token_uri in this key is not Google's. Paste the file as Google Cloud gave it."
        return None if _private_key(str(key["private_key"])) else _UNUSABLE_KEY

    def describe(self, *, account: Account, secret: str) -> str:
        return Google().describe_secret(secret, KEY_USERNAME) or ""

    def answer(self, call: Call) -> Answer:
        from registries.kinds import talk

        assertion = self._assertion(call.secret)
        call.hidden.append(assertion)
        form = {"grant_type": _GRANT, "assertion": assertion}
        return talk.post(settings.DOKREG_GOOGLE_TOKEN_URL, form, deadline=call.deadline)

    def _assertion(self, secret: str) -> str:
        from google.auth import crypt, jwt

        key = _read_key(secret) or {}
        issued_at = int(time.time()) - _DATED_BACK
        claims = {
            "iss": key["client_email"],
            "scope": SCOPE,
            "aud": settings.DOKREG_GOOGLE_TOKEN_URL,
            "iat": issued_at,
            "exp": issued_at + _ASSERTION_LIFE,
        }
        signer = crypt.RSASigner(_private_key(str(key["private_key"])), key_id=key.get("private_key_id"))  # type: ignore[no-untyped-call]
        return str(jwt.encode(signer, claims).decode())  # type: ignore[no-untyped-call]


class Machine(MachineMethod, _GoogleMethod):
    """The service account that the machine was started with, asked for at its metadata server."""

    name = "The machine's own service account"
    summary = "The service account of the machine that dokreg runs on makes the tokens; there is no secret to enter."
    credentials = "the machine's own service account"
    credentials_help = "Check which service account the machine that dokreg runs on has, and its access scopes."
    member = "SERVICE_ACCOUNT_OF_THE_MACHINE"

    def answer(self, call: Call) -> Answer:
        from registries.kinds import talk

        answer = talk.ask(
            "GET",
            settings.DOKREG_GOOGLE_METADATA_URL + _METADATA_PATH,
            headers={"Metadata-Flavor": "Google"},
            deadline=call.deadline,
            through_proxy=False,
        )
        if answer.headers.get("metadata-flavor") != "Google":
            raise NoIdentity("What answers there is not Google's metadata server.")
        if answer.status == _NOT_FOUND:
            raise NoIdentity(answer.text)
        return answer


class Google(Kind):
    """The username says what the secret is; the rules are from Google's documentation."""

    slug = "google"
    name = "Google Artifact Registry"
    summary = "Artifact Registry (pkg.dev) and Container Registry (gcr.io)."

    host_placeholder = "europe-west3-docker.pkg.dev"
    host_help = "It is LOCATION-docker.pkg.dev, such as europe-west3-docker.pkg.dev, or gcr.io and its regions."
    provider_hosts = _HOST
    methods = (ServiceAccount(), Machine())

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

    def method_of_pasted(self, username: str) -> str:
        """A key is better kept here, with only its tokens on the servers."""
        return ServiceAccount.slug if username == KEY_USERNAME else ""

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


def _private_key(pem: str) -> "RSAPrivateKey | None":
    """The key, or None if it is not one that can sign.

    To find out whether an RSA key is sound takes forty times as long as to load it, and without end if it is long
    enough. A process does it once for each key of the usual size, and remembers the sound ones by their digests.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from servers.keys import MAXIMUM_RSA_BITS, MINIMUM_RSA_BITS, parts_fit

    try:
        data = pem.encode()
        digest = hashlib.sha256(data).digest()
        key = load_pem_private_key(data, password=None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, RSAPrivateKey):
            return None
        if digest not in _sound_keys:
            if not MINIMUM_RSA_BITS <= key.key_size <= MAXIMUM_RSA_BITS or not parts_fit(key):
                return None
            load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # a surrogate, encrypted, not known
        return None
    if len(_sound_keys) >= _SOUND_KEYS_LIMIT:
        _sound_keys.clear()
    _sound_keys.add(digest)
    return key
