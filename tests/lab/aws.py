"""AWS as dokreg needs it: moto's ECR and STS over HTTP, and before them what moto leaves out.

moto lets everybody in, gives everybody the same token, which ended in 2015, and knows no public gallery. So each
answer of ECR gets a token of its own that lives by this cloud's clock; keys can be known, refused and revoked.
By itself, for benchmarks: `python -m tests.lab.aws PORT`; how much it gave is then at /lab.
"""

import base64
import datetime as dt
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, ClassVar
from urllib.parse import parse_qs

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.lab.clouds import Asked, Cloud, random_text
from tests.lab.impostors import Answer

ACCOUNT = "123456789012"
TWELVE_HOURS = 12 * 3600
TOLERANCE = 5 * 60
TOKEN_LENGTH = 1900  # about what real ones have
JSON = "application/x-amz-json-1.1"
CONTAINER_KEYS = "/lab/container-keys"  # AWS_CONTAINER_CREDENTIALS_FULL_URI: the role of a machine
MACHINE_KEY = "ASIAMACHINE000000000"
SIGNED_AT = "%Y%m%dT%H%M%SZ"


def _moto_itself() -> Any:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    return DomainDispatcherApplication(create_backend_app)


@dataclass
class Aws(Cloud):
    username: ClassVar[str] = "AWS"

    life: float = TWELVE_HOURS
    keys: dict[str, str] = field(default_factory=dict)  # id -> secret; only what is in here must be signed rightly
    denied: dict[str, str] = field(default_factory=dict)  # id -> the action that it may not do
    roles: dict[str, str] = field(default_factory=dict)  # ARN -> external id, "" for none; others are refused
    assumed: list[str] = field(default_factory=list)
    tokens_have_colons: bool = True  # nobody says that they may not; but Amazon's own command line takes none
    _moto: Any = field(default_factory=_moto_itself)

    def respond(self, asked: Asked) -> Answer:
        if asked.path == "/lab":
            return Answer(200, json.dumps({"mints": self.mints, "requests": self.requests}))
        if asked.path == CONTAINER_KEYS:
            return self._container_keys()
        signature = Signature.of(asked)
        if signature is None:
            return problem("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        return self._refusal(asked, signature) or self._answer(asked, signature)

    def _container_keys(self) -> Answer:
        # Already within the last quarter of an hour: then botocore asks again each time.
        end = dt.datetime.fromtimestamp(time.time() + 3600, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = {"AccessKeyId": MACHINE_KEY, "SecretAccessKey": "of the machine", "Token": "t", "Expiration": end}
        return Answer(200, json.dumps(keys))

    def _refusal(self, asked: Asked, signature: "Signature") -> Answer | None:
        off = signature.signed_at - self.now()
        refuse = sts_problem if signature.service == "sts" else problem
        if self.checks_clock and abs(off) > TOLERANCE:
            said = "Signature not yet current" if off > 0 else "Signature expired"
            code = "SignatureDoesNotMatch" if signature.service == "sts" else "InvalidSignatureException"
            return refuse(code, f"{said}: {asked.header('X-Amz-Date')} is too far from this server's time", 403)
        if signature.key_id in self.revoked:
            code = "InvalidClientTokenId" if signature.service == "sts" else "UnrecognizedClientException"
            return refuse(code, "The security token included in the request is invalid.", 403)
        secret = self.keys.get(signature.key_id)
        if secret is not None and not signature.is_by(secret, asked):
            code = "SignatureDoesNotMatch" if signature.service == "sts" else "InvalidSignatureException"
            said = "The request signature we calculated does not match the signature you provided."
            return refuse(code, said, 403)
        return None

    def _answer(self, asked: Asked, signature: "Signature") -> Answer:
        if signature.service == "sts":
            return self._assume_role(asked)
        if action := self.denied.get(signature.key_id):
            said = f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: {action} on resource: *"
            return problem("AccessDeniedException", said)
        if signature.service == "ecr-public":
            if signature.region != "us-east-1":
                return problem("UnrecognizedClientException", "There is no such service in this region.")
            return Answer(200, json.dumps({"authorizationData": self._entry(signature)}), JSON)
        answer = self._ask_moto(asked)
        data = json.loads(answer.body)
        data["authorizationData"] = [entry | self._entry(signature) for entry in data["authorizationData"]]
        return Answer(200, json.dumps(data), JSON)

    def _entry(self, signature: "Signature") -> dict[str, Any]:
        # Only the first colon separates.
        secret = random_text(TOKEN_LENGTH) + (f":{random_text(8)}" if self.tokens_have_colons else "")
        end = self.given(secret, signature.key_id)
        return {"authorizationToken": base64.b64encode(f"AWS:{secret}".encode()).decode(), "expiresAt": end}

    def _assume_role(self, asked: Asked) -> Answer:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        role = form.get("RoleArn", "")
        if self.roles.get(role) != form.get("ExternalId", ""):
            said = (
                f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: sts:AssumeRole on resource: {role}"
            )
            return sts_problem("AccessDenied", said, 403)
        self.assumed.append(role)
        return self._ask_moto(asked)

    def _ask_moto(self, asked: Asked) -> Answer:
        seen: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            seen.update(status=int(status.split(maxsplit=1)[0]), headers=dict(headers))

        body = b"".join(self._moto(asked.environ | {"wsgi.input": BytesIO(asked.body)}, start_response))
        return Answer(seen["status"], body.decode(), seen["headers"].get("Content-Type", JSON))

    def throttled(self) -> Answer:
        return problem("ThrottlingException", "Rate exceeded")


def problem(code: str, message: str, status: int = 400) -> Answer:
    return Answer(status, json.dumps({"__type": code, "message": message}), JSON)


def sts_problem(code: str, message: str, status: int) -> Answer:
    body = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{message}</Message></Error><RequestId>x</RequestId></ErrorResponse>"
    )
    return Answer(status, body, "text/xml")


@dataclass(frozen=True)
class Signature:
    """The header Authorization of a request to AWS, taken apart."""

    key_id: str
    region: str
    service: str
    headers: Mapping[str, str]  # that are signed
    value: str
    timestamp: str

    @classmethod
    def of(cls, asked: Asked) -> "Signature | None":
        kind, _, rest = asked.header("Authorization").partition(" ")
        if kind != "AWS4-HMAC-SHA256":
            return None
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        key_id, _day, region, service, _end = parts["Credential"].split("/")
        signed = {name: _header(asked, name) for name in parts["SignedHeaders"].split(";")}
        return cls(key_id, region, service, signed, parts["Signature"], asked.header("X-Amz-Date"))

    @property
    def signed_at(self) -> float:
        return dt.datetime.strptime(self.timestamp, SIGNED_AT).replace(tzinfo=dt.UTC).timestamp()

    def is_by(self, secret: str, asked: Asked) -> bool:
        url = f"http://{asked.header('Host')}{asked.path}"
        request = AWSRequest(asked.environ["REQUEST_METHOD"], url, headers=dict(self.headers), data=asked.body)
        request.context["timestamp"] = self.timestamp
        signer = botocore.auth.SigV4Auth(Credentials(self.key_id, secret), self.service, self.region)
        to_sign = signer.string_to_sign(request, signer.canonical_request(request))
        return bool(signer.signature(to_sign, request) == self.value)


def _header(asked: Asked, name: str) -> str:
    if name == "content-type":
        return str(asked.environ.get("CONTENT_TYPE", ""))
    return asked.header(name)


def main() -> None:
    with Aws(port=int(sys.argv[1]), tokens_have_colons=False, keeps_connections=True) as cloud:
        cloud._stopped.wait()


if __name__ == "__main__":
    main()
