"""A token server as Docker Hub, GHCR, GitLab and Harbor have one: it trades a password for a signed token."""

import base64
import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from cryptography.hazmat.primitives import serialization
from joserfc import jwk, jwt

from tests.lab.certificates import Certified
from tests.lab.ports import free_port

ISSUER = "lab-tokens"
SERVICE = "lab-registry"
EVERYTHING = frozenset({"pull", "push", "delete"})
LIFE = 300

# repository -> what may be done there; "*" stands for every repository
Grants = dict[str, frozenset[str]]


@dataclass
class TokenServer:
    """Its tables may be changed while it runs; a person without an entry in `grants` may do everything.

    `accepts`, where given, is asked in the place of the passwords.
    """

    passwords: dict[str, str]
    grants: dict[str, Grants] = field(default_factory=dict)
    accepts: Callable[[str, str], bool] | None = None
    signer: Certified = field(default_factory=lambda: Certified.self_signed(ISSUER))
    port: int = field(default_factory=free_port)
    issued: int = 0
    _server: WSGIServer | None = None

    @property
    def realm(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    def start(self) -> None:
        self._server = make_server("127.0.0.1", self.port, self, ThreadingServer, QuietHandler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @contextlib.contextmanager
    def limited(self, user: str, grants: Grants) -> Iterator[None]:
        """Allow this person nothing but `grants` while the block runs."""
        self.grants[user] = grants
        try:
            yield
        finally:
            del self.grants[user]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        user = self._authenticated(environ.get("HTTP_AUTHORIZATION", ""))
        if user is None:
            problem = {"code": "UNAUTHORIZED", "message": "authentication required"}
            return answer(start_response, "401 Unauthorized", {"errors": [problem]})
        scopes = " ".join(parse_qs(environ.get("QUERY_STRING", "")).get("scope", []))
        token = self.token_for(user, scopes.split())
        return answer(start_response, "200 OK", {"token": token, "access_token": token, "expires_in": LIFE})

    def _authenticated(self, header: str) -> str | None:
        kind, _, encoded = header.partition(" ")
        if kind.lower() != "basic":
            return None
        user, _, password = base64.b64decode(encoded).decode().partition(":")
        accepted = self.accepts(user, password) if self.accepts else self.passwords.get(user) == password
        return user if accepted else None

    def token_for(self, user: str, scopes: Iterable[str]) -> str:
        self.issued += 1
        issued_at = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "iat": issued_at,
            "nbf": issued_at - 10,
            "exp": issued_at + LIFE,
            "jti": uuid.uuid4().hex,
            "access": [self._granted(user, *scope.split(":", 1)) for scope in scopes],
        }
        certificate = self.signer.certificate.public_bytes(serialization.Encoding.DER)
        header = {"alg": "ES256", "typ": "JWT", "x5c": [base64.b64encode(certificate).decode()]}
        return str(jwt.encode(header, claims, jwk.ECKey.import_key(self.signer.key_pem)))

    def _granted(self, user: str, kind: str, rest: str) -> dict[str, Any]:
        name, _, actions = rest.rpartition(":")
        grants = self.grants.get(user, {"*": EVERYTHING})
        allowed = grants.get(name, grants.get("*", frozenset()))
        return {"type": kind, "name": name, "actions": sorted(allowed & set(actions.split(",")))}


def answer(start_response: Callable[..., Any], status: str, body: dict[str, Any]) -> list[bytes]:
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]


class ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass
