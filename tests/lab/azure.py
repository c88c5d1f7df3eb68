"""Microsoft Entra's token endpoint and a registry's exchange, both of which check what they are given."""

import json
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import parse_qs

from joserfc import jwk, jwt

from tests.lab.clouds import Asked, Cloud, random_text
from tests.lab.impostors import Answer

TENANT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
CLIENT_ID = "11111111-2222-3333-4444-555555555555"
CLIENT_SECRET = "abc8Q~client-secret.of_the-application~x"
HOST = "acme.azurecr.io"
SCOPE = "https://containerregistry.azure.net/.default"
THREE_HOURS = 3 * 3600
HOUR = 3600


@dataclass
class Azure(Cloud):
    username: ClassVar[str] = "00000000-0000-0000-0000-000000000000"

    life: float = THREE_HOURS
    secrets: dict[str, str] = field(default_factory=lambda: {CLIENT_ID: CLIENT_SECRET})
    ended_secrets: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=lambda: {HOST})
    allows_this_network: bool = True
    # token of Entra -> its end
    _signed_in: dict[str, float] = field(default_factory=dict)
    _signer: jwk.OctKey = field(default_factory=lambda: jwk.OctKey.generate_key(256))

    def respond(self, asked: Asked) -> Answer:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if asked.path == "/oauth2/exchange":
            return self._exchange(form)
        tenant, _, rest = asked.path.lstrip("/").partition("/")
        if rest != "oauth2/v2.0/token":
            return Answer(404, "", "text/plain")
        return self._sign_in(tenant, form)

    def _sign_in(self, tenant: str, form: dict[str, str]) -> Answer:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        if tenant != TENANT:
            return problem("invalid_request", 90002, f"Tenant '{tenant}' not found.")
        if client_id not in self.secrets:
            return problem("unauthorized_client", 700016, f"Application with identifier '{client_id}' was not found.")
        if form.get("grant_type") != "client_credentials" or form.get("scope") != SCOPE:
            return problem("invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid.")
        if secret in self.ended_secrets:
            return problem("invalid_client", 7000222, "The provided client secret keys for app are expired.", 401)
        if secret != self.secrets[client_id] or client_id in self.revoked:
            return problem("invalid_client", 7000215, "Invalid client secret provided.", 401)
        token = f"{client_id}.{random_text(1200)}"
        self._signed_in[token] = self.now() + HOUR
        return Answer(200, json.dumps({"access_token": token, "expires_in": HOUR, "token_type": "Bearer"}))

    def _exchange(self, form: dict[str, str]) -> Answer:
        if not self.allows_this_network:
            return acr_problem(403, "DENIED", "client with IP '192.0.2.1' is not allowed access.")
        token = form.get("access_token", "")
        known = self._signed_in.get(token, 0) > self.now() and form.get("tenant") == TENANT
        if not known or form.get("grant_type") != "access_token" or form.get("service") not in self.hosts:
            return acr_problem(401, "UNAUTHORIZED", "authentication required, visit https://aka.ms/acr/authorization")
        return Answer(200, json.dumps({"refresh_token": self._refresh_token(token.partition(".")[0])}))

    def _refresh_token(self, client_id: str) -> str:
        issued_at = int(self.now())
        end = issued_at + (-60 if self.gives_expired_tokens else int(self.life))
        claims = {"iss": "Azure Container Registry", "iat": issued_at, "exp": end, "jti": random_text(40)}
        token = str(jwt.encode({"alg": "HS256"}, claims, self._signer))
        self.given(token, client_id)
        return token

    def throttled(self) -> Answer:
        answer = problem("temporarily_unavailable", 90055, "Too many requests.", 429)
        return Answer(429, answer.body, headers={"Retry-After": "7"})


def problem(error: str, code: int, message: str, status: int = 400) -> Answer:
    body = {"error": error, "error_description": f"AADSTS{code}: {message} Trace ID: x", "error_codes": [code]}
    return Answer(status, json.dumps(body))


def acr_problem(status: int, code: str, message: str) -> Answer:
    return Answer(status, json.dumps({"errors": [{"code": code, "message": message}]}))
