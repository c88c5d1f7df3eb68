"""Google's token endpoint, which believes no assertion that it has not checked, and a machine's metadata server."""

import functools
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from tests.lab.clouds import Asked, Cloud, random_text
from tests.lab.impostors import Answer

EMAIL = "puller@acme-prod.iam.gserviceaccount.com"
MACHINE = "machine"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
READ_ONLY = "https://www.googleapis.com/auth/devstorage.read_only"
METADATA = "/computeMetadata/v1/instance/service-accounts/default/token"
HOUR = 3600
CLOCK_REFUSAL = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp "
    "values in the JWT claim."
)


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def usual_key() -> rsa.RSAPrivateKey:
    """To make one takes long."""
    return new_key()


@dataclass
class Google(Cloud):
    username: ClassVar[str] = "oauth2accesstoken"

    accounts: dict[str, rsa.RSAPrivateKey] = field(default_factory=lambda: {EMAIL: usual_key()})
    is_machine_of_google: bool = True

    @property
    def token_url(self) -> str:
        return f"{self.url}/token"

    def key_file(self, email: str = EMAIL, **changes: Any) -> str:
        """A service account's key as Google Cloud gives it."""
        pem = self.accounts[email].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        key = {
            "type": "service_account",
            "project_id": "acme-prod",
            "private_key_id": "0123456789abcdef",
            "private_key": pem.decode(),
            "client_email": email,
            "client_id": "123456789",
            "token_uri": self.token_url,
        }
        return json.dumps(key | changes, indent=2)

    def respond(self, asked: Asked) -> Answer:
        if asked.path == METADATA:
            return self._metadata(asked)
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if asked.path != "/token" or form.get("grant_type") != GRANT:
            return problem("unsupported_grant_type", "Invalid grant_type")
        return self._trade(form.get("assertion", ""))

    def _trade(self, assertion: str) -> Answer:
        email, reason = self._judge(assertion)
        if reason:
            return problem("invalid_grant", reason)
        return self._token(email)

    def _judge(self, assertion: str) -> tuple[str, str]:
        """Whose assertion it is, and what is wrong with it."""
        for email, key in self.accounts.items():
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            try:
                claims = jwt.decode(assertion, jwk.RSAKey.import_key(public), algorithms=["RS256"]).claims
            except (JoseError, ValueError):
                continue
            return email, self._complain(email, claims)
        return "", "Invalid JWT Signature."

    def _complain(self, email: str, claims: dict[str, Any]) -> str:
        if claims.get("iss") != email:
            return "Invalid grant: account not found"
        if email in self.revoked:
            return "Invalid JWT Signature."
        if claims.get("aud") != self.token_url:
            return "Invalid JWT: Failed audience check."
        if claims.get("scope") != READ_ONLY:
            return "Invalid OAuth scope or ID token audience provided."
        issued_at, end = claims.get("iat", 0), claims.get("exp", 0)
        if self.checks_clock and not (issued_at <= self.now() < end <= issued_at + HOUR):
            return CLOCK_REFUSAL
        return ""

    def _metadata(self, asked: Asked) -> Answer:
        if not self.is_machine_of_google:
            return Answer(404, "Not Found", "text/plain")
        if asked.header("Metadata-Flavor") != "Google":
            return Answer(403, "Missing Metadata-Flavor:Google header.", "text/plain")
        flavor = {"Metadata-Flavor": "Google"}
        if MACHINE in self.revoked:
            return Answer(404, "The service account was not found.", "text/plain", flavor)
        token = self._token(MACHINE)
        return Answer(token.status, token.body, token.content_type, flavor)

    def _token(self, owner: str) -> Answer:
        token = f"ya29.{random_text(1000)}"
        end = self.given(token, owner)
        body = {"access_token": token, "expires_in": int(end - self.now()), "token_type": "Bearer"}
        return Answer(200, json.dumps(body))

    def throttled(self) -> Answer:
        body = {"error": "rate_limit_exceeded", "error_description": "Too many requests."}
        return Answer(429, json.dumps(body), headers={"Retry-After": "7"})


def problem(error: str, description: str) -> Answer:
    return Answer(400, json.dumps({"error": error, "error_description": description}))
